"""Keyed windows with torch alone: gather rows into a buffer that stays in cache, multiply, next tile.

A tile is a run of output positions; if maps are small it spans several samples, so that matrix
products stay large.  The taps of a tile are gathered by one index_select as rows of C values,
(R T, C), which read as (R, T C) is the left side of a matrix product.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from inference.kernels.epilogue import Epilogue
from inference.kernels.stored import StoredTaps
from inference.kernels.tap_weights import TapWeight, tap_weight
from inference.taps import Grid

#: Bytes of gathered rows a tile, by device: on a CPU they stay in the last-level cache.
TILE_BYTES = {"cpu": 4 << 20}
LARGE_TILE_BYTES = 256 << 20
MIN_TILE_ROWS, MAX_TILE_ROWS = 512, 16384

_workspace = threading.local()


@dataclass(frozen=True, slots=True)
class _Tile:
    """Some output rows: where they go, from which rows they are gathered, and which of those are padding."""

    first: int
    last: int
    source: Tensor
    index: Tensor
    padding: Tensor | None


class TiledBackend:
    """For every device and dtype; see :class:`inference.kernels.backend.Backend`."""

    name = "tiled"

    def table(self, taps: Tensor, grid: Grid, dtype: torch.dtype) -> StoredTaps:  # noqa: ARG002 - taps say it all
        """The taps themselves."""
        return StoredTaps.of(taps)

    def weight(self, weight: Tensor, groups: int) -> TapWeight:
        """The weight with the taps in front of the channels."""
        return tap_weight(weight, groups)

    def conv(self, rows: Tensor, table: StoredTaps, weight: TapWeight, epilogue: Epilogue) -> Tensor:
        """A matrix product a tile."""
        samples, channels, (positions, taps) = len(rows), rows.shape[2], table.index.shape[1:]
        out = rows.new_empty(samples * positions, weight.outputs)
        for tile, gathered in _gather(rows, table):
            part = epilogue.part(tile.first, tile.last)
            weight.multiply(gathered.view(-1, taps, channels), part, out[tile.first : tile.last])
        return out.view(samples, positions, -1)

    def largest(self, rows: Tensor, table: StoredTaps) -> Tensor:
        """The maximum over the taps of a tile."""
        samples, channels, (positions, taps) = len(rows), rows.shape[2], table.index.shape[1:]
        out = rows.new_empty(samples * positions, channels)
        for tile, gathered in _gather(rows, table):
            torch.amax(gathered.view(-1, taps, channels), 1, out=out[tile.first : tile.last])
        return out.view(samples, positions, channels)

    def weighted(self, rows: Tensor, table: StoredTaps, weights: Tensor) -> Tensor:
        """A sum of rows with weights of their own, as embedding_bag computes it."""
        samples, channels, (positions, taps) = len(rows), rows.shape[2], table.index.shape[1:]
        spread = weights.expand(samples, -1, -1).reshape(-1, taps)
        out = rows.new_empty(samples * positions, channels)
        for tile in _tiles(rows, table):
            bags = tile.index.view(-1, taps)
            out[tile.first : tile.last] = torch.nn.functional.embedding_bag(
                bags, tile.source, mode="sum", per_sample_weights=spread[tile.first : tile.last]
            )
        return out.view(samples, positions, channels)

    def copy(self, rows: Tensor, table: StoredTaps, fill: float) -> Tensor:
        """The gathered rows themselves."""
        samples, channels, positions = len(rows), rows.shape[2], table.index.shape[1]
        out = rows.new_empty(samples * positions, channels)
        for tile in _tiles(rows, table):
            _read(tile, out[tile.first : tile.last], fill)
        return out.view(samples, positions, channels)


def _gather(rows: Tensor, table: StoredTaps) -> Iterator[tuple[_Tile, Tensor]]:
    """Every tile with its rows, in a buffer that the next one overwrites."""
    for tile in _tiles(rows, table):
        buffer = _buffer(tile.index.numel() * rows.shape[2], rows).view(-1, rows.shape[2])
        _read(tile, buffer, 0.0)
        yield tile, buffer


def _read(tile: _Tile, out: Tensor, fill: float) -> None:
    torch.index_select(tile.source, 0, tile.index, out=out)
    if tile.padding is not None:
        out.index_fill_(0, tile.padding, fill)


def _tiles(rows: Tensor, table: StoredTaps) -> Iterator[_Tile]:
    """Runs of output rows: parts of one sample if its map is large, several samples if it is small."""
    samples, size, channels = rows.shape
    orders, positions, taps = table.index.shape
    wanted = _tile_rows(taps * channels * rows.element_size(), rows.device)
    group = min(samples, max(1, wanted // positions))
    step = -(-positions // max(1, round(positions / wanted)))
    parts: dict[tuple[int, int, int], tuple[Tensor, Tensor | None]] = {}
    for begin in range(0, samples, group):
        count = min(group, samples - begin)
        source = rows[begin : begin + count].view(-1, channels)
        for start in range(0, positions, step):
            stop = min(start + step, positions)
            key = (begin if orders > 1 else 0, count, start)
            if key not in parts:
                first = key[0]
                some = table.index[first : first + (count if orders > 1 else 1), start:stop].expand(count, -1, -1)
                parts[key] = _indices(some, size, table.padded)
            index, padding = parts[key]
            yield _Tile(begin * positions + start, (begin + count - 1) * positions + stop, source, index, padding)


def _indices(taps: Tensor, size: int, padded: bool) -> tuple[Tensor, Tensor | None]:
    """Flat rows that the taps (S, P, T) of S neighbouring samples read, and which of them are padding."""
    sample = torch.arange(taps.shape[0], dtype=torch.int32, device=taps.device)[:, None, None] * size
    if not padded:
        return (taps + sample).flatten(), None
    padding = (taps < 0).flatten().nonzero().flatten()
    return (taps.clamp(min=0) + sample).flatten(), padding if padding.numel() else None


def _tile_rows(row_bytes: int, device: torch.device) -> int:
    if device.type not in TILE_BYTES:
        return max(MIN_TILE_ROWS, LARGE_TILE_BYTES // row_bytes)
    return min(MAX_TILE_ROWS, max(MIN_TILE_ROWS, TILE_BYTES[device.type] // row_bytes))


def _buffer(elements: int, like: Tensor) -> Tensor:
    """Memory of this thread that is used again and again, so that it stays in cache and is paged in once."""
    buffers: dict[str, Tensor] = _workspace.__dict__
    key = f"{like.device} {like.dtype}"
    if key not in buffers or buffers[key].numel() < elements:
        with torch.inference_mode(False):  # or it could not be written to outside of that mode
            buffers[key] = like.new_empty(elements)
    return buffers[key][:elements]
