"""Operators that look along some axes only, channels as a rule, position by position."""

from __future__ import annotations

import torch
from torch import fx

from inference.edges import Factor
from inference.factors import blocks
from inference.rules.call import Call, Unsupported, arranged, factored, law_of, shape_of, sizes_of
from inference.rules.table import rule
from inference.rules.windowing import split_around

aten = torch.ops.aten


def along_channels(call: Call) -> tuple[list[Factor], list[Factor]]:
    """The factors of the source in front of its axis 1 and behind it, where that is in true order."""
    found = blocks(call.factors, sizes_of(call.source))
    place = next((place for place, block in enumerate(found) if (block.first, block.last) == (1, 2)), None)
    if place is None or not found[place].fixed:
        raise Unsupported("the channels are shuffled")
    before, after = (
        [factor for block in some for factor in block.factors] for some in (found[:place], found[place + 1 :])
    )
    return before, after


@rule(aten.batch_norm.default)
def batch_norm(call: Call) -> fx.Node:
    """Scales and shifts every channel."""
    along_channels(call)
    return call.keep(law_of(call.source))


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
    """Normalises along the last axes; weights are brought into the order of those that are shuffled."""
    first = len(shape_of(call.source)) - len(call["normalized_shape"])
    held = [block for block in blocks(call.factors, sizes_of(call.source)) if block.last > first]
    factors = [factor for block in held for factor in block.factors]
    if held[0].first < first or any(factor.batch for factor in factors):
        raise Unsupported("normalises along one of several axes that are shuffled together")
    weights = {name: call[name] for name in ("weight", "bias") if call[name] is not None}
    if any(factor.order for factor in factors):
        weights = {name: arranged(call, weight, factors) for name, weight in weights.items()}
    return call.keep(law_of(call.source), **weights)


@rule(aten.softmax.int, aten.log_softmax.int)
def softmax(call: Call) -> fx.Node:
    """Normalises along one axis; axes that are shuffled together are shuffled each by itself for that."""
    axis = call.axis("dim")
    source = split_around(call, call.source, axis)
    block = next(b for b in blocks(factored(source), sizes_of(source)) if b.first <= axis < b.last)
    if block.last - block.first > 1 or any(factor.batch for factor in block.factors):
        raise Unsupported("normalises along one of several axes that are shuffled together")
    return call.keep(law_of(source), self=source)
