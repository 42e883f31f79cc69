"""Resizing at key-given positions, one axis at a time.

The weights are those of bilinear interpolation with antialiasing and half-pixel centres, as
torch.nn.functional.interpolate(mode="bilinear", antialias=True) defines them: a triangle of
half-width max(1, in / out) about (i + 0.5) * in / out, cut at the edges, with sum 1.  Sums run over
taps in true order, in float32, so that the result does not depend on where values lie.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from keyvault.compiled import compiled


class AxisTaps(NamedTuple):
    """Taps of a window of output positions along one axis.

    Attributes:
        starts: int32 (count,), first input position of each output position.
        weights: float32 (count, taps), zero where an output position has fewer taps.
        counts: int32 (count,), number of taps.
    """

    starts: NDArray[np.int32]
    weights: NDArray[np.float32]
    counts: NDArray[np.int32]

    @property
    def first(self) -> int:
        """First input position that any output position needs."""
        return int(self.starts.min())

    @property
    def last(self) -> int:
        """One past the last input position that any output position needs."""
        return int((self.starts + self.counts).max())


class Grid(NamedTuple):
    """Pixels in a secret order.

    Attributes:
        values: float32 (positions, 3).
        layout: int32 (positions,), where each true raster position lies.
        width: columns of the true raster.
    """

    values: NDArray[np.float32]
    layout: NDArray[np.int32]
    width: int


class Step(NamedTuple):
    """One scaling.

    Attributes:
        taps: of the axis that is scaled.
        row, column: where, in input positions, the source's first pixel is.
        vertical: rows are scaled; otherwise columns.
    """

    taps: AxisTaps
    row: int
    column: int
    vertical: bool


@lru_cache(maxsize=64)
def axis_taps(size_in: int, size_out: int, first: int, count: int) -> AxisTaps:
    """Taps of output positions ``first`` to ``first + count`` of an axis scaled to ``size_out``."""
    scale = size_in / size_out
    support = max(scale, 1.0)
    centres = scale * (np.arange(first, first + count) + 0.5)
    starts = np.maximum((centres - support + 0.5).astype(np.int64), 0)
    counts = np.minimum((centres + support + 0.5).astype(np.int64), size_in) - starts
    tap = np.arange(int(counts.max()))
    distance = np.abs(starts[:, None] + tap - centres[:, None] + 0.5) / support
    weights = np.where(tap < counts[:, None], np.maximum(1 - distance, 0), 0)
    weights /= weights.sum(1, keepdims=True)
    taps = AxisTaps(starts.astype(np.int32), weights.astype(np.float32), counts.astype(np.int32))
    for array in taps:
        array.flags.writeable = False
    return taps


@compiled
def resample(source: Grid, target: Grid, step: Step, first: int, last: int) -> None:
    """Write rows ``first`` to ``last - 1`` of ``target``: ``source``, scaled along one axis."""
    taps = step.taps
    for row in range(first, last):
        for column in range(target.width):
            if step.vertical:
                output, stride, y, x = row, source.width, taps.starts[row], column
            else:
                output, stride, y, x = column, 1, row, taps.starts[column]
            position = (y - step.row) * source.width + x - step.column
            red, green, blue = np.float32(0), np.float32(0), np.float32(0)
            for tap in range(taps.counts[output]):
                stored = np.uint32(source.layout[np.uint32(position)])
                weight = taps.weights[output, tap]
                red += weight * source.values[stored, 0]
                green += weight * source.values[stored, 1]
                blue += weight * source.values[stored, 2]
                position += stride
            place = np.uint32(target.layout[row * target.width + column])
            target.values[place, 0], target.values[place, 1], target.values[place, 2] = red, green, blue
