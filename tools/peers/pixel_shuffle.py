"""Pixel shuffling by one permutation of all positions.

Equation 1 of Perez, Lopez and Arguello, "Privacy-Preserving Deep Learning Using Deformable Operators for Secure Task
Learning", ICASSP 2024, doi 10.1109/ICASSP48485.2024.10446218: position k of the result shows position ``key[k]`` of
the image, in all channels, and the same key serves every image.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from keyvault.errors import InputError
from peers.block_cipher import Images

Key = NDArray[np.int64]


def draw(rng: np.random.Generator, height: int, width: int) -> Key:
    """A permutation of height * width positions."""
    return rng.permutation(height * width)


def transform(images: Images, key: Key) -> Images:
    """Shuffle (n, h, w, 3) uint8 images; InputError if the key is of another image size."""
    return _flat(images, key)[:, key].reshape(images.shape)


def inverse(images: Images, key: Key) -> Images:
    """The images of which ``transform`` made these."""
    return _flat(images, key)[:, np.argsort(key)].reshape(images.shape)


def _flat(images: Images, key: Key) -> Images:
    n, height, width, channels = images.shape
    if len(key) != height * width:
        raise InputError(
            f"the key is for {len(key)} positions, the images have {height * width}",
            hint="draw a key for this image size",
        )
    return images.reshape(n, height * width, channels)
