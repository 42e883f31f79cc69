"""Black level, white balance and demosaicing at key-given positions, in integers (docs/isp.md, section 2).

:func:`balance` moves a patch of balanced samples into an order of its own; the other kernels
walk over true pixels, fetch their taps from wherever that order put them, and write each pixel
where the target's order says.  Nothing that is read or written lies in true order.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from keyvault.compiled import compiled
from keyvault.policy import Cfa

BILINEAR_REACH, MALVAR_REACH = 1, 2  # farthest tap, in photosites
_COLOURS = {"R": 0, "G": 1, "B": 2}


class Frame(NamedTuple):
    """Shuffled samples and how to read them.

    Attributes:
        samples: uint16 (photosites, 1 or 3), stored order, mask taken off.
        table: int32 (photosites,), stored position of each true raster position.
        width: photosites of a row.
        colours: int64 (4, 1 or 3), 0 red, 1 green, 2 blue: of each phase 2 * (y & 1) + (x & 1).
        balanced: int32 (3, 2**bits), what a DN of each colour becomes.
    """

    samples: NDArray[np.uint16]
    table: NDArray[np.int32]
    width: int
    colours: NDArray[np.int64]
    balanced: NDArray[np.int32]


class Area(NamedTuple):
    """A rectangle of photosites: ``first_row <= y < last_row`` and the same for columns."""

    first_row: int
    last_row: int
    first_column: int
    last_column: int


class Patch(NamedTuple):
    """Balanced samples of a rectangle of photosites in a secret order.

    Attributes:
        values: int32 (places, 1 or 3), -top to top.
        order: int32 (places or more,), place of each raster position of the rectangle.
        row_starts: int32, raster position at which each row that taps fall in starts.
        columns: int32, column of the rectangle for each column that taps fall in.
        colours: int64 (4,), 0 red, 1 green, 2 blue: colours of the quad at the first pixel.
    """

    values: NDArray[np.int32]
    order: NDArray[np.int32]
    row_starts: NDArray[np.int32]
    columns: NDArray[np.int32]
    colours: NDArray[np.int64]


class Target(NamedTuple):
    """Where demosaiced pixels go.

    Attributes:
        out: float32 (places, 3).
        layout: int32, place of each raster position of ``width`` columns, from the first pixel on.
        tone: float32 (top + 1, 3), output value of each integer value.
        height, width: pixels.
    """

    out: NDArray[np.float32]
    layout: NDArray[np.int32]
    tone: NDArray[np.float32]
    height: int
    width: int


def mirrored(first: int, last: int, length: int) -> NDArray[np.int64]:
    """Indices ``first`` to ``last - 1``, those outside 0 to ``length - 1`` mirrored about the edge.

    The edge itself is not repeated, so even lengths keep the phase of a colour filter array.
    """
    period = max(2 * (length - 1), 1)
    index = np.arange(first, last) % period
    return np.minimum(index, period - index) if length > 1 else np.zeros(last - first, np.int64)


def phase_colours(cfa: Cfa) -> NDArray[np.int64]:
    """int64 (4,): 0 red, 1 green, 2 blue, of each phase of a colour filter array; greens without one."""
    return np.array([_COLOURS[letter] for letter in ("GGGG" if cfa is Cfa.NONE else cfa)], np.int64)


@compiled
def balance(frame: Frame, area: Area, order: NDArray[np.int32], values: NDArray[np.int32]) -> None:
    """Look up what black level and white balance make of an area's samples and put them in ``order``."""
    # A table instead of arithmetic with clipping: a branch on a sample that is still on its way
    # from memory would cost several times the rest.
    last_dn = frame.balanced.shape[1] - 1
    place = 0
    for y in range(area.first_row, area.last_row):
        for x in range(area.first_column, area.last_column):
            phase = 2 * (y & 1) + (x & 1)
            stored = np.uint32(frame.table[np.uint32(y * frame.width + x)])
            target = np.uint32(order[place])
            place += 1
            for c in range(frame.samples.shape[1]):
                dn = frame.samples[stored, c] & last_dn
                values[target, c] = frame.balanced[frame.colours[phase, c], dn]


@compiled
def _at(patch: Patch, row_start: int, column: int) -> int:
    value: int = patch.values[np.uint32(patch.order[np.uint32(row_start + column)]), 0]
    return value


@compiled
def _put(target: Target, place: np.uint32, channel: int, value: int) -> None:
    top = target.tone.shape[0] - 1
    target.out[place, channel] = target.tone[np.uint32(min(max(value, 0), top)), channel]


@compiled
def photosites(patch: Patch, target: Target) -> None:
    """Sensors without a colour filter array: three values as they are, or one value three times."""
    step = 1 if patch.values.shape[1] == 3 else 0
    for row in range(target.height):
        for column in range(target.width):
            stored = np.uint32(patch.order[patch.row_starts[row] + patch.columns[column]])
            place = np.uint32(target.layout[row * target.width + column])
            for channel in range(3):
                _put(target, place, channel, patch.values[stored, step * channel])


@compiled
def quads(patch: Patch, target: Target) -> None:
    """One pixel a quad; its two greens are averaged, halves rounded up."""
    for row in range(target.height):
        for column in range(target.width):
            place = np.uint32(target.layout[row * target.width + column])
            green = 0
            for phase in range(4):
                value = _at(patch, patch.row_starts[2 * row + (phase >> 1)], patch.columns[2 * column + (phase & 1)])
                if patch.colours[phase] == 1:
                    green += value
                else:
                    _put(target, place, patch.colours[phase], value)
            _put(target, place, 1, (green + 1) >> 1)


@compiled
def bilinear(patch: Patch, target: Target) -> None:
    """Means of the 2 or 4 nearest samples of a colour, halves rounded up."""
    for row in range(target.height):
        above, here, below = patch.row_starts[row], patch.row_starts[row + 1], patch.row_starts[row + 2]
        for column in range(target.width):
            left, x, right = patch.columns[column], patch.columns[column + 1], patch.columns[column + 2]
            phase = 2 * (row & 1) + (column & 1)
            own = patch.colours[phase]
            centre = _at(patch, here, x)
            sides = _at(patch, here, left) + _at(patch, here, right)
            uprights = _at(patch, above, x) + _at(patch, below, x)
            place = np.uint32(target.layout[row * target.width + column])
            _put(target, place, own, centre)
            if own == 1:
                _put(target, place, patch.colours[phase ^ 1], (sides + 1) >> 1)
                _put(target, place, patch.colours[phase ^ 2], (uprights + 1) >> 1)
            else:
                across = _at(patch, above, left) + _at(patch, above, right)
                across += _at(patch, below, left) + _at(patch, below, right)
                _put(target, place, 1, (sides + uprights + 2) >> 2)
                _put(target, place, 2 - own, (across + 2) >> 2)


@compiled
def malvar(patch: Patch, target: Target) -> None:
    """Malvar, He and Cutler's filters in sixteenths, halves rounded up."""
    starts, columns = patch.row_starts, patch.columns
    for row in range(target.height):
        above, here, below = starts[row + 1], starts[row + 2], starts[row + 3]
        for column in range(target.width):
            left, x, right = columns[column + 1], columns[column + 2], columns[column + 3]
            phase = 2 * (row & 1) + (column & 1)
            own = patch.colours[phase]
            centre = _at(patch, here, x)
            sides = _at(patch, here, left) + _at(patch, here, right)
            uprights = _at(patch, above, x) + _at(patch, below, x)
            across = _at(patch, above, left) + _at(patch, above, right)
            across += _at(patch, below, left) + _at(patch, below, right)
            far_sides = _at(patch, here, columns[column]) + _at(patch, here, columns[column + 4])
            far_uprights = _at(patch, starts[row], x) + _at(patch, starts[row + 4], x)
            place = np.uint32(target.layout[row * target.width + column])
            _put(target, place, own, centre)
            if own == 1:
                to_side = 10 * centre + 8 * sides - 2 * (far_sides + across) + far_uprights
                to_upright = 10 * centre + 8 * uprights - 2 * (far_uprights + across) + far_sides
                _put(target, place, patch.colours[phase ^ 1], (to_side + 8) >> 4)
                _put(target, place, patch.colours[phase ^ 2], (to_upright + 8) >> 4)
            else:
                far = far_sides + far_uprights
                _put(target, place, 1, (8 * centre + 4 * (sides + uprights) - 2 * far + 8) >> 4)
                _put(target, place, 2 - own, (12 * centre + 4 * across - 3 * far + 8) >> 4)
