"""Matrix products of computed values, and attention: sums over an axis may run in any order that both sides share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod

import torch
from torch import fx

from inference.edges import PLAIN, Factor, Group, Order
from inference.factors import blocks
from inference.rules.align import operand
from inference.rules.call import Call, Unsupported, factored, law_of, shape_of, sizes_of
from inference.rules.table import rule
from inference.rules.windowing import split_around

aten = torch.ops.aten
LETTERS = "abcdefghijklmnopqrstuvwxyz"


@rule(aten.matmul.default, aten.bmm.default)
def matrix_product(call: Call) -> fx.Node:
    """Rows of the one and columns of the other in any order, what is summed over in one that both share."""
    left, right = call["self"], call["other" if "other" in call.arguments else "mat2"]
    ranks = len(shape_of(left)), len(shape_of(right))
    if min(ranks) < 2:
        raise Unsupported("one of them is a vector")
    batch = LETTERS[: max(ranks) - 2]
    labels = [batch[len(batch) + 2 - ranks[0] :] + "xy", batch[len(batch) + 2 - ranks[1] :] + "yz"]
    parts, factors = _contract(call, [left, right], labels, batch + "xz")
    name = "other" if "other" in call.arguments else "mat2"
    return call.keep_factors(factors, **{"self": _agreed(call, parts[0]), name: _agreed(call, parts[1])})


@rule(aten.einsum.default)
def einsum(call: Call) -> fx.Node:
    """As its equation says: letters that are summed over need one order."""
    equation = call["equation"].replace(" ", "")
    inputs, arrow, result = equation.partition("->")
    labels = inputs.split(",")
    if not arrow or "." in equation or any(len(set(own)) < len(own) for own in labels):
        raise Unsupported("the equation has dots, diagonals or no result")
    parts, factors = _contract(call, call["tensors"], labels, result)
    return call.keep_factors(factors, tensors=[_agreed(call, part) for part in parts])


@rule(aten.scaled_dot_product_attention.default)
def attention(call: Call) -> fx.Node:
    """Keys and values share an order, the result has that of the queries; a mask is brought into both."""
    names = ["query", "key", "value", *(["attn_mask"] if call["attn_mask"] is not None else [])]
    nodes = [call[name] for name in names]
    if call["is_causal"] or call["enable_gqa"]:
        raise Unsupported("a causal mask, or heads in groups")
    batch = LETTERS[: len(shape_of(nodes[0])) - 2]
    labels = [batch + "xy", batch + "zy", batch + "zw"]
    if len(nodes) == 4:
        labels.append((batch + "xz")[-len(shape_of(nodes[3])) :])
    parts, factors = _contract(call, nodes, labels, batch + "xw")
    changed = {name: _agreed(call, part) for name, part in zip(names, parts, strict=True)}
    return call.keep_factors(factors, **changed)


Part = tuple[fx.Node, list[Factor], list[int]]


def _contract(
    call: Call, nodes: Sequence[fx.Node], labels: Sequence[str], result: str
) -> tuple[list[Part], list[Factor]]:
    """For every operand the factors that it should have, as a value of which sizes; and those of the result."""
    held = dict[str, list[Factor]]()
    nodes = [_separated(call, node) for node in nodes]
    for node, own in zip(nodes, labels, strict=True):
        found = [[Factor(size)] for size in sizes_of(node)] if law_of(node) is PLAIN else _by_axis(node)
        for label, factors in zip(own, found, strict=True):
            if label not in held or _weight(factors) > _weight(held[label]):
                held[label] = factors
    for label in _new_positions(nodes, labels, held, result):
        size = _size(held[label])
        held[label] = [Factor(size, Order.of(Group(size, call.node.name)))]
    sizes = {label: _size(factors) for label, factors in held.items()}
    parts = [
        (node, [factor for label in own for factor in held[label]], [sizes[label] for label in own])
        for node, own in zip(nodes, labels, strict=True)
    ]
    return parts, [factor for label in result for factor in held[label]]


def _new_positions(
    nodes: Sequence[fx.Node], labels: Sequence[str], held: Mapping[str, Sequence[Factor]], result: str
) -> list[str]:
    """Labels of the result that only plain operands have, which are multiplied along shuffled positions.

    What they make of the positions for each channel, or whatever else there is beside the samples, are
    positions again, which lie in true order if nothing is done about it.
    """
    if len(result) < 3:  # what is made of each sample is not positions
        return []
    plain, computed = (
        [set(own) for node, own in zip(nodes, labels, strict=True) if (law_of(node) is PLAIN) == wanted]
        for wanted in (True, False)
    )
    summed = {label for label, factors in held.items() if label not in result and any(f.order for f in factors)}
    found = set[str]().union(*(own for own in plain if own & summed)).difference(*computed)
    return [label for label in result if label in found and _size(held[label]) > 1]


def _agreed(call: Call, part: Part) -> fx.Node:
    return operand(call, *part)


def _separated(call: Call, node: fx.Node) -> fx.Node:
    """A node each of whose axes is shuffled by itself."""
    for axis in range(len(shape_of(node)) if law_of(node) is not PLAIN else 0):
        node = split_around(call, node, axis)
    return node


def _by_axis(node: fx.Node) -> list[list[Factor]]:
    """The factors of every axis."""
    found = list[list[Factor]]()
    for block in blocks(factored(node), sizes_of(node)):
        if block.last - block.first > 1:
            raise Unsupported("axes that are shuffled together are not contracted together")
        found.append(list(block.factors))
    return found


def _weight(factors: Sequence[Factor]) -> tuple[int, int]:
    """What is shuffled outweighs what is not, and that what is broadcast."""
    return sum(factor.moves for factor in factors), _size(factors)


def _size(factors: Sequence[Factor]) -> int:
    return prod(factor.size for factor in factors)
