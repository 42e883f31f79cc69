"""Frames and scenes in the form that attacks take: positions in one axis."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from audit.finding import Stand
from audit.material import Material, scene_of
from keyvault.policy import Policy
from quad_scenes import WHITE

Samples = NDArray[np.uint16]


def in_line(frames: Samples) -> Samples:
    """Frames (n, h, w) or (n, h, w, c) as (n, h * w, c)."""
    return frames.reshape(len(frames), frames.shape[1] * frames.shape[2], -1)


def seen(material: Material, stand: Stand) -> Samples:
    """What an attacker at the file, or in the host's memory, has: (n, p, c)."""
    return in_line(material.file if stand is Stand.FILE else material.memory)


def known(scenes: NDArray[np.uint8], policy: Policy) -> Samples:
    """The DN that scenes (n, h, w, 3) are on this policy's sensor, in true order: (n, p, c)."""
    return in_line(np.stack([scene_of(scene, policy, f"scene {number}").dn for number, scene in enumerate(scenes)]))


def picture(samples: Samples, policy: Policy) -> NDArray[np.uint8]:
    """Samples of one frame, (p, c) in any order of the places, as a picture (h, w) or (h, w, 3); brightest is white."""
    scaled = samples.astype(np.float64) * (WHITE / max(int(samples.max()), WHITE))
    shaped = scaled.astype(np.uint8).reshape(policy.height, policy.width, -1)
    return shaped if shaped.shape[2] == 3 else shaped[..., 0]
