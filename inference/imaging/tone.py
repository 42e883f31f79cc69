"""Functions of one value, as tables: from DN to balanced samples, from pixels to float32.

As DN and demosaiced values are few, a table holds all of them, and the arithmetic is the same
wherever a sample or pixel lies.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from inference.imaging.settings import Gamma, Triple

GAIN_BITS = 10
UNITY = 1 << GAIN_BITS  # a white-balance gain of 1.0

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
def balance_table(bits: int, black: int, top: int, gains: tuple[int, int, int]) -> NDArray[np.int32]:
    """int32 (3, 2**bits), read-only: what each DN of red, green and blue becomes.

    ((dn - black) * gain + 512) >> 10, an arithmetic shift, clipped to -top .. top.  Values below black
    stay negative, so that noise about black keeps its mean through the demosaic.
    """
    linear = np.arange(2**bits, dtype=np.int64) - black
    balanced = (linear * np.array(gains, np.int64)[:, None] + UNITY // 2) >> GAIN_BITS
    table = np.clip(balanced, -top, top).astype(np.int32)
    table.flags.writeable = False
    return table


@lru_cache(maxsize=16)
def tone_table(top: int, gamma: Gamma, mean: Triple | None, std: Triple | None) -> NDArray[np.float32]:
    """float32 (top + 1, 3), read-only: the output value of each demosaiced value and channel.

    x = value / top in float32, then the transfer function, then (x - mean) / std.
    """
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
