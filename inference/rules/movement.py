"""Pure data movement.

No operator here has a rule of its own: it is run once on an index tensor, and where everything
went is read off.  If it leaves the shuffled positions in their true order, it runs on stored
values as it is.  If it only rearranges them, nothing moves and the order is derived.  If it drops or
repeats some, they are copied with one tap a position.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor, fx

from inference.edges import Keyed, Order
from inference.operations import Copy, Window
from inference.rules.call import PROBE_BATCH, Call, Unsupported, extents_of, plane, shape_of
from inference.rules.table import rule
from inference.taps import PADDING

aten = torch.ops.aten


@dataclass(frozen=True)
class _Moved:
    """Where a sample's elements went: for every axis of the source, the coordinate that each result element had."""

    coordinates: tuple[Tensor, ...]  # one int64 tensor of the result's shape an axis of the source
    sizes: tuple[int, ...]

    def joint(self, axes: list[int]) -> Tensor:
        """Raster index over some axes of the source."""
        index = torch.zeros_like(self.coordinates[0])
        for axis in axes:
            index = index * self.sizes[axis] + self.coordinates[axis]
        return index

    def along(self, axes: list[int]) -> set[int]:
        """The axes of the result along which these coordinates vary."""
        index = self.joint(axes)
        return {axis for axis in range(index.dim()) if bool((index.diff(dim=axis) != 0).any())}


@rule(
    aten.flatten.using_ints,
    aten.flip.default,
    aten.permute.default,
    aten.reshape.default,
    aten.roll.default,
    aten.select.int,
    aten.slice.Tensor,
    aten.squeeze.dim,
    aten.squeeze.dims,
    aten.transpose.int,
    aten.unflatten.int,
    aten.unsqueeze.default,
)
def movement(call: Call) -> fx.Node:
    """Any operator that only moves elements of one tensor, within each sample."""
    law = call.keyed_source()
    moved = _trace(call)
    axes, order = _together(moved, [axis - 1 for axis in law.axes], law.order)
    others = [axis for axis in range(len(moved.sizes)) if axis not in axes]
    placed = _span(moved.along(axes), moved.joint(axes).shape)
    went = _read(moved.joint(axes), placed)
    if torch.equal(went, torch.arange(order.size)):
        return call.keep(Keyed(order, tuple(axis + 1 for axis in placed)))
    if axes != [axis - 1 for axis in law.axes] or not _untouched(moved, others, placed, law.axes[0] - 1):
        raise Unsupported("moves positions and something else at once")
    return _rearranged(call, law, went, placed)


def _trace(call: Call) -> _Moved:
    sizes = extents_of(call.source, range(1, len(shape_of(call.source))))
    index = torch.arange(PROBE_BATCH * prod(sizes)).view(PROBE_BATCH, *sizes)
    result = call.run(index)
    if result.shape[:1] != (PROBE_BATCH,) or not torch.equal(result[1], result[0] + prod(sizes)):
        raise Unsupported("moves positions between samples")
    return _Moved(torch.unravel_index(result[0], sizes), sizes)


def _together(moved: _Moved, axes: list[int], order: Order) -> tuple[list[int], Order]:
    """The source's axes that end up in the same axes of the result as the shuffled ones, and their joint order."""
    first, last = axes[0], axes[-1]
    while True:
        others = [axis for axis in range(len(moved.sizes)) if axis not in axes]
        mixed = moved.along(axes) & moved.along(others)
        if not mixed:
            break
        axes = sorted({*axes, *(axis for axis in others if moved.along([axis]) & mixed)})
    outer = prod(moved.sizes[axis] for axis in axes if axis < first)
    inner = prod(moved.sizes[axis] for axis in axes if axis > last)
    return axes, order.lift(outer, inner)


def _span(varying: set[int], shape: torch.Size) -> tuple[int, ...]:
    """The axes of the result that hold the positions: consecutive, up to axes of size 1."""
    if not varying:
        return ()
    span = tuple(range(min(varying), max(varying) + 1))
    if any(axis not in varying and shape[axis] != 1 for axis in span):
        raise Unsupported("puts another axis between shuffled ones")
    return span


def _read(index: Tensor, axes: tuple[int, ...]) -> Tensor:
    """``index`` over these axes, at the beginning of all others."""
    for axis in reversed(range(index.dim())):
        if axis not in axes:
            index = index.select(axis, 0)
    return index.flatten()


def _untouched(moved: _Moved, others: list[int], placed: tuple[int, ...], before: int) -> bool:
    """Whether the other axes still lie around the positions as they did, ``before`` of them in front."""
    shape = moved.joint(others).shape
    rest = [axis for axis in range(len(shape)) if axis not in placed]
    sizes = [moved.sizes[axis] for axis in others]
    same = torch.equal(_read(moved.joint(others), tuple(rest)), torch.arange(prod(sizes)))
    in_front = prod(shape[axis] for axis in rest if not placed or axis < placed[0])
    return same and (not placed or in_front == prod(sizes[:before]))


def _rearranged(call: Call, law: Keyed, went: Tensor, placed: tuple[int, ...]) -> fx.Node:
    axes = tuple(axis + 1 for axis in placed)
    if went.numel() == law.order.size and went.unique().numel() == went.numel():
        return call.reshape(call.source, Keyed(law.order.reindex(went), axes), call.node.meta["val"])
    return copied(call, went.to(torch.int32)[:, None], law, extents_of(call.node, axes))


def copied(call: Call, taps: Tensor, law: Keyed, extents: tuple[int, ...], fill: float = 0.0) -> fx.Node:
    """A copy with one tap a position, in place of the axes of ``law``, in a new order."""
    grid = plane(extents_of(call.source, law.axes), extents or (1,), 1)
    window, opened = call.open(Window(taps, grid, law.axes, extents, law.order, None))
    return call.operate(Copy(window, fill), (call.source,), opened)


@rule(aten.pad.default, aten.constant_pad_nd.default)
def pad(call: Call) -> fx.Node:
    """Padding of plain axes runs as it is; of shuffled ones, it is a copy with taps in the padding."""
    law = call.keyed_source()
    rank = len(shape_of(call.source))
    mode, value = str(call.arguments.get("mode", "constant")), call["value"] or 0.0
    amounts = list(call["pad"]) + [0] * (2 * rank - len(call["pad"]))
    shuffled = [amounts[2 * (rank - 1 - axis) + side] for axis in reversed(law.axes) for side in (0, 1)]
    if not any(shuffled):
        return call.keep(law)
    if sum(map(bool, amounts)) != sum(map(bool, shuffled)):
        raise Unsupported("pads positions and something else at once")
    extents = extents_of(call.source, law.axes)
    positions = torch.arange(prod(extents), dtype=torch.float64).view(1, 1, *extents)
    constant = PADDING if mode == "constant" else None
    taps = torch.nn.functional.pad(positions, shuffled, mode, constant).to(torch.int32).view(-1, 1)
    return copied(call, taps, law, extents_of(call.node, law.axes), float(value))
