"""LE, learnable image encryption.

Tanaka, "Learnable Image Encryption", IEEE ICCE-TW 2018: the image is cut into 4 x 4 blocks; each 8-bit value is
split into its upper and lower four bits, which makes six channels; the 96 values of a block are partly reversed
(negative-positive) and shuffled by one key that all blocks share; the six channels become three again.  Blocks stay
where they are.
"""

from __future__ import annotations

import numpy as np

from peers.block_cipher import CHANNELS, BlockKey, count_blocks, inverse, transform

__all__ = ["BLOCK", "draw", "inverse", "transform"]

BLOCK = 4


def draw(rng: np.random.Generator, height: int, width: int) -> BlockKey:
    """A key for images of this size."""
    entries = 2 * CHANNELS * BLOCK**2
    return BlockKey(
        BLOCK,
        places=np.arange(count_blocks(height, width, BLOCK)),
        order=rng.permutation(entries)[None],
        negative=rng.random((1, entries)) < 0.5,
        halves=True,
    )
