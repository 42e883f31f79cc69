"""Region pooling as taps: which positions of a map each cell of a region reads, and with which weights."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from inference.taps import Pair


@dataclass(frozen=True, slots=True)
class RegionGrid:
    """How regions of a map are pooled, with the parameters of ``torchvision.ops.roi_align``.

    Attributes:
        size: (height, width) of the map.
        out: cells of a region, (height, width).
        scale: positions of the map a unit of box coordinates.
        samples: per cell and axis; 0 or less takes as many as the cell has positions, rounded up.
        aligned: whether box coordinates count from the corner of the first position, not from its centre.
    """

    size: Pair
    out: Pair
    scale: float
    samples: int = -1
    aligned: bool = False

    def counts(self, boxes: Tensor) -> Tensor:
        """Samples of each cell along rows and columns: (R, 2) for boxes (R, 4)."""
        if self.samples > 0:
            return boxes.new_full((len(boxes), 2), self.samples)
        return torch.ceil(self._span(boxes)[1] / boxes.new_tensor(self.out))

    def taps(self, boxes: Tensor, cells: Tensor) -> tuple[Tensor, Tensor]:
        """True positions and weights of the taps of some cells of every region.

        Args:
            boxes: (R, 4) as (x1, y1, x2, y2), R > 0.
            cells: int64 (P,), raster indices of cells.

        Returns int64 (R, P, T), raster positions of the map, and weights (R, P, T) of the dtype of ``boxes``.
        A cell is the weighted sum of its taps; taps that fall outside the map, and those that a
        region with fewer samples than others does not have, have weight zero.
        """
        row, column = cells // self.out[1], cells % self.out[1]
        (rows, of_rows), (columns, of_columns) = (self._along(boxes, axis) for axis in (0, 1))
        joint = rows[:, row, :, None] * self.size[1] + columns[:, column, None, :]
        weights = of_rows[:, row, :, None] * of_columns[:, column, None, :]
        return joint.flatten(2), weights.flatten(2)

    def _span(self, boxes: Tensor) -> tuple[Tensor, Tensor]:
        """Where regions begin and how long they are, in positions: (R, 2) each, rows first."""
        shift = 0.5 if self.aligned else 0.0
        first, last = boxes[:, [1, 0]] * self.scale - shift, boxes[:, [3, 2]] * self.scale - shift
        return first, last - first if self.aligned else (last - first).clamp(min=1)

    def _along(self, boxes: Tensor, axis: int) -> tuple[Tensor, Tensor]:
        """Rows (axis 0) or columns that the cells along an axis read, and their weights: (R, out, 2 S) each.

        A sample between two positions reads both; one less than a position outside reads the outermost.
        """
        first, length = (part[:, axis, None, None] for part in self._span(boxes))
        count = self.counts(boxes)[:, axis, None, None]
        divisor, edge = count.clamp(min=1), self.size[axis] - 1
        cell = torch.arange(self.out[axis], device=boxes.device)[:, None]
        sample = torch.arange(max(1, int(count.max())), device=boxes.device)
        width = length / self.out[axis]
        at = first + cell * width + (sample + 0.5) * width / divisor
        used = (sample < count) & (at >= -1) & (at <= self.size[axis])
        low = at.clamp(0, edge).floor()
        beyond = (at.clamp(0, edge) - low)[..., None]
        positions = torch.stack([low, (low + 1).clamp(max=edge)], -1).long()
        weights = torch.cat([1 - beyond, beyond], -1) * (used / divisor)[..., None]
        return positions.flatten(2), weights.flatten(2)
