"""Key-Nets, the case of a generalised permutation.

Byrne, DeCann and Bloom, "Key-Nets: Optical Transformation Convolutional Networks for Privacy Preserving Vision
Sensors", BMVC 2020, arXiv:2008.04469: the sensor multiplies the image by a sparse invertible matrix, and the layers
of the network absorb its inverse.  Here the matrix has one entry in each row and column, a permutation with a gain
for each pixel; the paper's general case also mixes neighbours ("fractional pixel shuffling").  The sensor still
converts to 8 bits after the gain, so the inverse is exact to a grey level or so, not to the bit.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from peers import pixel_shuffle
from peers.block_cipher import Images

LEAST_GAIN = 0.5


@dataclass(frozen=True)
class Key:
    """A generalised permutation.

    Attributes:
        places: (h * w,) permutation; position k shows position ``places[k]``.
        gains: (h * w,) float32 from LEAST_GAIN to 1, of the shown positions.
    """

    places: NDArray[np.int64]
    gains: NDArray[np.float32]


def draw(rng: np.random.Generator, height: int, width: int) -> Key:
    """A key for images of this size."""
    gains = rng.uniform(LEAST_GAIN, 1, height * width).astype(np.float32)
    return Key(pixel_shuffle.draw(rng, height, width), gains)


def transform(images: Images, key: Key) -> Images:
    """Shuffle (n, h, w, 3) uint8 images and scale each pixel; InputError if the key is of another image size."""
    shuffled = pixel_shuffle.transform(images, key.places)
    return np.rint(shuffled * _over(key, images)).astype(np.uint8)


def inverse(images: Images, key: Key) -> Images:
    """The images of which ``transform`` made these, to within a grey level."""
    unscaled = np.minimum(np.rint(images / _over(key, images)), 255).astype(np.uint8)
    return pixel_shuffle.inverse(unscaled, key.places)


def _over(key: Key, images: Images) -> NDArray[np.float32]:
    return key.gains.reshape(1, *images.shape[1:3], 1)
