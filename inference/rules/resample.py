"""Interpolation: every output position is a weighted sum of a few input positions."""

from __future__ import annotations

import torch
from torch import Tensor, fx

from inference.operations import Copy, Weighted, Window
from inference.rules.call import Call, plane
from inference.rules.table import rule
from inference.rules.windows import MAP, map_size, size_of

aten = torch.ops.aten
#: Maps of the input's size that conversion holds at once.
MAPS_AT_ONCE = 16


@rule(
    aten.upsample_bicubic2d.vec,
    aten.upsample_bilinear2d.vec,
    aten.upsample_nearest2d.vec,
    aten._upsample_bicubic2d_aa.vec,  # noqa: SLF001 - the operator's name
    aten._upsample_bilinear2d_aa.vec,  # noqa: SLF001
    aten._upsample_nearest_exact2d.vec,  # noqa: SLF001
)
def interpolation(call: Call) -> fx.Node:
    """Weighted taps, read off by running the operator on maps that are one in a single row or column."""
    size, out = map_size(call), size_of(call.node)
    taps, weights = _joint(_along(call, 0), _along(call, 1), size[1])
    window = Window(taps, plane(size, out, taps.shape[1]), MAP, out, call.keyed_source().order, None)
    window, law = call.open(window)
    if taps.shape[1] == 1:
        return call.operate(Copy(window), (call.source,), law)
    return call.operate(Weighted(window, weights), (call.source,), law)


def _along(call: Call, axis: int) -> tuple[Tensor, Tensor]:
    """Rows (axis 0) or columns that each output row or column reads: indices and float64 weights (out, T)."""
    basis = torch.eye(map_size(call)[axis], dtype=call.node.meta["val"].dtype)
    matrix = torch.cat([_response(call, some, axis) for some in basis.split(MAPS_AT_ONCE)]).double().T
    count = int((matrix != 0).sum(1).max())
    index = matrix.abs().topk(count, 1).indices
    return index, matrix.gather(1, index)


def _response(call: Call, lines: Tensor, axis: int) -> Tensor:
    """What becomes of ``lines`` (n, size), as maps that vary along one axis: (n, out)."""
    maps = (lines[:, :, None] if axis == 0 else lines[:, None, :]).expand(-1, *map_size(call))
    response = call.run(maps.contiguous()[None])[0]
    return (response[:, :, 0] if axis == 0 else response[:, 0, :]).clone()


def _joint(rows: tuple[Tensor, Tensor], columns: tuple[Tensor, Tensor], width: int) -> tuple[Tensor, Tensor]:
    """Taps int32 (P, T) and weights (P, T) of the products of rows and columns."""
    taps = rows[0][:, None, :, None] * width + columns[0][None, :, None, :]
    weights = rows[1][:, None, :, None] * columns[1][None, :, None, :]
    positions = rows[0].shape[0] * columns[0].shape[0]
    return taps.reshape(positions, -1).to(torch.int32), weights.reshape(positions, -1)
