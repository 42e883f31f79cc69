"""Operators that reduce axes: what is reduced may lie in any order."""

from __future__ import annotations

import torch
from torch import fx

from inference.edges import PLAIN, Factor
from inference.factors import blocks
from inference.rules.call import Call, Unsupported, factored, shape_of, sizes_of
from inference.rules.table import rule
from inference.rules.windowing import split_around

aten = torch.ops.aten


@rule(
    aten.amax.default,
    aten.amin.default,
    aten.argmax.default,
    aten.linalg_vector_norm.default,
    aten.mean.dim,
    aten.sum.dim_IntList,
    aten.var.dim,
)
def reduction(call: Call) -> fx.Node:
    """Plain if all that is shuffled is reduced; axes that are shuffled together are, if need be, each by itself."""
    source, rank = call.source, len(shape_of(call.source))
    axes = [call["dim"]] if isinstance(call["dim"], int) else call["dim"] or range(rank)
    reduced = {axis % rank for axis in axes}
    for block in blocks(call.factors, sizes_of(source)):
        if 0 < len(reduced & set(range(block.first, block.last))) < block.last - block.first:
            source = split_around(call, source, block.first)
    left = list[Factor]()
    for block in blocks(factored(source), sizes_of(source)):
        gone = reduced & set(range(block.first, block.last))
        if not gone:
            left += block.factors
        elif len(gone) < block.last - block.first or any(factor.batch for factor in block.factors):
            raise Unsupported("reduces one of several axes that are shuffled together")
        elif call.target is aten.argmax.default and not block.fixed:
            raise Unsupported("the index of a shuffled position")
    return call.keep_factors(left, self=source)


@rule(aten.sym_size.int)
def size(call: Call) -> fx.Node:
    """A size does not depend on any order."""
    return call.keep(PLAIN)
