"""Operators that treat every element alike: they need the orders of their inputs to agree, no more."""

from __future__ import annotations

from math import prod

import torch
from torch import fx

from inference.edges import Keyed
from inference.rules.call import Call, Unsupported, extents_of, law_of, shape_of
from inference.rules.table import rule

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
)
def pointwise(call: Call) -> fx.Node:
    """Runs on stored values; all inputs are brought into the order of the first keyed one."""
    law = next(law for law in map(law_of, call.tensors) if isinstance(law, Keyed))
    leader = next(node for node in call.tensors if law_of(node) is law)
    axes = tuple(axis + len(call.shape) - len(shape_of(leader)) for axis in law.axes)
    if prod(extents_of(call.node, axes)) != law.order.size:
        raise Unsupported("a shuffled input is broadcast")
    changed = {}
    for name in ("self", "other"):
        node = call.arguments.get(name)
        if isinstance(node, fx.Node) and node is not leader:
            changed[name] = _aligned(call, node, Keyed(law.order, axes))
    return call.keep(Keyed(law.order, axes), **changed)


def _aligned(call: Call, node: fx.Node, law: Keyed) -> fx.Node:
    """An operand that agrees with ``law`` after broadcasting."""
    shape = call.shape
    missing = len(shape) - len(shape_of(node))
    sizes = [shape_of(node)[axis - missing] for axis in law.axes if axis >= missing]
    own = law_of(node)
    if all(size == 1 for size in sizes) and not isinstance(own, Keyed):
        return node
    if missing or sizes != [shape[axis] for axis in law.axes]:
        if isinstance(own, Keyed):
            raise Unsupported("two shuffled inputs are broadcast against each other")
        node = call.expand(node, law.axes)
    return call.agree(node, law.order, law.axes)


@rule(aten.cat.default)
def concatenate(call: Call) -> fx.Node:
    """Joins along an axis that is not shuffled, once all parts have one order."""
    law = next(law for law in map(law_of, call.tensors) if isinstance(law, Keyed))
    if call["dim"] % len(call.shape) in law.axes:
        raise Unsupported("joins along a shuffled axis")
    parts = [call.agree(node, law.order, law.axes) for node in call.tensors]
    return call.keep(law, tensors=parts)
