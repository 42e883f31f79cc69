"""Loops of conversion, readout and unmasking, compiled by Numba on first use.

Arrays of samples are (photosites, samples a photosite); ``words`` has the same shape as the
samples it masks, or no rows where the policy has no mask.  None of these functions checks its
arguments, except for the values of samples: they return the number of the first sample that
has no DN, or -1.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from adc_firmware._prefetch import prefetch_row
from keyvault.compiled import compiled

AHEAD = 48  # photosites whose places are asked for before they are written


@compiled
def _dn(volt: np.float32, gain: float, offset: float, top: np.uint16) -> np.uint16:
    """One DN: volt * gain + offset in binary64, clipped, rounded down."""
    level = np.float64(volt) * gain + offset
    return np.uint16(min(max(level, 0.0), np.float64(top)))


@compiled
def convert(volts: NDArray[np.float32], gain: float, offset: float, top: np.uint16, out: NDArray[np.uint16]) -> int:
    """DN of a line of volts."""
    for i in range(volts.size):
        if not abs(volts[i]) < np.inf:
            return i
        out[i] = _dn(volts[i], gain, offset, top)
    return -1


@compiled
def read_volts(
    volts: NDArray[np.float32],
    scale: tuple[float, float],
    top: np.uint16,
    table: NDArray[np.int32],
    words: NDArray[np.uint16],
    out: NDArray[np.uint16],
) -> int:
    """Convert each sample, mask it and write it to its keyed position; ``scale`` is (gain, offset)."""
    gain, offset = scale
    masked = words.shape[0] > 0
    samples = volts.shape[1]
    for p in range(min(AHEAD, table.size)):
        prefetch_row(out, np.int64(table[p]))
    for p in range(table.size):
        if p + AHEAD < table.size:
            prefetch_row(out, np.int64(table[p + AHEAD]))
        target = np.uint32(table[p])
        for c in range(samples):
            if not abs(volts[p, c]) < np.inf:
                return p * samples + c
            dn = _dn(volts[p, c], gain, offset, top)
            if masked:
                dn = (dn + words[p, c]) & top
            out[target, c] = dn
    return -1


@compiled
def read_dn(
    values: NDArray[np.uint16],
    top: np.uint16,
    table: NDArray[np.int32],
    words: NDArray[np.uint16],
    out: NDArray[np.uint16],
) -> int:
    """Check each DN, mask it and write it to its keyed position."""
    masked = words.shape[0] > 0
    samples = values.shape[1]
    for p in range(min(AHEAD, table.size)):
        prefetch_row(out, np.int64(table[p]))
    for p in range(table.size):
        if p + AHEAD < table.size:
            prefetch_row(out, np.int64(table[p + AHEAD]))
        target = np.uint32(table[p])
        for c in range(samples):
            dn = values[p, c]
            if dn > top:
                return p * samples + c
            if masked:
                dn = (dn + words[p, c]) & top
            out[target, c] = dn
    return -1


@compiled
def spread(words: NDArray[np.uint16], table: NDArray[np.int32], out: NDArray[np.uint16]) -> None:
    """Write the words of each photosite to its keyed position."""
    for p in range(min(AHEAD, table.size)):
        prefetch_row(out, np.int64(table[p]))
    for p in range(table.size):
        if p + AHEAD < table.size:
            prefetch_row(out, np.int64(table[p + AHEAD]))
        target = np.uint32(table[p])
        for c in range(words.shape[1]):
            out[target, c] = words[p, c]


@compiled
def subtract(stored: NDArray[np.uint16], top: np.uint16, out: NDArray[np.uint16]) -> None:
    """Replace each word in a line of them by (stored - word) & top."""
    for i in range(stored.size):
        out[i] = (stored[i] - out[i]) & top
