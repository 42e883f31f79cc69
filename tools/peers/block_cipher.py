"""What block-wise schemes share: entries of a block change places and signs, then whole blocks change places.

LE, ELE, EtC and PrivConv are all of this form and differ in how their keys are drawn, so that one pair of
functions serves them all.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from keyvault.errors import InputError

Images = NDArray[np.uint8]
CHANNELS = 3


@dataclass(frozen=True)
class BlockKey:
    """The key of a block-wise scheme.

    A block of ``block`` x ``block`` x c values is a row of entries: its values in row, column, channel order, or,
    with ``halves``, the lower four bits of all its values and then their upper four bits.

    Attributes:
        block: side in pixels.
        places: (blocks,) int; block i of the result is block ``places[i]`` of the image, in raster order.
        order: (blocks, entries) int, or (1, entries) for one order in all blocks; which entry comes to each place.
        negative: of the same shape, bool; which entries are then reversed, v to 255 - v (15 - v for halves).
        halves: entries are four bits wide.
        planes: the three channels are laid side by side as one grey image, whose blocks these are.
    """

    block: int
    places: NDArray[np.int64]
    order: NDArray[np.int64]
    negative: NDArray[np.bool_]
    halves: bool = False
    planes: bool = False


def count_blocks(height: int, width: int, block: int) -> int:
    """Blocks of an image; InputError if it is not a whole number of them."""
    if height % block or width % block:
        raise InputError(
            f"an image of {height} x {width} is not made of {block} x {block} blocks", hint="resize or crop it first"
        )
    return (height // block) * (width // block)


def transform(images: Images, key: BlockKey) -> Images:
    """Protect (n, h, w, 3) uint8 images; InputError if the key is of another image size."""
    source, negative = _table(images.shape, key)
    entries = _entries(images, key)[:, source] ^ (negative * _top(key))
    return _images(entries, images.shape, key)


def inverse(images: Images, key: BlockKey) -> Images:
    """The images of which ``transform`` made these."""
    source, negative = _table(images.shape, key)
    entries = np.empty((len(images), len(source)), np.uint8)
    entries[:, source] = _entries(images, key) ^ (negative * _top(key))
    return _images(entries, images.shape, key)


def _top(key: BlockKey) -> np.uint8:
    """The greatest value of an entry: v ^ top is top - v."""
    return np.uint8(15 if key.halves else 255)


def _table(shape: tuple[int, ...], key: BlockKey) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Where each entry of the result comes from, and whether it is reversed: (blocks * entries,) both."""
    _, height, width, channels = shape
    blocks = count_blocks(height, width, key.block) * (channels if key.planes else 1)
    entries = key.block**2 * (1 if key.planes else channels) * (2 if key.halves else 1)
    if len(key.places) != blocks or key.order.shape[1] != entries:
        raise InputError(
            f"the key is for {len(key.places)} blocks of {key.order.shape[1]} entries, the images have {blocks} "
            f"of {entries}",
            hint="draw a key for this image size",
        )
    source = np.arange(blocks)[:, None] * entries + key.order
    negative = np.broadcast_to(key.negative, source.shape)
    return source[key.places].reshape(-1), negative[key.places].reshape(-1)


def _entries(images: Images, key: BlockKey) -> Images:
    """(n, h, w, c) as (n, blocks * entries)."""
    if key.planes:
        images = np.concatenate(np.split(images, images.shape[3], axis=3), axis=2)
    n, height, width, channels = images.shape
    b = key.block
    tiles = images.reshape(n, height // b, b, width // b, b, channels).transpose(0, 1, 3, 2, 4, 5)
    blocks, values = (height // b) * (width // b), b * b * channels
    rows = tiles.reshape(n, blocks, values)
    if key.halves:
        rows = np.concatenate([rows & np.uint8(15), rows >> np.uint8(4)], axis=2)
    return rows.reshape(n, blocks * rows.shape[2])


def _images(entries: Images, shape: tuple[int, ...], key: BlockKey) -> Images:
    """What ``_entries`` was made of."""
    n, height, width, channels = shape
    if key.planes:
        width, channels = width * channels, 1
    b = key.block
    values = b * b * channels
    rows = entries.reshape(n, len(key.places), key.order.shape[1])
    if key.halves:
        rows = rows[:, :, :values] | rows[:, :, values:] << np.uint8(4)
    tiles = rows.reshape(n, height // b, width // b, b, b, channels).transpose(0, 1, 3, 2, 4, 5)
    images = tiles.reshape(n, height, width, channels)
    if key.planes:
        images = np.concatenate(np.split(images, shape[3], axis=2), axis=3)
    return np.ascontiguousarray(images)
