"""Give every edge its law: the planner."""

from __future__ import annotations

from math import prod

from torch import fx
from tqdm import tqdm

from inference.edges import PLAIN, Factored, Group, Keyed, Law, Order
from inference.errors import UnsupportedOperator
from inference.passes.joining import REASON, joined_in_order
from inference.passes.refusals import described, refuse
from inference.rules import RULES
from inference.rules.call import Call, Unsupported, extents_of, is_tensor, law_of, relayout, sizes_of

SHOWN_AFTER_S = 2.0  # conversions that take no longer show no progress


def assign_layouts(module: fx.GraphModule, axes: tuple[int, ...]) -> fx.GraphModule:
    """Plan a network of one input that is shuffled along ``axes``.

    The input is copied into a group of its own at once, so that nothing after that depends on the
    keys of the frames.  Every other operator is planned by its rule; one whose inputs are all plain
    runs as it is.

    Returns a new GraphModule whose nodes carry ``meta["law"]``.  Raises UnsupportedOperatorError,
    which names all operators that no rule covers.
    """
    planner = _Planner(axes)
    nodes = list(module.graph.nodes)
    for node in tqdm(nodes, desc="converting", unit="operator", delay=SHOWN_AFTER_S, leave=False, disable=None):
        planner.plan(node)
    refuse(planner.refused)
    planner.graph.eliminate_dead_code()
    refuse([described(node, REASON) for node in joined_in_order(planner.graph)])
    return fx.GraphModule(module, planner.graph)


class _Planner:
    def __init__(self, axes: tuple[int, ...]) -> None:
        self.axes = axes
        self.graph = fx.Graph()
        self.planned: dict[fx.Node, fx.Node] = {}
        self.samples = 0
        self.refused: list[UnsupportedOperator] = []

    def plan(self, node: fx.Node) -> None:
        """Add what computes ``node`` to the planned graph."""
        if node.op == "placeholder":
            self.planned[node] = self._enter(node)
        elif node.op == "call_function" and any(law_of(self.planned[i]) is not PLAIN for i in node.all_input_nodes):
            self.planned[node] = self._by_rule(node)
        else:
            self.planned[node] = self._copy(node, PLAIN)

    def _copy(self, node: fx.Node, law: Law) -> fx.Node:
        planned = self.graph.node_copy(node, lambda argument: self.planned[argument])
        planned.meta["law"] = law
        return planned

    def _enter(self, node: fx.Node) -> fx.Node:
        positions, self.samples = prod(extents_of(node, self.axes)), sizes_of(node)[0]
        frame = self._copy(node, Keyed(Order.of(Group(positions, node.name, given=True)), self.axes))
        return relayout(self.graph, frame, Order.of(Group(positions, f"{node.name}_entry")), self.axes, "_entry")

    def _by_rule(self, node: fx.Node) -> fx.Node:
        try:
            call = Call(node, self.graph, self.planned)
            if call.target not in RULES:
                raise Unsupported
            planned = RULES[call.target](call)
            if not _has_samples(law_of(planned)):
                raise Unsupported("nothing is left of the samples")
            return planned
        except Unsupported as refusal:
            self.refused.append(described(node, str(refusal)))
            return self._pretend(node)

    def _pretend(self, node: fx.Node) -> fx.Node:
        """Stands for a refused operator, so that the others behind it are looked at too."""
        law = next((law for i in node.all_input_nodes if isinstance(law := law_of(self.planned[i]), Keyed)), None)
        if law is None:
            return self._copy(node, PLAIN)
        try:
            fits = is_tensor(node) and sizes_of(node)[:1] == [self.samples]
            positions = prod(extents_of(node, law.axes)) if fits else 0
        except (IndexError, Unsupported):
            positions = 0
        if not positions:
            return self._copy(node, PLAIN)
        return self._copy(node, Keyed(Order.of(Group(positions, node.name)), law.axes))


def _has_samples(law: Law) -> bool:
    return not isinstance(law, Factored) or any(factor.batch for factor in law.factors)
