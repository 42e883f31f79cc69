"""Key-Nets, the case of a generalised permutation.

Byrne, DeCann and Bloom, "Key-Nets: Optical Transformation Convolutional Networks for Privacy Preserving Vision
Sensors", BMVC 2020, arXiv:2008.04469: the sensor multiplies the image by a sparse invertible matrix, and the layers
of the network absorb its inverse.  Here the matrix has one entry in each row and column: all values of the image
change places, whatever their colour, and each has a gain of its own; the paper's general case also mixes neighbours
("fractional pixel shuffling").  The authors' gains come as near to 0 as they like and stay real numbers; this sensor
converts to 8 bits after the gain, so gains begin at ``LEAST_GAIN``, and the inverse is exact to a grey level or so.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.typing import NDArray

from keyvault.errors import InputError
from peers.block_cipher import CHANNELS, Images

LEAST_GAIN = 0.5


@dataclass(frozen=True)
class Key:
    """A generalised permutation.

    Attributes:
        places: (3 h w,) permutation; value k of the result shows value ``places[k]``, in row, column, channel order.
        gains: (3 h w,) float32 from LEAST_GAIN to 1, of the shown values.
    """

    places: NDArray[np.int64]
    gains: NDArray[np.float32]


def draw(rng: np.random.Generator, height: int, width: int) -> Key:
    """A key for images of this size."""
    values = height * width * CHANNELS
    return Key(rng.permutation(values), rng.uniform(LEAST_GAIN, 1, values).astype(np.float32))


def transform(images: Images, key: Key) -> Images:
    """Shuffle and scale all values of (n, h, w, 3) uint8 images; InputError if the key is of another image size."""
    return np.rint(_flat(images, key)[:, key.places] * key.gains).astype(np.uint8).reshape(images.shape)


def inverse(images: Images, key: Key) -> Images:
    """The images of which ``transform`` made these, to within a grey level."""
    unscaled = np.minimum(np.rint(_flat(images, key) / key.gains), 255).astype(np.uint8)
    return unscaled[:, np.argsort(key.places)].reshape(images.shape)


def _flat(images: Images, key: Key) -> Images:
    flat = images.reshape(len(images), prod(images.shape[1:]))
    if flat.shape[1] != len(key.places):
        raise InputError(
            f"the key is for {len(key.places)} values, the images have {flat.shape[1]}",
            hint="draw a key for this image size",
        )
    return flat
