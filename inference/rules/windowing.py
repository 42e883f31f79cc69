"""Windows: positions that are shuffled as windows, and as positions inside each of them.

Attention in windows computes with one axis of windows and one of the positions in each.  Where
windows move into the batch axis, or another axis between the two, the map is copied into an order
that is the product of two: one of the windows, one of the positions, the same in all windows.
Where the windows become a map again, it is copied back into an order of all its positions.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from torch import fx

from inference.edges import PLAIN, Factor, Group, Order
from inference.factors import blocks
from inference.rules.align import regroup
from inference.rules.call import Call, Unsupported, factored, law_of, sizes_of

#: Positions of a patch that may lie in true order, as channels of one position.
LARGEST_PATCH = 4


def split_beside_samples(call: Call, node: fx.Node) -> fx.Node:
    """``node`` with windows shuffled by themselves, if a movement has put windows into its batch axis."""
    if law_of(node) is PLAIN:
        return node
    sizes = sizes_of(node)
    first = blocks(factored(node), sizes)[0]
    if first.last == 1 or len(first.factors) != 2 or not (first.factors[0].batch and first.factors[1].order):
        return node
    windows = sizes[0] // first.factors[0].size
    return _split(call, node, 1, [windows, first.factors[1].size // windows])


def _split(call: Call, node: fx.Node, place: int, parts: list[int]) -> fx.Node:
    new = [Factor(size, Order.of(Group(size, f"{call.node.name}_{n}"))) for n, size in enumerate(parts) if size > 1]
    return regroup(call, node, factored(node), (place, place + 1), new)


def split_around(call: Call, node: fx.Node, axis: int) -> fx.Node:
    """``node`` with axes that are shuffled together, of which ``axis`` is one, shuffled each by itself."""
    sizes, factors = sizes_of(node), factored(node)
    block = next(block for block in blocks(factors, sizes) if block.first <= axis < block.last)
    if block.last - block.first == 1 or len(block.factors) != 1 or block.factors[0].batch:
        return node
    place = [factor.order for factor in factors].index(block.factors[0].order)
    return _split(call, node, place, sizes[block.first : block.last])


def settle_merged(call: Call, node: fx.Node, found: Sequence[Factor]) -> fx.Node:
    """``node``, with positions in true order that a movement merges with channels, away from other positions.

    ``found`` are the factors of the result.  Where patches of 2 x 2 become channels, patches stay
    shuffled, and each is in order; larger patches are refused, for they would be pieces of the picture.
    """
    sizes, factors = sizes_of(call.node), factored(node)
    for block in blocks(found, sizes):
        if [factor.moves for factor in block.factors] not in ([True, False], [False, True]) or block.factors[0].batch:
            continue
        in_front = block.factors[0].order is not None
        positions, channels = block.factors if in_front else block.factors[::-1]
        extent = sizes[block.last - 1 if in_front else block.first]
        inside, place = extent // channels.size, [factor.order for factor in factors].index(positions.order)
        if block.last - block.first > 1 and extent % channels.size == 0 and inside > 1:
            if inside > LARGEST_PATCH:
                raise Unsupported(f"makes channels of patches of {inside} positions, which would lie in true order")
            outside = positions.size // inside
            new = [Factor(outside, Order.of(Group(outside, f"{call.node.name}_patches"))), Factor(inside)]
            return regroup(call, node, factors, (place, place + 1), new if in_front else new[::-1])
    return node


def join_windows(call: Call, node: fx.Node) -> fx.Node:
    """``node`` with all its shuffled factors, which are neighbours, as one in a new order."""
    factors = factored(node)
    places = [place for place, factor in enumerate(factors) if factor.order]
    if not factors[0].batch or places != list(range(places[0], places[-1] + 1)):
        raise Unsupported("moves windows and something else at once")
    size = prod(factors[place].size for place in places)
    new = [Factor(size, Order.of(Group(size, f"{call.node.name}_joined")))]
    return regroup(call, node, factors, (places[0], places[-1] + 1), new)
