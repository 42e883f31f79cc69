"""Taps: which input position each output position of a window operator reads.

A tap map is an index table m of shape (P, T) over true positions: the t-th tap of output position
q reads input position ``m[q, t]``, or the padding where that is -1.  It does not depend on any
key.  :func:`stored_taps` brings it into stored order.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

PADDING = -1
Pair = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Grid:
    """A regular window over a map: sizes as (height, width).

    Attributes:
        size, out: positions of the input and of the output.
        kernel, stride, dilation: of the window.
        padding: positions before the first row and column; what follows the last one is whatever
            the output size makes it.
    """

    size: Pair
    out: Pair
    kernel: Pair
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    dilation: Pair = (1, 1)

    @classmethod
    def regular(
        cls, size: Pair, kernel: Pair, stride: Pair = (1, 1), padding: Pair = (0, 0), dilation: Pair = (1, 1)
    ) -> Grid:
        """The window of a convolution with symmetric padding; its output size follows."""
        window = cls(size, size, kernel, stride, padding, dilation)
        return cls(size, window.natural_out, kernel, stride, padding, dilation)

    @property
    def taps(self) -> int:
        """Taps of one window."""
        return self.kernel[0] * self.kernel[1]

    @property
    def positions(self) -> int:
        """Output positions."""
        return self.out[0] * self.out[1]

    @property
    def natural_out(self) -> Pair:
        """The output size that the usual formula gives with this padding on both sides."""
        height, width = (
            (self.size[a] + 2 * self.padding[a] - self.dilation[a] * (self.kernel[a] - 1) - 1) // self.stride[a] + 1
            for a in (0, 1)
        )
        return height, width

    def sampling(self, axis: int) -> Tensor:
        """int64 (out, kernel): where along ``axis`` each tap of each output row or column samples."""
        first = torch.arange(self.out[axis]) * self.stride[axis] - self.padding[axis]
        return first[:, None] + torch.arange(self.kernel[axis]) * self.dilation[axis]


def grid_taps(grid: Grid) -> Tensor:
    """The tap map of a regular window: int32 (P, T), taps in raster order of the kernel."""
    rows, columns = (_inside(grid.sampling(axis), grid.size[axis]) for axis in (0, 1))
    return _joint(rows, columns, grid.size[1])


def adaptive_taps(size: Pair, out: Pair) -> Tensor:
    """The tap map of adaptive pooling: int32 (P, T); smaller windows are filled up with padding."""
    windows = []
    for axis in (0, 1):
        cell = torch.arange(out[axis])
        begin = cell * size[axis] // out[axis]
        end = -(-(cell + 1) * size[axis] // out[axis])
        reach = begin[:, None] + torch.arange(int((end - begin).max()))
        windows.append(torch.where(reach < end[:, None], reach, PADDING))
    return _joint(windows[0], windows[1], size[1])


def spread_taps(grid: Grid, stride: Pair, padding: Pair, dilation: Pair) -> Tensor:
    """The tap map of a transposed convolution: int32 (P, T).

    Output position q reads input position m through kernel element k where ``m stride + k dilation
    = q + padding``.  Of ``grid``, only sizes and kernel matter.
    """
    reads = []
    for axis in (0, 1):
        kernel = torch.arange(grid.kernel[axis]) * dilation[axis]
        start = torch.arange(grid.out[axis])[:, None] + padding[axis] - kernel
        source = torch.where(start % stride[axis] == 0, start // stride[axis], PADDING)
        reads.append(_inside(source, grid.size[axis]))
    return _joint(reads[0], reads[1], grid.size[1])


def repeat_taps(taps: Tensor) -> Tensor:
    """The same windows with a tap of their own where padding was; a window of nothing but padding stays."""
    valid = taps.amax(1, keepdim=True)
    return torch.where(taps == PADDING, valid, taps)


def stored_taps(taps: Tensor, source: Tensor | None, target: Tensor | None) -> Tensor:
    """A tap map between stored positions: ``out[r, k_out(q), t] = k_in(taps[q, t])``.

    Args:
        taps: int32 (P, T) over true positions.
        source: int32 (1 or N, n), where the input's positions are stored; None if in true order.
        target: int32 (1 or N, P), where the output's are to be; None for true order.

    Returns int32 (1 or N, P, T), with -1 where the padding is read.
    """
    taps = taps[None]
    if target is not None:
        rows, positions = target.shape
        order = torch.arange(positions, device=target.device).expand(rows, -1)
        true_of = torch.empty_like(order).scatter_(1, target.long(), order)
        taps = taps[0].index_select(0, true_of.flatten()).view(rows, positions, -1)
    if source is None:
        return taps
    # index -1 reads the last entry, which is -1 itself
    extended = torch.nn.functional.pad(source, (0, 1), value=PADDING)
    if source.shape[0] == 1:
        return extended[0][taps]
    rows = max(taps.shape[0], source.shape[0])
    batch = torch.arange(rows, device=source.device)[:, None, None]
    return extended[batch, taps.expand(rows, -1, -1)]


def _inside(reach: Tensor, size: int) -> Tensor:
    return torch.where((reach >= 0) & (reach < size), reach, PADDING)


def _joint(rows: Tensor, columns: Tensor, width: int) -> Tensor:
    """Raster positions of the windows whose row and column taps are given, -1 where either is."""
    row, column = rows[:, None, :, None], columns[None, :, None, :]
    joint = torch.where((row >= 0) & (column >= 0), row * width + column, PADDING)
    return joint.reshape(rows.shape[0] * columns.shape[0], -1).to(torch.int32)
