"""Find where what was cut out of a shuffled map is joined in true order.

Rows that are cut out of a map and put beside each other again along an axis that is not shuffled lie in
true order, and so does a map that is put together from single positions.  Patches lie in true order too
where strided slices are joined along channels, as ordinary networks do; that is no harm as long as patches
are small and there are many, for these stay shuffled.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from math import prod

import torch
from torch import fx
from torch._ops import OpOverload

from inference.edges import PLAIN
from inference.operations import Copy
from inference.passes.check import COLLAPSING
from inference.rules import RULES
from inference.rules.call import factored, law_of, sizes_of
from inference.rules.movement import movement

aten = torch.ops.aten
#: Cut-outs of one map that may be joined however small the map is: a patch of 2 x 2.
SMALLEST_PATCH = 4
#: How many positions must stay shuffled for every cut-out, where more are joined.
SHUFFLED_EACH = 4
REASON = "brings positions that were cut out of a map back into true order"


@dataclass(frozen=True, slots=True)
class CutOut:
    """Some positions of a map.

    Attributes:
        map: the node that made it.
        positions: which, in a form that differs for different ones.
    """

    map: fx.Node
    positions: bytes


def joined_in_order(graph: fx.Graph) -> list[fx.Node]:
    """The concatenations of a planned graph that join too many cut-outs of one map along an axis in true order."""
    tracer, found = _Tracer(), list[fx.Node]()
    for node in graph.nodes:
        if node.target is not aten.cat.default:
            tracer.follow(node)
        elif _is_too_much(node, tracer.cut_outs(node)):
            found.append(node)
    return found


def _is_too_much(node: fx.Node, cut_outs: list[CutOut]) -> bool:
    most = max(Counter(cut_out.map for cut_out in cut_outs).values(), default=0)
    shuffled = prod(factor.size for factor in factored(node) if factor.order)
    return most > SMALLEST_PATCH and most * SHUFFLED_EACH > shuffled


class _Tracer:
    """Knows of every value of which map it holds some positions only, or another form of all."""

    def __init__(self) -> None:
        self.cut: dict[fx.Node, CutOut] = {}
        self.form_of: dict[fx.Node, fx.Node] = {}

    def cut_outs(self, node: fx.Node) -> list[CutOut]:
        """Those that a node's inputs hold, each once."""
        return list(dict.fromkeys(self.cut[source] for source in node.all_input_nodes if source in self.cut))

    def follow(self, node: fx.Node) -> None:
        """Look at one node after its inputs."""
        operation = node.meta.get("operation")
        if isinstance(operation, Copy):
            self._copied(node, operation)
            return
        if isinstance(node.target, OpOverload) and RULES.get(node.target) is movement:
            self._same_positions(node)
        elif (held := self.cut_outs(node)) and not _reduces(node):
            # what is computed of several is another one
            self.cut[node] = held[0] if len(held) == 1 else CutOut(held[0].map, node.name.encode())

    def _copied(self, node: fx.Node, copy: Copy) -> None:
        source, taps = node.all_input_nodes[0], copy.window.taps
        positions = prod(sizes_of(source)[axis] for axis in copy.window.axes)
        if (taps < 0).any():  # it becomes a part of something else
            return
        if len(taps) >= positions:
            self._same_positions(node)
            return
        outer = self.cut.get(source)
        which = taps.numpy().tobytes()
        whole = self.form_of.get(source, source)
        self.cut[node] = CutOut(outer.map, outer.positions + which) if outer else CutOut(whole, which)

    def _same_positions(self, node: fx.Node) -> None:
        source = node.all_input_nodes[0]
        self.form_of[node] = self.form_of.get(source, source)
        if source in self.cut:
            self.cut[node] = self.cut[source]


def _reduces(node: fx.Node) -> bool:
    """Whether a node sums over positions, so that its result is no cut-out any more."""
    if node.target is aten.linear.default:
        return law_of(node) is PLAIN and law_of(node.all_input_nodes[0]) is not PLAIN
    return node.target in COLLAPSING
