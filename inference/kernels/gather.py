"""Integer tap tables: the fast backend.

On the CPU, in float32 and float64, compiled kernels read rows where they lie; everywhere else, torch
gathers them tile by tile.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from inference.kernels.backend import Backend
from inference.kernels.epilogue import Epilogue
from inference.kernels.indirect import DTYPES, IndirectBackend
from inference.kernels.stored import StoredTaps
from inference.kernels.tiled import TiledBackend
from inference.taps import Grid

_INDIRECT, _TILED = IndirectBackend(), TiledBackend()


class GatherBackend:
    """Whichever serves device and dtype; see :class:`inference.kernels.backend.Backend`."""

    name = "gather"

    def table(self, taps: Tensor, grid: Grid, dtype: torch.dtype) -> StoredTaps:  # noqa: ARG002 - it serves every dtype
        """The taps themselves: a network may have integers beside its values."""
        return StoredTaps.of(taps)

    def weight(self, weight: Tensor, groups: int) -> Any:
        """A weight, prepared."""
        return _serving(weight.device, weight.dtype).weight(weight, groups)

    def conv(self, rows: Tensor, table: StoredTaps, weight: Any, epilogue: Epilogue) -> Tensor:
        """Taps times weights."""
        return _serving(rows.device, rows.dtype).conv(rows, table, weight, epilogue)

    def largest(self, rows: Tensor, table: StoredTaps) -> Tensor:
        """The maximum over the taps."""
        return _serving(rows.device, rows.dtype).largest(rows, table)

    def weighted(self, rows: Tensor, table: StoredTaps, weights: Tensor) -> Tensor:
        """A weighted sum over the taps."""
        return _serving(rows.device, rows.dtype).weighted(rows, table, weights)

    def copy(self, rows: Tensor, table: StoredTaps, fill: float) -> Tensor:
        """One row for each position."""
        return _serving(rows.device, rows.dtype).copy(rows, table, fill)


def _serving(device: torch.device, dtype: torch.dtype) -> Backend:
    return _INDIRECT if device.type == "cpu" and dtype in DTYPES else _TILED
