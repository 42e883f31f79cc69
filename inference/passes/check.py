"""What must hold of a graph between passes."""

from __future__ import annotations

from math import prod

import torch
from torch import fx

from inference.edges import AnyOrder, Factored, Keyed, Plain, join, orders_of
from inference.factors import blocks
from inference.graphs import arguments
from inference.operations import Arranged, Conv, Operation, Window, keyed
from inference.rules.call import extents_of, factored, law_of, shape_of, sizes_of

aten = torch.ops.aten
#: Operators that run as they are and make a plain result of keyed values.
COLLAPSING = frozenset(
    {
        aten.adaptive_avg_pool2d.default,
        aten.argmax.default,
        aten.bmm.default,
        aten.einsum.default,
        aten.linalg_vector_norm.default,
        aten.matmul.default,
        aten.amax.default,
        aten.amin.default,
        aten.linear.default,
        aten.mean.dim,
        aten.scaled_dot_product_attention.default,
        aten.sum.dim_IntList,
        aten.sym_size.int,
        aten.var.dim,
    }
)
#: Operators whose inputs may be in different orders, of which the result has some.
CONTRACTING = frozenset(
    {
        aten.bmm.default,
        aten.einsum.default,
        aten.linear.default,
        aten.matmul.default,
        aten.scaled_dot_product_attention.default,
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
    elif isinstance(law, Factored):
        sizes, factors = tuple(sizes_of(node)), tuple(factor.size for factor in law.factors)
        _expect(prod(sizes) == prod(factors), node, f"factors {factors} of a value of {sizes}")
        _expect(sum(factor.batch for factor in law.factors) == 1, node, "has no batch, or more than one")
        fits = all(factor.order is None or factor.order.size == factor.size for factor in law.factors)
        _expect(fits, node, "an order does not fit its factor")


def _check_keyed(node: fx.Node, operation: Operation) -> None:
    source = arguments(node)[0]
    if isinstance(operation, Arranged):
        fits = prod(factor.size for factor in operation.factors) == prod(operation.shape)
        _expect(fits, node, "the factors do not fit the constant")
        return
    window = operation.window
    first, last = window.axes[0], window.axes[-1] + 1
    end = first + len(window.extents)
    _expect(_agrees(source, first, last, window.source), node, "the window reads another order than its input has")
    _expect(_agrees(node, first, end, window.target), node, "the window writes another order than its result has")
    _check_taps(node, source, window)
    if isinstance(operation, Conv) and (residual := arguments(node)[3]) is not None:
        _expect(_agrees(residual, first, end, window.target), node, "what is added lies in another order")
        _expect(shape_of(residual) == shape_of(node), node, "what is added has another shape")


def _check_taps(node: fx.Node, source: fx.Node, window: Window) -> None:
    positions = prod(extents_of(source, window.axes))
    taps, grid = window.taps, window.grid
    _expect(taps.dtype == torch.int32, node, "taps are not int32")
    _expect(taps.shape == (prod(window.extents), grid.taps), node, "taps do not fit the window")
    _expect(grid.positions == taps.shape[0] and prod(grid.size) == positions, node, "the grid does not fit the maps")
    _expect(bool((taps >= -1).all() and (taps < positions).all()), node, "a tap lies outside of the input")


def _check_untouched(node: fx.Node) -> None:
    laws = [law for law in map(law_of, node.all_input_nodes) if not isinstance(law, Plain)]
    own = law_of(node)
    if isinstance(own, Plain):
        _expect(not laws or node.target in COLLAPSING, node, "makes a plain result of shuffled values")
        return
    _expect(bool(laws), node, "makes a shuffled result of plain values")
    if node.target not in CONTRACTING and all(isinstance(law, Keyed) for law in (*laws, own)):
        groups = {group for law in (*laws, own) for order in orders_of(law) for group in order.groups}
        _expect(len(groups) == 1, node, "mixes layout groups")
    if len(laws) > 1:
        known = [order for law in laws for order in orders_of(law)]
        _expect(all(any(o.same(k) for k in known) for o in orders_of(own)), node, "mixes orders")


def _agrees(node: fx.Node, first: int, last: int, order: AnyOrder | None) -> bool:
    """Whether a node's axes from ``first`` to ``last - 1``, and no others of them, are in this order."""
    held = [block for block in blocks(factored(node), sizes_of(node)) if first <= block.first < last]
    if held[-1].last != last:
        return False
    found = join([factor for block in held for factor in block.factors])
    return all(block.fixed for block in held) if order is None else found is not None and found.same(order)
