"""Photons to volts, compiled by Numba on first use.

All randomness is Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3",
SC 2011), a function of a key and a counter without state.  The key is the seed, the counter is
(sample, draw, frame), so the noise of a sample depends on nothing but the seed, its frame and its
place: rows can be exposed in any order, in any blocks, on any number of threads.

Fixed patterns come from the same generator under the sensor's serial number, with counters (place,
kind, 0, FIXED).  Frames are numbered below 2**63, so no noise has such a counter, whatever its seed.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from keyvault.compiled import compiled

Words = tuple[np.uint64, np.uint64, np.uint64, np.uint64]
Pattern = tuple[np.uint64, NDArray[np.float32]]  # serial number, quantiles

_LOW = np.uint64(0xFFFFFFFF)
_SHIFT = np.uint64(32)
_HALF, _HALF_SHIFT = np.uint64(0xFFFF), np.uint64(16)
_M0, _M1 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_W0, _W1 = np.uint64(0x9E3779B9), np.uint64(0xBB67AE85)
FIXED = 0xFFFFFFFF  # last counter word of all fixed patterns
SAMPLES, ROWS, COLUMNS = 0, 1, 2  # their second counter word
_POISSON_BY_INVERSION = 10.0  # mean below which the distribution is searched from 0


@compiled
def philox(c0: int, c1: int, c2: int, c3: int, seed: np.uint64) -> Words:
    """Four random 32-bit words of a counter (four 32-bit words) under a 64-bit key."""
    x0, x1, x2, x3 = np.uint64(c0), np.uint64(c1), np.uint64(c2), np.uint64(c3)
    k0, k1 = np.uint64(seed) & _LOW, np.uint64(seed) >> _SHIFT
    for _ in range(10):
        p0, p1 = _M0 * x0, _M1 * x2
        x0, x1, x2, x3 = (p1 >> _SHIFT) ^ x1 ^ k0, p1 & _LOW, (p0 >> _SHIFT) ^ x3 ^ k1, p0 & _LOW
        k0, k1 = (k0 + _W0) & _LOW, (k1 + _W1) & _LOW
    return x0, x1, x2, x3


@compiled
def _uniform(word: np.uint64) -> float:
    """A number strictly between 0 and 1."""
    return (np.float64(word) + 0.5) * 2.0**-32


@compiled
def normal(w0: np.uint64, w1: np.uint64) -> float:
    """A standard normal number (Box and Muller 1958)."""
    return math.sqrt(-2.0 * math.log(_uniform(w0))) * math.cos(2.0 * math.pi * _uniform(w1))


@compiled
def _poisson_small(mean: float, w0: np.uint64, w1: np.uint64) -> float:
    """Poisson for a small mean: the least k whose distribution function exceeds a uniform number."""
    u = (np.float64(w0) + (np.float64(w1) + 0.5) * 2.0**-32) * 2.0**-32
    p, k = math.exp(-mean), 0.0
    while u > p and k < 200.0:
        u -= p
        k += 1.0
        p *= mean / k
    return k


@compiled
def poisson(mean: float, sample: int, frame: int, seed: np.uint64, words: Words) -> float:
    """A Poisson number: transformed rejection with squeeze (Hoermann 1993, PTRS), exact for any mean.

    ``words`` are the sample's draw 0, of which two are used; later tries take draws 1, 2, ...
    """
    if mean < _POISSON_BY_INVERSION:
        return _poisson_small(mean, words[0], words[1])
    b = 0.931 + 2.53 * math.sqrt(mean)
    a = -0.059 + 0.02483 * b
    v_r = 0.9277 - 3.6224 / (b - 2.0)
    w0, w1, draw = words[0], words[1], 0
    while True:
        u, v = _uniform(w0) - 0.5, _uniform(w1)
        us = 0.5 - abs(u)
        k = math.floor((2.0 * a / us + b) * u + mean + 0.43)
        if us >= 0.07 and v <= v_r:
            return k
        if k >= 0.0 and (us >= 0.013 or v <= us):
            inverse_alpha = 1.1239 + 1.1328 / (b - 3.4)
            chance = math.log(v) + math.log(inverse_alpha) - math.log(a / (us * us) + b)
            if chance <= k * math.log(mean) - mean - math.lgamma(k + 1.0):
                return k
        draw += 1
        w0, w1, _, _ = philox(sample, draw, frame & 0xFFFFFFFF, frame >> 32, seed)


@compiled
def fixed_lines(kind: int, first: int, pattern: Pattern, sigma: float, out: NDArray[np.float64]) -> None:
    """Fill ``out`` with the offsets (e-) of the rows or columns from number ``first``."""
    serial, quantiles = pattern
    for i in range(out.size):
        out[i] = sigma * quantiles[philox(first + i, kind, 0, FIXED, serial)[0] & _HALF]


@compiled
def _light(weight: NDArray[np.float64], radiance: NDArray[np.float32]) -> float:
    """Electrons of three channels of light."""
    return weight[0] * radiance[0] + weight[1] * radiance[1] + weight[2] * radiance[2]


@compiled
def _expect(
    radiance: NDArray[np.float32],
    mix: NDArray[np.float64],
    pixel: tuple[float, float, float, float],
    first: int,
    out: NDArray[np.float32],
) -> None:
    """What :func:`expose` gives without noise and patterns, and faster."""
    full_well, _, volts, dark = pixel
    rows, width, samples = out.shape
    for r in range(rows):
        for x in range(width):
            for s in range(samples):
                mean = _light(mix[(first + r) & 1, x & 1, s], radiance[r, x]) + dark
                out[r, x, s] = min(mean, full_well) * volts


@compiled
def expose(
    radiance: NDArray[np.float32],
    mix: NDArray[np.float64],
    pixel: tuple[float, float, float, float],
    noise: tuple[bool, np.uint64, int],
    fixed: tuple[bool, Pattern, float, float, NDArray[np.float64], NDArray[np.float64]],
    first: int,
    out: NDArray[np.float32],
) -> None:
    """Volts of some rows of photosites.

    Args:
        radiance: (rows, w, 3).
        mix: (2, 2, samples, 3), electrons of each sample of a photosite for a radiance of 1.0 in
            red, green and blue, by the photosite's row and column modulo 2.
        pixel: full well (e-), read noise (e-), volts per electron, mean dark charge (e-).
        noise: whether there is any, seed, number of the frame.
        fixed: whether there are patterns; serial number and the normal distribution's quantiles at
            (i + 0.5) / 65536; PRNU; DSNU of the samples (e-); offsets of these rows and of the
            columns (e-).
        first: number of the first of the rows.
        out: (rows, w, samples).
    """
    full_well, read_noise, volts, dark = pixel
    noisy, seed, frame = noise
    patterned, (serial, quantiles), prnu, dsnu, row_offsets, column_offsets = fixed
    if not (noisy or patterned):
        _expect(radiance, mix, pixel, first, out)
        return
    rows, width, samples = out.shape
    block, own = -1, philox(0, SAMPLES, 0, FIXED, serial)
    for r in range(rows):
        for x in range(width):
            for s in range(samples):
                sample = ((first + r) * width + x) * samples + s
                mean, offset = _light(mix[(first + r) & 1, x & 1, s], radiance[r, x]), 0.0
                if patterned:  # four samples share four words
                    if sample >> 2 != block:
                        block = sample >> 2
                        own = philox(block, SAMPLES, 0, FIXED, serial)
                    word = own[sample & 3]
                    mean *= 1.0 + prnu * quantiles[word & _HALF]
                    offset = dsnu * quantiles[word >> _HALF_SHIFT] + row_offsets[r] + column_offsets[x]
                mean += dark
                electrons = min(mean, full_well)
                if noisy:
                    words = philox(sample, 0, frame & 0xFFFFFFFF, frame >> 32, seed)
                    if mean < 2.0 * full_well + 100.0:  # beyond, fewer than a full well has no chance
                        electrons = min(poisson(mean, sample, frame, seed, words), full_well)
                    electrons += read_noise * normal(words[2], words[3])
                out[r, x, s] = (electrons + offset) * volts
