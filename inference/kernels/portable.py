"""Public ATen operators on whole tensors and nothing else: what other runtimes can take over.

Every table and every weight is one tensor.  All taps of a layer are in memory at once, so this is
for export, not for speed.
"""

from __future__ import annotations

from dataclasses import replace
from math import prod

import torch
from torch import Tensor
from torch.nn import functional as F

from inference.kernels.epilogue import Epilogue
from inference.taps import Grid


class PortableBackend:
    """Gather, then combine; see :class:`inference.kernels.backend.Backend`."""

    name = "portable"

    def table(self, taps: Tensor, grid: Grid, dtype: torch.dtype) -> Tensor:  # noqa: ARG002 - integers do for every dtype
        """The taps, where padding reads a row behind the last."""
        return torch.where(taps < 0, prod(grid.size), taps).to(torch.int32)

    def weight(self, weight: Tensor, groups: int) -> Tensor:
        """One matrix (T C / G, O / G) for each of G groups."""
        by_group = weight.flatten(2).unflatten(0, (groups, -1))  # (G, O / G, C / G, T)
        return by_group.permute(0, 3, 2, 1).flatten(1, 2).contiguous()

    def conv(self, rows: Tensor, table: Tensor, weight: Tensor, epilogue: Epilogue) -> Tensor:
        """One matrix product a group."""
        groups = weight.shape[0]
        tapped = _taps(rows, table, 0.0)
        if groups == 1:
            out = tapped.flatten(2) @ weight[0]
        else:
            by_group = tapped.unflatten(3, (groups, -1)).permute(0, 3, 1, 2, 4).flatten(3)  # (N, G, P, T C / G)
            out = (by_group @ weight).transpose(1, 2).flatten(2)
        residual = None if epilogue.residual is None else epilogue.residual.view(out.shape)
        replace(epilogue, residual=residual).finish(out, biased=False)
        return out

    def largest(self, rows: Tensor, table: Tensor) -> Tensor:
        """The maximum over the taps."""
        return _taps(rows, table, 0.0).amax(2)

    def weighted(self, rows: Tensor, table: Tensor, weights: Tensor) -> Tensor:
        """A weighted sum over the taps."""
        return (_taps(rows, table, 0.0) * weights[..., None]).sum(2)

    def copy(self, rows: Tensor, table: Tensor, fill: float) -> Tensor:
        """The gathered rows themselves."""
        return _taps(rows, table, fill).squeeze(2)


def _taps(rows: Tensor, table: Tensor, fill: float) -> Tensor:
    """What the taps (1 or N, P, T) of rows (N, n, C) read: (N, P, T, C)."""
    padded = F.pad(rows, (0, 0, 0, 1), value=fill)
    if table.shape[0] == 1:
        read = padded.index_select(1, table.flatten())
    else:
        read = padded.gather(1, table.flatten(1).long()[:, :, None].expand(-1, -1, rows.shape[2]))
    return read.unflatten(1, table.shape[1:])
