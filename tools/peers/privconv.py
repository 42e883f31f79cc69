"""PrivConv, block-wise scrambled images for ConvMixer.

Qi, MaungMaung and Kiya, "Privacy-Preserving Image Classification Using ConvMixer with Adaptative Permutation Matrix
and Block-Wise Scrambled Image Encryption", Journal of Imaging 9(4), 85, 2023, doi 10.3390/jimaging9040085 (first as
arXiv:2208.02556, 2022).  Blocks change places; inside them pixels are shuffled and partly made negative by one key
that all blocks share, so that the patch embedding can learn to undo it, while a learned matrix puts the blocks back.

The published parameters of its network, 5.35 M, are those of images scaled to 224 x 224 with 16 x 16 blocks, which is
where ``PUBLISHED_BLOCK`` comes from.  32 x 32 images that are not scaled up are cut into 4 x 4 blocks.
"""

from __future__ import annotations

import numpy as np

from peers.block_cipher import CHANNELS, BlockKey, count_blocks, inverse, transform

__all__ = ["BLOCK", "PUBLISHED_BLOCK", "draw", "inverse", "transform"]

BLOCK = 4
PUBLISHED_BLOCK = 16


def draw(rng: np.random.Generator, height: int, width: int, block: int = BLOCK) -> BlockKey:
    """A key for images of this size."""
    entries = CHANNELS * block**2
    return BlockKey(
        block,
        places=rng.permutation(count_blocks(height, width, block)),
        order=rng.permutation(entries)[None],
        negative=rng.random((1, entries)) < 0.5,
    )
