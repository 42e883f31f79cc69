"""Scenes as an attacker has them: photographs that he took himself, which are never quite what the sensor saw."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from audit.material import white
from keyvault.policy import Policy

Samples = NDArray[np.uint16]
NOISE = 0.015  # standard deviation, of full scale
STEPS = 64  # of a photograph's values
ABOUT = f"the attacker's own photographs, with {NOISE:.1%} noise in {STEPS} steps"
_AT_A_TIME = 500  # scenes


def photographed(plain: Samples, policy: Policy, generator: np.random.Generator) -> Samples:
    """An attacker's photographs of scenes: normal noise of 1.5 % of full scale, then 64 steps, each by its middle.

    He stands where the camera stands and knows what its sensor makes of light; his own has other noise.

    Args:
        plain: uint16 (n, p, c), DN of the scenes in true order.
        policy: of the sensor; its bits say what full scale is.
        generator: draws the noise.

    Returns uint16 (n, p, c).
    """
    full = white(policy)
    step = (full + 1) / STEPS
    made = np.empty_like(plain)
    for first in range(0, len(plain), _AT_A_TIME):
        part = plain[first : first + _AT_A_TIME]
        noisy = part + generator.standard_normal(part.shape, np.float32) * np.float32(NOISE * full)
        made[first : first + len(part)] = (np.clip(noisy, 0, full) // step + 0.5) * step
    return made
