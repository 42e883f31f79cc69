"""The interface of a backend.

Values come and go as rows: (N, n, C), one row a stored position, C contiguous.  Tables are made
once for each set of keys, weights once for each set of parameters; what they are is the
backend's own business.
"""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor

from inference.kernels.epilogue import Epilogue
from inference.taps import Grid


class Backend(Protocol):
    """Gathers taps and combines them."""

    name: str

    def table(self, taps: Tensor, grid: Grid, dtype: torch.dtype) -> Any:
        """Prepare stored taps, int32 (1 or N, P, T) with -1 for padding, for values of ``dtype``."""

    def weight(self, weight: Tensor, groups: int) -> Any:
        """Prepare a convolution's weight (O, C / groups, kh, kw)."""

    def conv(self, rows: Tensor, table: Any, weight: Any, epilogue: Epilogue) -> Tensor:
        """Convolution: (N, n, C) to (N, P, O); padding counts as zero; residual rows are (N P, O)."""

    def largest(self, rows: Tensor, table: Any) -> Tensor:
        """The maximum of the taps, (N, n, C) to (N, P, C); no tap is padding."""

    def weighted(self, rows: Tensor, table: Any, weights: Tensor) -> Tensor:
        """The sum of the taps times ``weights`` (1 or N, P, T), to (N, P, C); no tap is padding."""

    def copy(self, rows: Tensor, table: Any, fill: float) -> Tensor:
        """The only tap of each position, (N, n, C) to (N, P, C); padding reads ``fill``."""
