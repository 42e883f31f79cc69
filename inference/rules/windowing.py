"""Windows: positions that are shuffled as windows, and as positions inside each of them.

Attention in windows computes with one axis of windows and one of the positions in each.  Where
windows move into the batch axis, or another axis between the two, the map is copied into an order
that is the product of two: one of the windows, one of the positions, the same in all windows.
Where the windows become a map again, it is copied back into an order of all its positions.
"""

from __future__ import annotations

from math import prod

from torch import fx

from inference.edges import Factor, Group, Keyed, Order
from inference.factors import blocks
from inference.rules.align import regroup
from inference.rules.call import Call, Unsupported, extents_of, factored, sizes_of


def split_beside_samples(call: Call, node: fx.Node) -> fx.Node:
    """``node`` with windows shuffled by themselves, if a movement has put windows into its batch axis."""
    sizes = sizes_of(node)
    first = blocks(factored(node), sizes)[0]
    if first.last == 1 or len(first.factors) != 2 or not (first.factors[0].batch and first.factors[1].order):
        return node
    windows = sizes[0] // first.factors[0].size
    return _split(call, node, 1, [windows, first.factors[1].size // windows])


def split_axes(call: Call, node: fx.Node, law: Keyed) -> fx.Node:
    """``node`` with each of its shuffled axes shuffled by itself."""
    sizes = [size for size in extents_of(node, law.axes) if size > 1]
    place = next(place for place, factor in enumerate(factored(node)) if factor.order)
    return _split(call, node, place, sizes)


def _split(call: Call, node: fx.Node, place: int, parts: list[int]) -> fx.Node:
    new = [Factor(size, Order.of(Group(size, f"{call.node.name}_{n}"))) for n, size in enumerate(parts) if size > 1]
    return regroup(call, node, factored(node), (place, place + 1), new)


def join_windows(call: Call, node: fx.Node) -> fx.Node:
    """``node`` with all its shuffled factors, which are neighbours, as one in a new order."""
    factors = factored(node)
    places = [place for place, factor in enumerate(factors) if factor.order]
    if not factors[0].batch or places != list(range(places[0], places[-1] + 1)):
        raise Unsupported("moves windows and something else at once")
    size = prod(factors[place].size for place in places)
    new = [Factor(size, Order.of(Group(size, f"{call.node.name}_joined")))]
    return regroup(call, node, factors, (places[0], places[-1] + 1), new)


def _beside_samples(node: fx.Node) -> list[int]:
    """Sizes of the two parts of a shuffled factor that begins in the batch axis and goes on behind it."""
    sizes = sizes_of(node)
    first = blocks(factored(node), sizes)[0]
    if first.last == 1 or len(first.factors) != 2 or not (first.factors[0].batch and first.factors[1].order):
        return []
    windows = sizes[0] // first.factors[0].size
    return [windows, first.factors[1].size // windows]
