"""Operators that look along some axes only, channels as a rule, position by position."""

from __future__ import annotations

import torch
from torch import fx

from inference.factors import blocks
from inference.rules.call import Call, Unsupported, law_of, shape_of, sizes_of
from inference.rules.table import rule

aten = torch.ops.aten


@rule(aten.batch_norm.default)
def batch_norm(call: Call) -> fx.Node:
    """Scales and shifts every channel."""
    law = call.keyed_source()
    if 1 in law.axes:
        raise Unsupported("the channels are shuffled")
    return call.keep(law)


@rule(aten.group_norm.default, aten.instance_norm.default)
def group_norm(call: Call) -> fx.Node:
    """Normalises over all positions, and some channels; order does not matter where it is the positions'."""
    law = call.keyed_source()
    if 1 in law.axes:
        raise Unsupported("the channels are shuffled")
    return call.keep(law)


@rule(aten.prelu.default)
def prelu(call: Call) -> fx.Node:
    """A slope for each channel, or one for all."""
    law = call.keyed_source()
    if 1 in law.axes and shape_of(call["weight"]).numel() > 1:
        raise Unsupported("the channels are shuffled")
    return call.keep(law)


@rule(aten.layer_norm.default)
def layer_norm(call: Call) -> fx.Node:
    """Normalises along the last axes."""
    found = blocks(call.factors, sizes_of(call.source))
    first = len(shape_of(call.source)) - len(call["normalized_shape"])
    if not all(block.fixed for block in found if block.last > first):
        raise Unsupported("normalises along a shuffled axis")
    return call.keep(law_of(call.source))


@rule(aten.softmax.int, aten.log_softmax.int)
def softmax(call: Call) -> fx.Node:
    """Normalises along one axis; its order does not matter if it is shuffled by itself."""
    axis = call.axis("dim")
    block = next(b for b in blocks(call.factors, sizes_of(call.source)) if b.first <= axis < b.last)
    if block.last - block.first > 1 or any(factor.batch for factor in block.factors):
        raise Unsupported("normalises along one of several axes that are shuffled together")
    return call.keep(law_of(call.source))
