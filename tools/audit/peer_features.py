"""What the keys of the peers leave as it was: statistics that moving and reversing samples does not touch."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from audit.attacks.reidentification import quantiles

Images = NDArray[np.uint8]
Floats = NDArray[np.float64]
TILES = 8  # of a thumbnail, along each side


def _line(images: Images, channels: int) -> NDArray[np.uint16]:
    return images.reshape(len(images), -1, channels).astype(np.uint16)


def values(images: Images) -> Floats:
    """Quantiles of each colour, (n, h, w, 3) to (n, f): pixels may move."""
    return quantiles(_line(images, 3))


def folded(images: Images) -> Floats:
    """Quantiles of all samples' distance to the nearer of 0 and 255: samples may move and be made negative."""
    return quantiles(_line(np.minimum(images, np.uint8(255) - images), 1))


def folded_halves(images: Images) -> Floats:
    """The same of four-bit halves, as shares of their eight distances: halves may move and be made negative."""
    found = np.empty((len(images), 8))
    for row, image in zip(found, images, strict=True):
        halves = np.bincount(image.ravel() & 15, minlength=16) + np.bincount(image.ravel() >> 4, minlength=16)
        row[:] = (halves + halves[::-1])[:8] / (2 * image.size)
    return found * 1000


def samples(images: Images) -> Floats:
    """Quantiles of all samples: they may move, to other colours too, and have gains that are drawn alike."""
    return quantiles(_line(images, 1))


def thumbnail(images: Images, tiles: int = TILES) -> Floats:
    """Mean colours of tiles: nothing may leave its tile."""
    return _tiled(images, tiles).mean(axis=(2, 4), dtype=np.float64).reshape(len(images), -1)


def tile_statistics(images: Images, tiles: int = TILES) -> Floats:
    """What can be said of every tile whatever moves inside it: (n, f).

    Means and deviations of each colour, and the mean distance of values and of their halves to the middle.
    """
    cut = _tiled(images, tiles)
    parts = (cut, np.abs(cut - 127.5), np.abs((cut & 15) - 7.5), np.abs((cut >> 4) - 7.5))
    found = [*(part.mean(axis=(2, 4)) for part in parts), cut.std(axis=(2, 4))]
    return np.concatenate([one.reshape(len(images), -1) for one in found], axis=1)


def _tiled(images: Images, tiles: int) -> Images:
    count, height, width, channels = images.shape
    return images.reshape(count, tiles, height // tiles, tiles, width // tiles, channels)


#: What no order of a picture's samples changes, by what a reader calls it.
OF_VALUES: Mapping[str, Callable[[Images], Floats]] = {
    "the values of each colour": values,
    "values or their negatives": folded,
    "halves of values or their negatives": folded_halves,
    "the values of all colours": samples,
}
