"""Photons to volts, compiled by Numba on first use.

A line, which is one channel of a row, is exposed in tiles of TILE photosites.  The random words of a
tile belong to its row, its channel and its place in the row, so rows can be exposed in any order, in
any blocks, on any number of threads.

Counters of noise are (block, row + 2**16 * channel, frame) under the seed as key; block b of a tile
has the words for the shot noise of photosites b and b + TILE / 2, and then for their read noise.
Those of fixed patterns are (block, row + 2**16 * channel, kind, FIXED) under the sensor's serial
number; four photosites, TILE / 4 apart, share a block.  Frames are numbered below 2**63, so no noise
has such a counter, whatever its seed.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from sensor_sim import _random as random

TILE = 1024  # photosites; even, for filters repeat after two
FIXED = 0xFFFFFFFF  # last counter word of all fixed patterns
SAMPLES, ROWS, COLUMNS = 0, 1, 2  # their third counter word
MOST = 4e9  # electrons; four times the greatest full well, so more make no difference

_LOW = 0xFFFFFFFF
_UPPER, _MIDDLE, _SIXTEEN = np.uint32(0xFFFF0000), np.uint32(0x8000), np.uint32(16)
_ONE = np.float32(1)

Floats: TypeAlias = NDArray[np.float32]
Numbers: TypeAlias = NDArray[np.uint32]
Weights: TypeAlias = tuple[float, float, float]
Pixel: TypeAlias = tuple[float, float, float, float]  # as expose says
Noise: TypeAlias = tuple[bool, np.uint64, int]
Spread: TypeAlias = tuple[float, float, np.float32, float]
Fixed: TypeAlias = tuple[bool, np.uint64, float, float, Floats, Floats]


@random.vectorised
def fixed_lines(kind: int, first: int, serial: np.uint64, sigma: float, out: Floats) -> None:
    """Fill ``out`` with the offsets (e-) of the rows or columns from number ``first``."""
    words, width = np.empty((4, out.size), np.uint32), np.float32(sigma)
    random.fill(first, (0, kind, FIXED), serial, out.size, words)
    for i in range(out.size):
        out[i] = width * random.normal(words[0, i])


@random.vectorised
def _weights(mix: NDArray[np.float64]) -> Weights:
    return mix[0], mix[1], mix[2]


@random.vectorised
def _light(radiance: Floats, x: int, even: Weights, odd: Weights) -> float:
    """Electrons at column ``x``, whose filter is that of even or of odd columns."""
    alternate = x & 1 == 1
    red = (odd[0] if alternate else even[0]) * radiance[x, 0]
    green = (odd[1] if alternate else even[1]) * radiance[x, 1]
    blue = (odd[2] if alternate else even[2]) * radiance[x, 2]
    return max(red + green + blue, 0.0)


@random.vectorised
def _expect(radiance: Floats, even: Weights, odd: Weights, pixel: Pixel, out: Floats) -> None:
    """Volts of a line without noise and patterns."""
    full_well, _, volts, dark = pixel
    for x in range(out.size):
        out[x] = min(_light(radiance, x, even, odd) + dark, full_well) * volts


@random.vectorised
def _collect(radiance: Floats, even: Weights, odd: Weights, dark: float, out: Floats) -> None:
    """Mean electrons of a tile."""
    for x in range(out.size):
        out[x] = min(_light(radiance, x, even, odd) + dark, MOST)


@random.vectorised
def _vary(words: Numbers, spread: Spread, columns: Floats, mean: Floats, offset: Floats) -> None:
    """The pattern of a tile: its response changes the light in ``mean``; its offsets go to ``offset``.

    ``spread`` is PRNU, DSNU, the row's offset, and the dark charge to add; ``columns`` are their offsets.
    """
    prnu, dsnu, row, dark = np.float32(spread[0]), np.float32(spread[1]), spread[2], np.float32(min(spread[3], MOST))
    for x in range(mean.size):
        low, high = np.uint32(words[x] << _SIXTEEN), np.uint32(words[x] & _UPPER)
        mean[x] = mean[x] * (_ONE + prnu * random.normal(np.uint32(low | _MIDDLE))) + dark
        offset[x] = dsnu * random.normal(np.uint32(high | _MIDDLE)) + (row + columns[x])


@random.vectorised
def _shoot(mean: Floats, words: Numbers, normals: Floats, scratch: random.Scratch, out: Floats) -> None:
    """Electrons of a tile: Poisson numbers, by a word and the normal number of that word for each."""
    for x in range(mean.size):
        out[x] = random.poisson(mean[x], normals[x])
    random.poisson_small(mean, words, scratch, out)


@random.vectorised
def _read(electrons: Floats, full_well: float, offset: Floats, volts: float, out: Floats) -> None:
    """Volts of a tile without noise."""
    well, step = np.float32(full_well), np.float32(volts)
    for x in range(out.size):
        out[x] = (min(electrons[x], well) + offset[x]) * step


@random.vectorised
def _read_noisy(electrons: Floats, normals: Floats, offset: Floats, pixel: Pixel, out: Floats) -> None:
    """Volts of a tile with read noise."""
    well, sigma, step = np.float32(pixel[0]), np.float32(pixel[1]), np.float32(pixel[2])
    for x in range(out.size):
        out[x] = (min(electrons[x], well) + sigma * normals[x] + offset[x]) * step


@random.vectorised
def expose(
    radiance: Floats, mix: NDArray[np.float64], pixel: Pixel, noise: Noise, fixed: Fixed, first: int, out: Floats
) -> None:
    """Volts of some rows of photosites.

    Args:
        radiance: (rows, w, 3).
        mix: (2, 2, samples, 3), electrons of each sample of a photosite for a radiance of 1.0 in
            red, green and blue, by the photosite's row and column modulo 2.
        pixel: full well (e-), read noise (e-), volts per electron, mean dark charge (e-).
        noise: whether there is any, seed, number of the frame.
        fixed: whether there are patterns; serial number; PRNU; DSNU of the samples (e-); offsets of
            these rows and of the columns (e-).
        first: number of the first of the rows.
        out: (rows, samples, w).
    """
    rows, samples, width = out.shape
    noisy, seed, frame = noise
    patterned, serial, prnu, dsnu, row_offsets, column_offsets = fixed
    dark = pixel[3]
    own, words = np.empty((4, TILE // 4), np.uint32), np.empty((4, TILE // 2), np.uint32)
    mean, offset, electrons = np.empty(TILE, np.float32), np.zeros(TILE, np.float32), np.empty(TILE, np.float32)
    shot, read = np.empty(TILE, np.float32), np.empty(TILE, np.float32)
    scratch = (np.empty(TILE, np.int32), np.empty((4, random.TOGETHER), np.float64))
    for r in range(rows):
        for s in range(samples):
            even, odd = _weights(mix[(first + r) & 1, 0, s]), _weights(mix[(first + r) & 1, 1, s])
            if not (noisy or patterned):
                _expect(radiance[r], even, odd, pixel, out[r, s])
                continue
            line = first + r + (s << 16)
            for start in range(0, width, TILE):
                n = min(width - start, TILE)
                end, tile = start + n, start // TILE
                _collect(radiance[r, start:end], even, odd, 0.0 if patterned else dark, mean[:n])
                if patterned:
                    random.fill(tile * (TILE // 4), (line, SAMPLES, FIXED), serial, min(n, TILE // 4), own)
                    spread = (prnu, dsnu, row_offsets[r], dark)
                    _vary(own.reshape(-1), spread, column_offsets[start:end], mean[:n], offset)
                if noisy:
                    random.fill(tile * (TILE // 2), (line, frame & _LOW, frame >> 32), seed, min(n, TILE // 2), words)
                    flat = words.reshape(-1)
                    random.normals(flat[:TILE], shot[:n])
                    random.normals(flat[TILE:], read[:n])
                    _shoot(mean[:n], flat, shot, scratch, electrons)
                    _read_noisy(electrons, read, offset, pixel, out[r, s, start:end])
                else:
                    _read(mean, pixel[0], offset, pixel[2], out[r, s, start:end])
