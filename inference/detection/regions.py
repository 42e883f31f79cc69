"""Regions of shuffled feature maps: pooled into an order of their own, and what networks make of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from inference.detection.holder import FeatureMap, revealed
from inference.detection.region_taps import RegionGrid
from inference.kernels import Backend
from inference.kernels.steps import from_rows, to_rows
from inference.layout import KeyedTensor, Layout
from inference.module import Draw, KeyedModule, draw_uniform
from inference.rules.call import plane

MAP_AXES = (2, 3)
#: Taps that are laid out at once.
TAPS_AT_ONCE = 1 << 22


class RegionPool(nn.Module):
    """In place of a MultiScaleRoIAlign: the same regions, from shuffled maps to shuffled cells.

    Each call draws a uniform order of the cells, one for all of its regions.
    """

    def __init__(self, pool: nn.Module, backend: Backend) -> None:
        super().__init__()
        self.pool, self.backend = pool, backend
        #: Where the order of the cells comes from; measurements may put something repeatable here.
        self.draw: Draw = draw_uniform

    def forward(
        self, features: Mapping[str, FeatureMap], boxes: list[Tensor], image_shapes: list[tuple[int, int]]
    ) -> KeyedTensor:
        """Pool regions.

        Args:
            features: maps by name; those that the model pools from are used.
            boxes: for each frame (R_i, 4), as (x1, y1, x2, y2) in the resized frame.
            image_shapes: sizes of the resized frames.

        Returns (R, C, h, w) for all R regions, with shuffled cells.
        """
        pool: Any = self.pool
        maps = [feature for name, feature in features.items() if name in pool.featmap_names]
        self._set_scales(features, boxes[0], image_shapes)
        levels = pool.map_levels(boxes) if len(maps) > 1 else boxes[0].new_zeros(sum(map(len, boxes)))
        frame = torch.cat([torch.full_like(b[:, 0], i, dtype=torch.int64) for i, b in enumerate(boxes)])
        table = self.draw(prod(pool.output_size)).to(levels.device)
        cells = torch.argsort(table)
        joint, value = torch.cat(boxes), maps[0]
        rows = torch.zeros(len(joint), len(cells), value.size(1), dtype=value.dtype, device=value.device)
        for level, (feature, scale) in enumerate(zip(maps, pool.scales, strict=True)):
            grid = RegionGrid((feature.size(2), feature.size(3)), pool.output_size, scale, pool.sampling_ratio)
            here = torch.where(levels == level)[0]
            for some in (here[chunk] for chunk in _chunks(grid, joint[here])):
                rows[some] = pooled(self.backend, feature.value, grid, (joint[some], frame[some], cells))
        layout = Layout.known(table[None], MAP_AXES, pool.output_size)
        return KeyedTensor(from_rows(rows, MAP_AXES, pool.output_size, [rows.shape[2]]), layout)

    def _set_scales(
        self, features: Mapping[str, FeatureMap], like: Tensor, image_shapes: list[tuple[int, int]]
    ) -> None:
        """Let the model's own layer find its scales and levels, from maps of these sizes without regions."""
        pool: Any = self.pool
        if pool.scales is None or pool.map_levels is None:
            sizes = {name: feature.shape[2:] for name, feature in features.items()}
            pool({name: like.new_zeros(1, 1, *size) for name, size in sizes.items()}, [like[:0]], image_shapes)


def pooled(
    backend: Backend, value: KeyedTensor | Tensor, grid: RegionGrid, regions: tuple[Tensor, Tensor, Tensor]
) -> Tensor:
    """Cells of regions of one map.

    Args:
        backend: what combines the taps.
        value: (N, C, h, w), shuffled along its positions unless there is one.
        grid: how to pool.
        regions: boxes (R, 4), the sample int64 (R,) of each, and cells int64 (P,) in the order wanted.

    Returns rows (R, P, C).
    """
    boxes, sample, cells = regions
    values, stored = (value.values, value.layout.table) if isinstance(value, KeyedTensor) else (value, None)
    taps, weights = grid.taps(boxes, cells)
    rows = to_rows(values, MAP_AXES)
    positions = rows.shape[1]
    if stored is not None:
        order = sample[:, None, None] if stored.shape[0] > 1 else 0
        taps = stored[order, taps].long()
    flat = (taps + sample[:, None, None] * positions).to(torch.int32).flatten(0, 1)[None]
    table = backend.table(flat, plane((rows.shape[0] * positions,), flat.shape[1:2], flat.shape[2]), rows.dtype)
    cells_of_all = backend.weighted(rows.view(1, -1, rows.shape[2]), table, weights.to(rows.dtype).flatten(0, 1)[None])
    return cells_of_all.view(len(boxes), len(cells), -1)


class RegionHead(nn.Module):
    """Head and predictor of a model's regions, as one network."""

    def __init__(self, head: nn.Module, predictor: nn.Module) -> None:
        super().__init__()
        self.head, self.predictor = head, predictor
        self.training = False  # this module alone: its parts belong to the model

    def forward(self, regions: Tensor) -> Any:
        """Whatever the predictor returns for regions (R, C, h, w)."""
        return self.predictor(self.head(regions))


class RegionNetwork(nn.Module):
    """In place of a predictor: the keyed head and predictor, and their results in true order."""

    def __init__(self, name: str, network: KeyedModule) -> None:
        super().__init__()
        self.name, self.network = name, network

    def forward(self, regions: KeyedTensor) -> Any:
        """Results for regions (R, C, h, w), of which there may be none."""
        if len(regions.values):
            return revealed(self.network(regions))
        blank = regions.values.new_zeros(1, *regions.shape[1:])
        results = revealed(self.network(KeyedTensor(blank, regions.layout)))
        return pytree.tree_map(lambda result: result[:0], results)


def _chunks(grid: RegionGrid, boxes: Tensor) -> Iterator[Tensor]:
    """Indices of regions whose taps are laid out together; neighbours have about as many samples."""
    if len(boxes):
        counts = grid.counts(boxes).clamp(min=1).prod(1)
        taps = 4 * prod(grid.out) * int(counts.max())
        yield from torch.argsort(counts).split(max(1, TAPS_AT_ONCE // taps))
