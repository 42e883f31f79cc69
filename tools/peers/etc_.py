"""EtC, encryption-then-compression.

Two forms.  ``draw``: blocks change places, each is rotated, inverted and made negative as a whole, and its colours
are shuffled; 4 x 4 blocks for 32 x 32 images, as Madono et al. (AAAI workshops 2020) classify them.  ``draw_grey``:
Chuman, Sirichotedumrong and Kiya, "Encryption-Then-Compression Systems Using Grayscale-Based Image Encryption for
JPEG Images" (IEEE TIFS 14(6), 2019): the three colour planes are laid side by side as one grey image of 8 x 8 blocks,
which change places, are rotated and inverted and made negative; a block may so move to another plane, and there is no
shuffling of colours.
"""

from __future__ import annotations

from itertools import permutations

import numpy as np
from numpy.typing import NDArray

from peers.block_cipher import CHANNELS, BlockKey, count_blocks, inverse, transform

__all__ = ["BLOCK", "GREY_BLOCK", "draw", "draw_grey", "inverse", "transform"]

BLOCK = 4
GREY_BLOCK = 8
_INVERSIONS = 3  # none, up-down, left-right


def draw(rng: np.random.Generator, height: int, width: int) -> BlockKey:
    """A key of the colour form for images of this size."""
    blocks = count_blocks(height, width, BLOCK)
    colours = np.array(list(permutations(range(CHANNELS))))[rng.integers(0, 6, blocks)]
    order = _turned(rng, blocks, BLOCK)[:, :, None] * CHANNELS + colours[:, None, :]
    return BlockKey(
        BLOCK,
        places=rng.permutation(blocks),
        order=order.reshape(blocks, -1),
        negative=_half_of_them(rng, blocks, CHANNELS * BLOCK**2),
    )


def draw_grey(rng: np.random.Generator, height: int, width: int) -> BlockKey:
    """A key of the grey-based form for images of this size."""
    blocks = CHANNELS * count_blocks(height, width, GREY_BLOCK)
    return BlockKey(
        GREY_BLOCK,
        places=rng.permutation(blocks),
        order=_turned(rng, blocks, GREY_BLOCK),
        negative=_half_of_them(rng, blocks, GREY_BLOCK**2),
        planes=True,
    )


def _turned(rng: np.random.Generator, blocks: int, block: int) -> NDArray[np.int64]:
    """(blocks, block**2): the positions of a block after its rotation and inversion."""
    grid = np.arange(block**2).reshape(block, block)
    turned = np.stack([_invert(np.rot90(grid, turn), how) for turn in range(4) for how in range(_INVERSIONS)])
    return turned[rng.integers(0, len(turned), blocks)].reshape(blocks, -1)


def _invert(grid: NDArray[np.int64], how: int) -> NDArray[np.int64]:
    return (grid, grid[::-1], grid[:, ::-1])[how]


def _half_of_them(rng: np.random.Generator, blocks: int, entries: int) -> NDArray[np.bool_]:
    """Half of the blocks are negative, each as a whole."""
    chosen = rng.permutation(blocks) % 2 == 1
    return np.repeat(chosen[:, None], entries, axis=1)
