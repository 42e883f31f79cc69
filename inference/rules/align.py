"""Bring the operands of an operator into one order."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import prod

import torch
from torch import fx

from inference.edges import PLAIN, Factor, Factored, join, unify
from inference.factors import blocks, carried, law_of_factors
from inference.operations import Arranged, Copy, Window
from inference.rules.call import Call, Unsupported, emit_keyed, factored, fixed_size, law_of, plane, shape_of, sizes_of

aten = torch.ops.aten
ELSEWHERE = "two inputs are shuffled along different axes"


def spread(call: Call, leader: fx.Node) -> tuple[Factor, ...]:
    """The factors of an elementwise operator's result, as those of an operand that is broadcast to it."""
    sizes, result = sizes_of(leader), sizes_of(call.node)
    missing = len(result) - len(sizes)
    found = [Factor(size) for size in result[:missing]]
    for block in blocks(factored(leader), sizes):
        extents = result[block.first + missing : block.last + missing]
        if extents == sizes[block.first : block.last]:
            found += block.factors
        elif block.fixed:
            found += [Factor(size) for size in extents]
        else:
            raise Unsupported("a shuffled input is broadcast")
    return tuple(found)


def operand(call: Call, node: fx.Node, factors: Sequence[Factor], sizes: Sequence[int]) -> fx.Node:
    """An operand that agrees with ``factors`` of a value with ``sizes`` that it is broadcast to."""
    own = sizes_of(node)
    padded = [1] * (len(sizes) - len(own)) + own
    wanted, expanded = list[Factor](), list(padded)
    for block in blocks(factors, sizes):
        extents = padded[block.first : block.last]
        if block.fixed:
            wanted += [Factor(size) for size in extents]
        elif prod(extents) == 1:
            continue
        elif extents == list(sizes[block.first : block.last]):
            wanted += block.factors
        else:
            expanded[block.first : block.last] = sizes[block.first : block.last]
            wanted += block.factors
    if not any(factor.order for factor in wanted):
        return node if law_of(node) is PLAIN else agree(call, node, wanted)
    if node.op == "get_attr":
        return emit_keyed(call.graph, Arranged(tuple(wanted), tuple(expanded)), (node,), PLAIN, node, "_arranged")
    if not any(factor.batch for factor in wanted):
        raise Unsupported("a computed operand without samples is broadcast along shuffled axes")
    return agree(call, node if expanded == padded else _expanded(call, node, padded, expanded), wanted)


def _expanded(call: Call, node: fx.Node, padded: Sequence[int], sizes: Sequence[int]) -> fx.Node:
    """``node`` with ``sizes``, to which it is broadcast; with all axes, its own are ``padded``."""
    law = law_of(node)
    if law is not PLAIN:
        factors = carried(factored(node), torch.arange(prod(padded)).view(*padded).expand(*sizes))
        if factors is None:
            raise Unsupported("two shuffled inputs are broadcast against each other")
        law = law_of_factors(factors, sizes)
    missing = len(sizes) - len(shape_of(node))
    shape = [
        size if axis < missing or size != own else -1
        for axis, (own, size) in enumerate(zip(padded, sizes, strict=True))
    ]
    emitted = call.emit(aten.expand.default, ((node, shape), {}), law, node.meta["val"].expand(shape))
    emitted.name = f"{node.name}_expanded"
    return emitted


def agree(call: Call, node: fx.Node, wanted: Sequence[Factor]) -> fx.Node:
    """``node`` with these factors: itself if its orders can be unified with theirs, else a copy."""
    plain = law_of(node) is PLAIN
    own = [Factor(f.size, batch=f.batch) for f in wanted] if plain else factored(node)
    pairs = _paired(own, wanted)
    done = list[Factor]()
    for place, (has, wants) in enumerate(pairs):
        if any(factor.order for factor in wants) and not _unified(has, wants):
            left = [factor for pair in pairs[place + 1 :] for factor in pair[0]]
            node = regroup(call, node, [*done, *has, *left], (len(done), len(done) + len(has)), wants)
        done += wants
    return node


def _unified(has: Sequence[Factor], wants: Sequence[Factor]) -> bool:
    if len(has) != 1 or len(wants) != 1 or has[0].order is None or wants[0].order is None:
        return False
    return unify(wants[0].order, has[0].order)


Pair = tuple[list[Factor], list[Factor]]


def _paired(own: Sequence[Factor], wanted: Sequence[Factor]) -> list[Pair]:
    """Two lists of factors of one index, in the smallest parts that are of one size; plain factors are split."""
    left, right = ([factor for factor in factors if factor.size > 1] for factors in (own, wanted))
    pairs = list[Pair]()
    while left and right:
        pair = [left.pop(0)], [right.pop(0)]
        while (ratio := Fraction(_size(pair[0]), _size(pair[1]))) != 1:
            _fill(pair[ratio > 1], right if ratio > 1 else left, max(ratio, 1 / ratio))
        if any(factor.batch for side in pair for factor in side) and not (pair[0][0].batch and pair[1][0].batch):
            raise Unsupported(ELSEWHERE)
        if any(factor.order for factor in pair[0]) and not all(factor.order for factor in pair[1]):
            raise Unsupported(ELSEWHERE)
        pairs.append(pair)
    return pairs


def _fill(side: list[Factor], left: list[Factor], ratio: Fraction) -> None:
    """Take one more factor, or as much of it as is missing."""
    if not left:
        raise Unsupported(ELSEWHERE)
    factor = left.pop(0)
    if not factor.moves and ratio.denominator == 1 and factor.size > ratio and factor.size % ratio == 0:
        left.insert(0, Factor(int(factor.size / ratio)))
        factor = Factor(int(ratio))
    side.append(factor)


def _size(factors: Sequence[Factor]) -> int:
    return prod(factor.size for factor in factors)


def regroup(
    call: Call, node: fx.Node, factors: Sequence[Factor], place: tuple[int, int], new: Sequence[Factor]
) -> fx.Node:
    """A copy of ``node`` with neighbouring ``factors`` from place to place exchanged for new ones: their product."""
    if not factors[0].batch:
        raise Unsupported("the batch axis is not the first")
    first, last = place
    after = [*factors[:first], *new, *factors[last:]]
    source = reshaped(call, node, factors, _axes(factors))
    count = prod(factor.size for factor in new)
    extents = tuple(factor.size for factor in new)
    taps = torch.arange(count, dtype=torch.int32)[:, None]
    window = Window(
        taps, plane((count,), (count,), 1), tuple(range(first, last)), extents, join(factors[first:last]), join(new)
    )
    copy = emit_keyed(call.graph, Copy(window), (source,), Factored(tuple(after)), node, "_regrouped")
    copy.meta["val"] = source.meta["val"].new_empty([source.meta["val"].shape[0], *_axes(after)[1:]])
    return reshaped(call, copy, after, list(node.meta["val"].shape))


def _axes(factors: Sequence[Factor]) -> list[int]:
    return [-1, *(factor.size for factor in factors[1:])]


def reshaped(call: Call, node: fx.Node, factors: Sequence[Factor], shape: Sequence[int | torch.SymInt]) -> fx.Node:
    """``node`` with these factors as a value of another shape; nothing moves."""
    known = [-1 if (size := fixed_size(extent)) is None else size for extent in shape]
    value = node.meta["val"].reshape(known)
    if value.shape == node.meta["val"].shape:
        return node
    emitted = call.graph.create_node("call_function", aten.reshape.default, (node, known), name=f"{node.name}_shaped")
    emitted.meta.update(node.meta, val=value)
    emitted.meta.pop("operation", None)
    emitted.meta["law"] = PLAIN if law_of(node) is PLAIN else law_of_factors(factors, sizes_of(emitted))
    return emitted
