"""Loops of conversion, readout and unmasking, compiled by Numba on first use.

Arrays of samples are (photosites, samples a photosite); ``words`` has the same shape as the
samples it masks, or no rows where the policy has no mask.  None of these functions checks its
arguments, except for the values of samples: they return the number of the first sample that
has no DN, or -1.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from keyvault.compiled import compiled

FAR = 2.0**18  # DN; a level beyond it is off the scale whatever a column adds
HELD = 16  # samples
Columns: TypeAlias = "tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int32]]"  # gains, levels, zeros
Ramp: TypeAlias = "tuple[NDArray[np.float64], NDArray[np.int32], float]"  # edges, starts, fine


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
    for p in range(table.size):
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
def read_columns(
    volts: NDArray[np.float32],
    start: tuple[int, Columns, Ramp],
    top: np.uint16,
    table: NDArray[np.int32],
    words: NDArray[np.uint16],
    out: NDArray[np.uint16],
) -> int:
    """As read_volts, each sample by the converter of its column; ``start`` is (column of the first, columns, ramp).

    The code of a level is looked up as adc_firmware.ramp.Ramp says.  It is not a function of its own:
    a call with arrays would count references to them at every sample.  HELD samples are masked
    before they are written, since look-ups between writes to random places wait for these.
    """
    column, (gains, levels, zeros), (edges, starts, fine) = start
    masked = words.shape[0] > 0
    width, cells, end = gains.size, starts.size, edges[edges.size - 2]
    samples = volts.shape[1]
    held = np.empty(HELD, np.uint16)
    for low in range(0, table.size, HELD):
        high = min(table.size, low + HELD)
        for p in range(low, high):
            for c in range(samples):
                if not abs(volts[p, c]) < np.inf:
                    return p * samples + c
        for c in range(samples):
            x = column
            for p in range(low, high):
                level = min(max(np.float64(volts[p, c]) * gains[x] + levels[x], -FAR), FAR)
                code = int(starts[min(max(int(level * fine), 0), cells - 1)])
                code += int(level >= edges[code + 1])
                if level < 1:
                    code = int(np.floor(level))
                elif level >= end:
                    code = max(int(top), int(np.floor(level - (end - int(top)))))
                dn = np.uint16(min(max(code - zeros[x], 0), np.int64(top)))
                held[p - low] = (dn + words[p, c]) & top if masked else dn
                x = x + 1 if x + 1 < width else 0
            for p in range(low, high):
                out[np.uint32(table[p]), c] = held[p - low]
        column = (column + HELD) % width
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
    for p in range(table.size):
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
    for p in range(table.size):
        target = np.uint32(table[p])
        for c in range(words.shape[1]):
            out[target, c] = words[p, c]


@compiled
def subtract(stored: NDArray[np.uint16], top: np.uint16, out: NDArray[np.uint16]) -> None:
    """Replace each word in a line of them by (stored - word) & top."""
    for i in range(stored.size):
        out[i] = (stored[i] - out[i]) & top
