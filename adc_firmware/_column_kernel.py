"""Conversion and readout by a single-slope converter for each column, compiled by Numba on first use.

Levels are computed for a run of RUN samples in loops that compilers vectorise; each DN is then looked up, masked and
written to its place by itself.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from keyvault.compiled import compiled

RUN = 1024  # samples
Columns: TypeAlias = "tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int32]]"  # gains, levels, zeros
Ramp: TypeAlias = "tuple[NDArray[np.float64], NDArray[np.int32], float, int]"  # edges, starts, fine, margin


@compiled
def _levels(
    volts: NDArray[np.float32],
    gains: NDArray[np.float64],
    zeros: NDArray[np.float64],
    ramp: Ramp,
    level: NDArray[np.float64],
    cell: NDArray[np.int32],
) -> bool:
    """Levels of a run and their cells on the ramp; whether all volts are finite, without which there are none."""
    edges, _, fine, margin = ramp
    least, most, origin = float(-margin), edges[edges.size - 2], np.int32(-margin * int(fine))
    finite = 0
    for i in range(volts.size):
        finite += abs(volts[i]) < np.inf
    if finite < volts.size:
        return False
    for i in range(volts.size):
        level[i] = min(max(np.float64(volts[i]) * gains[i] + zeros[i], least), most)
    for i in range(volts.size):
        cell[i] = np.int32(np.int32(np.floor(level[i] * fine)) - origin)
    return True


@compiled
def _first_bad(volts: NDArray[np.float32], first: int) -> int:
    """Number of the first sample from photosite ``first`` on that is not finite; there is one."""
    samples = volts.shape[1]
    number = first * samples
    while abs(volts[number // samples, number % samples]) < np.inf:
        number += 1
    return number


@compiled
def _place(
    run: tuple[NDArray[np.float64], NDArray[np.int32], NDArray[np.int32]],
    ramp: Ramp,
    top: np.uint16,
    table: NDArray[np.int32],
    words: NDArray[np.uint16],
    out: NDArray[np.uint16],
) -> None:
    """Write the DN of a run to their places.

    A run is levels, cells and what to subtract from the indices of codes (adc_firmware.ramp.Ramp).
    """
    level, cell, zeros = run
    edges, starts, _, _ = ramp
    masked = words.size > 0
    for i in range(table.size):
        code = np.int64(starts[np.uint32(cell[i])])
        code += np.int64(level[i] >= edges[np.uint32(code + 1)])
        dn = np.uint16(min(max(code - zeros[i], 0), np.int64(top)))
        out[np.uint32(table[i])] = (dn + words[i]) & top if masked else dn


@compiled
def read_columns(
    volts: NDArray[np.float32],
    start: tuple[int, Columns, Ramp],
    top: np.uint16,
    table: NDArray[np.int32],
    words: NDArray[np.uint16],
    out: NDArray[np.uint16],
) -> int:
    """As read_volts, each sample by the converter of its column; ``start`` is (column of the first, columns, ramp)."""
    column, (gains, levels, zeros), ramp = start
    masked = words.shape[0] > 0
    width, samples = gains.size, volts.shape[1]
    level, cell = np.empty(RUN, np.float64), np.empty(RUN, np.int32)
    low = 0
    while low < table.size:
        high = low + min(RUN, table.size - low, width - column)
        end = column + high - low
        for c in range(samples):
            if not _levels(volts[low:high, c], gains[column:end], levels[column:end], ramp, level, cell):
                return _first_bad(volts, low)
            hidden = words[low:high, c] if masked else words[:, c]
            _place((level, cell, zeros[column:end]), ramp, top, table[low:high], hidden, out[:, c])
        low, column = high, end % width
    return -1
