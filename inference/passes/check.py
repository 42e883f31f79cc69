"""What must hold of a graph between passes."""

from __future__ import annotations

from math import prod

import torch
from torch import fx

from inference.edges import Keyed, Law, Order, Plain
from inference.graphs import arguments
from inference.operations import Columns, Conv, Operation, Window, keyed
from inference.rules.call import extents_of, law_of, shape_of

aten = torch.ops.aten
#: Operators that run as they are and make a plain result of keyed values.
COLLAPSING = frozenset(
    {
        aten.adaptive_avg_pool2d.default,
        aten.amax.default,
        aten.amin.default,
        aten.linear.default,
        aten.mean.dim,
        aten.sum.dim_IntList,
        aten.sym_size.int,
    }
)


class LayoutCheckError(AssertionError):
    """A pass returned a graph whose edges contradict each other: a defect of this package."""


def check_layouts(module: fx.GraphModule) -> fx.GraphModule:
    """Verify a graph and return it.

    Always: the graph is well formed.  If it is planned: every edge has a law that fits its shape; a
    keyed operator reads and writes the orders that its window says, and its taps lie inside the
    input; an untouched operator has all its keyed inputs, and its result, in orders of one group.

    Raises LayoutCheckError.
    """
    module.graph.lint()
    nodes = [node for node in module.graph.nodes if node.op != "output"]
    planned = [node for node in nodes if "law" in node.meta]
    if planned and len(planned) != len(nodes):
        missing = next(node for node in nodes if "law" not in node.meta)
        raise LayoutCheckError(f"{missing.name} has no law in a planned graph")
    for node in planned:
        _check_law(node)
        if node.target is keyed:
            _check_keyed(node, node.meta["operation"])
        elif node.op == "call_function":
            _check_untouched(node)
    return module


def _expect(holds: bool, node: fx.Node, what: str) -> None:
    if not holds:
        raise LayoutCheckError(f"{node.name}: {what}")


def _check_law(node: fx.Node) -> None:
    law = law_of(node)
    if isinstance(law, Keyed):
        consecutive = tuple(range(law.axes[0], law.axes[0] + len(law.axes)))
        _expect(law.axes == consecutive and law.axes[0] > 0, node, f"axes {law.axes} are not consecutive")
        _expect(law.axes[-1] < len(shape_of(node)), node, f"axes {law.axes} are not all there")
        sizes = extents_of(node, law.axes)
        _expect(prod(sizes) == law.order.size, node, f"an order of {law.order.size} elements on a map of {sizes}")


def _check_keyed(node: fx.Node, operation: Operation) -> None:
    source = arguments(node)[0]
    if isinstance(operation, Columns):
        _expect(shape_of(node)[-1] == operation.order.size, node, "the order does not fit the columns")
        return
    window = operation.window
    _expect(_agrees(law_of(source), window.source), node, "the window reads another order than its input has")
    _expect(_agrees(law_of(node), window.target), node, "the window writes another order than its result has")
    _check_taps(node, source, window)
    if isinstance(operation, Conv) and (residual := arguments(node)[3]) is not None:
        _expect(_agrees(law_of(residual), window.target), node, "what is added lies in another order")
        _expect(shape_of(residual) == shape_of(node), node, "what is added has another shape")


def _check_taps(node: fx.Node, source: fx.Node, window: Window) -> None:
    positions = prod(extents_of(source, window.axes))
    taps, grid = window.taps, window.grid
    _expect(taps.dtype == torch.int32, node, "taps are not int32")
    _expect(taps.shape == (prod(window.extents), grid.taps), node, "taps do not fit the window")
    _expect(grid.positions == taps.shape[0] and prod(grid.size) == positions, node, "the grid does not fit the maps")
    _expect(bool((taps >= -1).all() and (taps < positions).all()), node, "a tap lies outside of the input")


def _check_untouched(node: fx.Node) -> None:
    laws = [law for law in map(law_of, node.all_input_nodes) if isinstance(law, Keyed)]
    own = law_of(node)
    if isinstance(own, Plain):
        _expect(not laws or node.target in COLLAPSING, node, "makes a plain result of shuffled values")
        return
    groups = {law.order.resolve().group for law in (*laws, own)}
    _expect(bool(laws), node, "makes a shuffled result of plain values")
    _expect(len(groups) == 1, node, "mixes layout groups")
    if len(laws) > 1:
        _expect(all(law.order.same(own.order) for law in laws), node, "mixes orders")


def _agrees(law: Law, order: Order | None) -> bool:
    if isinstance(law, Plain) or order is None:
        return isinstance(law, Plain) and order is None
    return law.order.same(order)
