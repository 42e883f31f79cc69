"""Linear layers."""

from __future__ import annotations

import torch
from torch import fx

from inference.edges import PLAIN
from inference.operations import Columns
from inference.rules.call import Call, Unsupported, emit_keyed, shape_of
from inference.rules.table import rule

aten = torch.ops.aten


@rule(aten.linear.default)
def linear(call: Call) -> fx.Node:
    """Along a plain axis it acts position by position; along a shuffled one it takes its columns permuted."""
    law = call.keyed_source()
    last = len(shape_of(call.source)) - 1
    if last not in law.axes:
        return call.keep(law)
    if law.axes != (last,):
        raise Unsupported("the features are shuffled together with another axis")
    weight: fx.Node = call["weight"]
    if weight.op != "get_attr":
        raise Unsupported("the weight is computed in the network")
    columns = emit_keyed(call.graph, Columns(law.order), (weight,), PLAIN, weight)
    return call.keep(PLAIN, weight=columns)
