"""From integer linear light to float32: one table look-up.

The demosaiced value v, an integer from 0 to top = white level - black level, becomes
x = v / top in float32, then the transfer function, then (x - mean) / std.  As v has few values,
the table holds all of them, and the float arithmetic is the same wherever a pixel lies.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from inference.imaging.settings import Gamma, Triple

NO_MEAN: Triple = (0.0, 0.0, 0.0)
NO_STD: Triple = (1.0, 1.0, 1.0)

SRGB_LINEAR_LIMIT = 0.0031308  # IEC 61966-2-1: below it the curve is a line
SRGB_SLOPE = 12.92
SRGB_OFFSET = 0.055
SRGB_EXPONENT = 2.4


def srgb(linear: NDArray[np.float64]) -> NDArray[np.float64]:
    """The sRGB opto-electronic transfer function of values in [0, 1]."""
    curve = (1 + SRGB_OFFSET) * np.power(linear, 1 / SRGB_EXPONENT) - SRGB_OFFSET
    return np.where(linear <= SRGB_LINEAR_LIMIT, SRGB_SLOPE * linear, curve)


@lru_cache(maxsize=16)
def tone_table(top: int, gamma: Gamma, mean: Triple | None, std: Triple | None) -> NDArray[np.float32]:
    """float32 (top + 1, 3), read-only: the output value of each integer value and channel."""
    levels = np.arange(top + 1, dtype=np.float32) / np.float32(top)
    if gamma is Gamma.SRGB:
        levels = srgb(np.arange(top + 1, dtype=np.float64) / top).astype(np.float32)
    shift, scale = normalisation(mean, std)
    table = np.ascontiguousarray((levels[:, None] - shift) / scale)
    table.flags.writeable = False
    return table


def normalisation(mean: Triple | None, std: Triple | None) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Mean and standard deviation as float32 (3,); 0 and 1 where there are none."""
    return np.asarray(mean or NO_MEAN, np.float32), np.asarray(std or NO_STD, np.float32)
