"""Operators that reduce axes: what is reduced may lie in any order."""

from __future__ import annotations

import torch
from torch import fx

from inference.edges import PLAIN, Keyed
from inference.rules.call import Call, Unsupported, shape_of
from inference.rules.table import rule

aten = torch.ops.aten


@rule(aten.mean.dim, aten.sum.dim_IntList, aten.amax.default, aten.amin.default)
def reduction(call: Call) -> fx.Node:
    """Plain if all shuffled axes are reduced, in the input's order if none is."""
    law = call.keyed_source()
    rank = len(shape_of(call.source))
    reduced = {axis % rank for axis in call["dim"]} if call["dim"] else set(range(rank))
    if reduced.issuperset(law.axes):
        return call.keep(PLAIN)
    if reduced & set(law.axes):
        raise Unsupported("reduces one of several axes that are shuffled together")
    gone = 0 if call["keepdim"] else sum(axis < law.axes[0] for axis in reduced)
    return call.keep(Keyed(law.order, tuple(axis - gone for axis in law.axes)))


@rule(aten.sym_size.int)
def size(call: Call) -> fx.Node:
    """A size does not depend on any order."""
    return call.keep(PLAIN)
