"""ELE, extended learnable image encryption.

Madono, Tanaka, Onishi and Ogawa, "Block-wise Scrambled Image Recognition Using Adaptation Network", AAAI workshops
2020: LE's change of values with a key of its own for every 4 x 4 block, and the blocks themselves change places.
"""

from __future__ import annotations

import numpy as np

from peers.block_cipher import CHANNELS, BlockKey, count_blocks, inverse, transform

__all__ = ["BLOCK", "draw", "inverse", "transform"]

BLOCK = 4


def draw(rng: np.random.Generator, height: int, width: int) -> BlockKey:
    """A key for images of this size."""
    blocks, entries = count_blocks(height, width, BLOCK), 2 * CHANNELS * BLOCK**2
    return BlockKey(
        BLOCK,
        places=rng.permutation(blocks),
        order=rng.permuted(np.tile(np.arange(entries), (blocks, 1)), axis=1),
        negative=rng.random((blocks, entries)) < 0.5,
        halves=True,
    )
