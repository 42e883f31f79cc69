"""Linear layers."""

from __future__ import annotations

import torch
from torch import fx

from inference.edges import PLAIN, Factor, Keyed
from inference.factors import blocks
from inference.operations import Arranged
from inference.rules.call import Call, Unsupported, emit_keyed, law_of, shape_of, sizes_of
from inference.rules.table import rule

aten = torch.ops.aten


@rule(aten.linear.default)
def linear(call: Call) -> fx.Node:
    """Along a plain axis it acts position by position; along a shuffled one it takes its columns permuted."""
    *front, last = blocks(call.factors, sizes_of(call.source))
    before = [factor for block in front for factor in block.factors]
    if last.fixed:
        return call.keep_factors([*before, Factor(sizes_of(call.node)[-1])])
    axis, law = len(shape_of(call.source)) - 1, law_of(call.source)
    if not isinstance(law, Keyed) or law.axes != (axis,):
        raise Unsupported("the features are shuffled together with another axis")
    weight: fx.Node = call["weight"]
    if weight.op != "get_attr":
        raise Unsupported("the weight is computed in the network")
    outputs = Factor(shape_of(weight)[0])
    columns = Arranged((outputs, Factor(law.order.size, law.order)), tuple(shape_of(weight)))
    return call.keep(PLAIN, weight=emit_keyed(call.graph, columns, (weight,), PLAIN, weight))
