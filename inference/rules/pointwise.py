"""Operators that treat every element alike: they need the orders of their inputs to agree, no more."""

from __future__ import annotations

import functools
from math import prod

import torch
from torch import fx

from inference.edges import PLAIN, Factor, Group, Keyed, Order
from inference.factors import blocks
from inference.operations import Copy, Window
from inference.rules.align import agree, operand, spread
from inference.rules.call import Call, Unsupported, factored, is_tensor, law_of, plane, sizes_of
from inference.rules.table import rule
from inference.taps import PADDING

aten = torch.ops.aten


@rule(
    aten.abs.default,
    aten.add.Scalar,
    aten.add.Tensor,
    aten.celu.default,
    aten.clamp.default,
    aten.clamp_max.default,
    aten.clamp_min.default,
    aten.div.Scalar,
    aten.div.Tensor,
    aten.elu.default,
    aten.erf.default,
    aten.exp.default,
    aten.gelu.default,
    aten.hardsigmoid.default,
    aten.hardswish.default,
    aten.hardtanh.default,
    aten.leaky_relu.default,
    aten.log.default,
    aten.log_sigmoid.default,
    aten.maximum.default,
    aten.minimum.default,
    aten.mish.default,
    aten.mul.Scalar,
    aten.mul.Tensor,
    aten.neg.default,
    aten.pow.Tensor_Scalar,
    aten.reciprocal.default,
    aten.relu.default,
    aten.relu6.default,
    aten.rsqrt.default,
    aten.rsub.Scalar,
    aten.selu.default,
    aten.sigmoid.default,
    aten.silu.default,
    aten.softplus.default,
    aten.sqrt.default,
    aten.square.default,
    aten.sub.Scalar,
    aten.sub.Tensor,
    aten.tanh.default,
    aten.threshold.default,
    aten.to.dtype,
)
def pointwise(call: Call) -> fx.Node:
    """Runs on stored values; all inputs are brought into the order of the one with most positions."""
    leader = max((node for node in call.tensors if law_of(node) is not PLAIN), key=_positions)
    factors = spread(call, leader)
    changed = {
        name: operand(call, node, factors, sizes_of(call.node))
        for name in ("self", "other")
        if isinstance(node := call.arguments.get(name), fx.Node) and is_tensor(node) and node is not leader
    }
    return call.keep_factors(factors, **changed)


def _positions(node: fx.Node) -> int:
    """How many positions are shuffled."""
    return prod(factor.size for factor in factored(node) if factor.order)


@rule(aten.cat.default)
def concatenate(call: Call) -> fx.Node:
    """Joins along an axis that is not shuffled once all parts have one order; else copies parts into a new one."""
    axis, sizes = call["dim"] % len(call.shape), sizes_of(call.node)
    leader = next(node for node in call.tensors if law_of(node) is not PLAIN)
    found = blocks(factored(leader), sizes_of(leader))
    place = next(place for place, block in enumerate(found) if block.first <= axis < block.last)
    if not found[place].fixed:
        return _interleaved(call, axis)
    before, after = (
        [factor for block in some for factor in block.factors] for some in (found[:place], found[place + 1 :])
    )
    parts = [agree(call, node, [*before, Factor(sizes_of(node)[axis]), *after]) for node in call.tensors]
    return call.keep_factors([*before, Factor(sizes[axis]), *after], tensors=parts)


def _interleaved(call: Call, axis: int) -> fx.Node:
    """The sum of all parts, each copied to its positions in a new order, with zeros elsewhere."""
    size = sizes_of(call.node)[axis]
    order, begin = Order.of(Group(size, call.node.name)), 0
    terms = list[fx.Node]()
    for part in call.tensors:
        law, count = law_of(part), sizes_of(part)[axis]
        if axis == 0 or not (law is PLAIN or (isinstance(law, Keyed) and law.axes == (axis,))):
            raise Unsupported("joins along one of several axes that are shuffled together")
        taps = torch.full((size, 1), PADDING, dtype=torch.int32)
        taps[begin : begin + count, 0] = torch.arange(count, dtype=torch.int32)
        begin += count
        source = law.order if isinstance(law, Keyed) else None
        window = Window(taps, plane((count,), (size,), 1), (axis,), (size,), source, order)
        terms.append(call.operate(Copy(window), (part,), Keyed(order, (axis,))))
    value = call.node.meta["val"]
    return functools.reduce(
        lambda one, other: call.emit(aten.add.Tensor, ((one, other), {}), Keyed(order, (axis,)), value), terms
    )
