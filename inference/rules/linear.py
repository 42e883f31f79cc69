"""Linear layers."""

from __future__ import annotations

import torch
from torch import fx

from inference.edges import Factor, Group, Keyed, Order
from inference.factors import blocks
from inference.rules.call import Call, Unsupported, arranged, law_of, shape_of, sizes_of
from inference.rules.table import rule

aten = torch.ops.aten


@rule(aten.linear.default)
def linear(call: Call) -> fx.Node:
    """Along a plain axis it acts position by position; along a shuffled one it takes its columns permuted.

    What it makes of shuffled positions for each channel, or whatever else there is beside the samples, are
    positions again: its rows are permuted as well, in a new order.
    """
    *front, last = blocks(call.factors, sizes_of(call.source))
    before = [factor for block in front for factor in block.factors]
    size = sizes_of(call.node)[-1]
    if last.fixed:
        return call.keep_factors([*before, Factor(size)])
    axis, law = len(shape_of(call.source)) - 1, law_of(call.source)
    if not isinstance(law, Keyed) or law.axes != (axis,):
        raise Unsupported("the features are shuffled together with another axis")
    rows = Factor(size, Order.of(Group(size, call.node.name)) if axis > 1 and size > 1 else None)
    changed = {"weight": arranged(call, call["weight"], [rows, Factor(law.order.size, law.order)])}
    if call["bias"] is not None and rows.order:
        changed["bias"] = arranged(call, call["bias"], [rows])
    return call.keep_factors([*before, rows], **changed)
