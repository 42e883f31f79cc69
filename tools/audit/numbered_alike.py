"""Frames as a chip would store them that gives all of them the same number: what must never happen."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from adc_firmware import frame_permutation
from adc_firmware.addressing import MaskGenerator
from audit.material import Material
from audit.views import in_line
from keyvault.derivation import SESSION_BYTES, FrameId
from keyvault.grant import OpenGrant

_SAME = FrameId(bytes(SESSION_BYTES), 0)


def numbered_alike(opened: OpenGrant, plain: NDArray[np.uint16]) -> Material:
    """Frames (n, h, w) or (n, h, w, 3) under the mask and in the order of one number.

    Args:
        opened: grant of a policy with a mask.
        plain: DN in true order, below ``2**bits`` of the policy.
    """
    policy = opened.grant.policy
    words = MaskGenerator(opened.frame_secrets(_SAME).mask_key, policy).words(0, policy.photosites)
    table = frame_permutation(opened, _SAME).table
    scenes = in_line(plain)
    file, memory = np.empty_like(scenes), np.empty_like(scenes)
    file[:, table] = ((scenes.astype(np.int64) + words) % 2**policy.bits).astype(np.uint16)
    memory[:, table] = scenes
    return Material(
        policy=policy,
        file=file.reshape(plain.shape),
        memory=memory.reshape(plain.shape),
        plain=plain,
        tables=np.tile(table, (len(plain), 1)),
        labels=np.full(len(plain), -1, np.int64),
    )
