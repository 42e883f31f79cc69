"""The paper's operator: torchvision's deform_conv2d, with the offsets of Eq. 2.

Slow and literal; what the gather backend is tested against.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torchvision.ops import deform_conv2d

from inference.kernels.epilogue import Epilogue
from inference.offsets import displacements, largest, sample_taps
from inference.taps import Grid


@dataclass(frozen=True, slots=True)
class _Offsets:
    """Offsets (1 or N, 2 T, h', w') for a grid whose output is ``grid.out``, of which ``out`` is used."""

    offset: Tensor
    grid: Grid
    out: tuple[int, int]

    def map(self, rows: Tensor) -> Tensor:
        """Rows (N, n, C) as a map (N, C, h, w)."""
        return rows.transpose(1, 2).unflatten(2, self.grid.size)

    def expanded(self, batch: int) -> Tensor:
        """The offsets of every sample."""
        return self.offset.expand(batch, -1, -1, -1).contiguous()

    def rows(self, result: Tensor) -> Tensor:
        """A result (N, C, h', w') as rows."""
        return result[:, :, : self.out[0], : self.out[1]].flatten(2).transpose(1, 2).contiguous()


class ReferenceBackend:
    """Every window is a deformable convolution; see :class:`inference.kernels.backend.Backend`."""

    name = "reference"

    def table(self, taps: Tensor, grid: Grid, dtype: torch.dtype) -> _Offsets:
        """Offsets; they lead anywhere, so the grid is only widened until its output is large enough."""
        covering = grid
        while any(covering.natural_out[axis] < grid.out[axis] for axis in (0, 1)):
            row, column = (covering.padding[a] + (covering.natural_out[a] < grid.out[a]) for a in (0, 1))
            covering = replace(covering, padding=(row, column))
        covering = replace(covering, out=covering.natural_out)
        rows, (height, width) = taps.shape[0], grid.out
        all_taps = taps.new_full((rows, *covering.out, grid.taps), -1)
        all_taps[:, :height, :width] = taps.view(rows, height, width, -1)
        return _Offsets(displacements(all_taps.flatten(1, 2), covering, dtype), covering, grid.out)

    def weight(self, weight: Tensor, groups: int) -> Tensor:  # noqa: ARG002 - the weight's shape tells
        """The weight as it is."""
        return weight

    def conv(self, rows: Tensor, table: _Offsets, weight: Tensor, epilogue: Epilogue) -> Tensor:
        """deform_conv2d."""
        grid = table.grid
        result = deform_conv2d(
            table.map(rows).contiguous(),
            table.expanded(rows.shape[0]),
            weight,
            epilogue.bias,
            stride=grid.stride,
            padding=grid.padding,
            dilation=grid.dilation,
        )
        found = table.rows(result)
        epilogue.finish(found.flatten(0, 1), biased=True)
        return found

    def largest(self, rows: Tensor, table: _Offsets) -> Tensor:
        """The maximum of what the taps of a deformable window read."""
        return table.rows(largest(self._sample(rows, table), table.offset, table.grid))

    def weighted(self, rows: Tensor, table: _Offsets, weights: Tensor) -> Tensor:
        """The weighted sum of what the taps of a deformable window read."""
        sampled = self._sample(rows, table)[:, :, :, : table.out[0], : table.out[1]]
        by_tap = weights.unflatten(1, table.out).permute(0, 3, 1, 2)[:, None]
        return table.rows((sampled * by_tap).sum(2))

    def copy(self, rows: Tensor, table: _Offsets, fill: float) -> Tensor:
        """What a deformable window of one tap reads."""
        copied = table.rows(self._sample(rows, table).squeeze(2))
        if not fill:
            return copied
        inside = table.rows(self._sample(torch.ones_like(rows), table).squeeze(2))
        return torch.where(inside == 0, fill, copied)

    def _sample(self, rows: Tensor, table: _Offsets) -> Tensor:
        return sample_taps(table.map(rows).contiguous(), table.expanded(rows.shape[0]), table.grid)
