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

from inference.edges import Factor, Keyed, Order, orders_of
from inference.factors import carried, law_of_factors, rearranged, samples
from inference.operations import Copy, Window
from inference.rules.align import reshaped
from inference.rules.call import Call, Unsupported, extents_of, factored, law_of, plane, shape_of, sizes_of
from inference.rules.table import rule
from inference.rules.windowing import join_windows, settle_merged, split_around, split_beside_samples
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
    aten.expand.default,
    aten.flatten.using_ints,
    aten.flip.default,
    aten.permute.default,
    aten.repeat_interleave.self_int,
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
    """Runs as it is, derives the order, or copies with one tap a position."""
    sizes = sizes_of(call.source)
    index = call.run(torch.arange(prod(sizes)).view(sizes))
    source = call.source
    found = carried(call.factors, index)
    if found is not None:
        source = settle_merged(call, source, found)
        return split_beside_samples(call, call.keep_factors(carried(factored(source), index) or found, self=source))
    if not isinstance(law_of(source), Keyed) and rearranged(factored(source), index) is None:
        source = join_windows(call, source)
    turned = rearranged(factored(source), index)
    if turned is not None:
        return call.reshape(source, law_of_factors(turned, sizes_of(call.node)), call.node.meta["val"])
    law = law_of(source)
    if isinstance(law, Keyed) and _comes_apart(source, law, index):
        source = split_around(call, source, law.axes[0])
        return call.keep_factors(carried(factored(source), index) or (), self=source)
    if not isinstance(law, Keyed) or index.shape[:1] != (sizes_of(source)[0],):
        raise Unsupported("moves positions between samples")
    return _moved_positions(call, source, law, index)


def _comes_apart(source: fx.Node, law: Keyed, index: Tensor) -> bool:
    """Whether a movement puts other axes between shuffled ones, or in front of the samples; each stays whole."""
    sizes = sizes_of(source)
    axes = [Factor(size, law.order if axis in law.axes else None, axis == 0) for axis, size in enumerate(sizes)]
    found = carried(axes, index)
    if found is None:
        return False
    places = [place for place, factor in enumerate(found) if factor.order]
    return places != list(range(places[0], places[-1] + 1)) or not found[0].batch


def _moved_positions(call: Call, source: fx.Node, law: Keyed, index: Tensor) -> fx.Node:
    sizes = extents_of(source, range(1, len(shape_of(source))))
    if not torch.equal(index[1], index[0] + prod(sizes)):
        raise Unsupported("moves positions between samples")
    moved = _Moved(torch.unravel_index(index[0], sizes), sizes)
    axes, order = _together(moved, [axis - 1 for axis in law.axes], law.order)
    others = [axis for axis in range(len(sizes)) if axis not in axes]
    placed = _span(moved.along(axes), moved.joint(axes).shape)
    lifted = Keyed(order, tuple(axis + 1 for axis in axes))
    in_front = _in_front(moved, others, placed)
    if placed and in_front != prod(sizes[: axes[0]]):
        source, lifted = _turned(call, source, lifted, in_front)
    went = _read(moved.joint(axes), placed)
    if went.numel() == order.size and went.unique().numel() == went.numel():
        arranged = Keyed(order.reindex(went), tuple(axis + 1 for axis in placed))
        return call.reshape(source, arranged, call.node.meta["val"])
    return copied(call, source, went.to(torch.int32)[:, None], lifted)


def _turned(call: Call, source: fx.Node, law: Keyed, in_front: int) -> tuple[fx.Node, Keyed]:
    """The source, with positions in the order of ``law``, with ``in_front`` elements of other axes in front of them."""
    sizes = sizes_of(source)
    before, after = prod(sizes[1 : law.axes[0]]), prod(sizes[law.axes[-1] + 1 :])
    low, high = sorted((before, in_front))
    if high % low or before * after % high:
        raise Unsupported("moves positions and something else at once")
    pair = [Factor(high // low), Factor(law.order.size, law.order)]
    old, new = (pair, pair[::-1]) if before > in_front else (pair[::-1], pair)
    ends = [samples(sizes[0]), Factor(low)], [Factor(before * after // high)]
    split = reshaped(call, source, [*ends[0], *old, *ends[1]], [-1, low, old[0].size, old[1].size, ends[1][0].size])
    factors, value = [*ends[0], *new, *ends[1]], split.meta["val"].transpose(2, 3)
    turned_law = law_of_factors(factors, [factor.size for factor in factors])
    turned = call.emit(aten.transpose.int, ((split, 2, 3), {}), turned_law, value)
    joined = reshaped(call, turned, factors, [-1, in_front, law.order.size, before * after // in_front])
    return joined, Keyed(law.order, (2,))


def _together(moved: _Moved, axes: list[int], order: Order) -> tuple[list[int], Order]:
    """The source's axes that end up in the same axes of the result as the shuffled ones, and their joint order."""
    first, last = axes[0], axes[-1]
    while True:
        others = [axis for axis in range(len(moved.sizes)) if axis not in axes]
        varying = moved.along(axes)
        mixed = {axis for axis in moved.along(others) if varying and min(varying) <= axis <= max(varying)}
        if not mixed:
            break
        joined = {*axes, *(axis for axis in others if moved.along([axis]) & mixed)}
        axes = list(range(min(joined), max(joined) + 1))
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


def _in_front(moved: _Moved, others: list[int], placed: tuple[int, ...]) -> int:
    """How many elements of the other axes the result has in front of the positions; they lie as they did."""
    shape = moved.joint(others).shape
    rest = [axis for axis in range(len(shape)) if axis not in placed]
    if not torch.equal(_read(moved.joint(others), tuple(rest)), torch.arange(prod(moved.sizes[a] for a in others))):
        raise Unsupported("moves positions and something else at once")
    return prod(shape[axis] for axis in rest if placed and axis < placed[0])


def copied(call: Call, source: fx.Node, taps: Tensor, law: Keyed, fill: float = 0.0) -> fx.Node:
    """A copy with one tap a position, in place of the axes of ``law``, in a new order."""
    sizes, first, last = sizes_of(source), law.axes[0], law.axes[-1] + 1
    count = taps.shape[0]
    shape = [source.meta["val"].shape[0], *sizes[1:first], count, *sizes[last:]]
    grid = plane(extents_of(source, law.axes), (count,), 1)
    window, opened = call.open(Window(taps, grid, law.axes, (count,), law.order, None))
    copy = call.operate(Copy(window, fill), (source,), opened)
    copy.meta["val"] = source.meta["val"].new_empty(shape)
    factors = [
        samples(sizes[0]),
        *map(Factor, sizes[1:first]),
        Factor(count, orders_of(opened)[0] if orders_of(opened) else None),
        *map(Factor, sizes[last:]),
    ]
    return reshaped(call, copy, factors, list(call.node.meta["val"].shape))


@rule(aten.pixel_shuffle.default)
def pixel_shuffle(call: Call) -> fx.Node:
    """Channels become rows and columns: the order is derived, nothing moves."""
    law, factor = call.keyed_source(), call["upscale_factor"]
    if len(shape_of(call.source)) != 4 or law.axes != (2, 3):
        raise Unsupported("something other than the positions of the map is shuffled")
    height, width = extents_of(call.source, (2, 3))
    element = torch.arange(factor * factor * height * width).view(factor, factor, height, width)
    order = law.order.lift(factor * factor, 1).reindex(element.permute(2, 0, 3, 1).flatten())
    return call.reshape(call.source, Keyed(order, (2, 3)), call.node.meta["val"])


@rule(aten.pad.default, aten.constant_pad_nd.default)
def pad(call: Call) -> fx.Node:
    """Padding of plain axes runs as it is; of shuffled ones, it is a copy with taps in the padding."""
    if not any(call["pad"]):
        return call.source
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
    return copied(call, call.source, taps, law, float(value))
