"""What a rule sees of an operator, and what it can emit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import prod
from typing import Any

import torch
from torch import Tensor, fx
from torch._ops import OpOverload

from inference.edges import PLAIN, Factor, Factored, Group, Keyed, Law, Order, Plain
from inference.factors import PROBE_BATCH, factors_of, law_of_factors
from inference.graphs import origin
from inference.operations import Arranged, Copy, Operation, Window, keyed
from inference.taps import Grid

aten = torch.ops.aten


class Unsupported(Exception):  # noqa: N818 - a signal to the planner, which raises UnsupportedOperatorError
    """This use of an operator cannot be keyed; the text says why."""


class Call:
    """One operator with its planned inputs, and a pen for the graph that is being planned.

    Attributes:
        node: the operator as exported.
        target: its ATen overload.
        arguments: by their names in its schema, with nodes of the planned graph for tensors.
        graph: the planned graph, which :meth:`emit` extends.
    """

    def __init__(self, node: fx.Node, graph: fx.Graph, planned: dict[fx.Node, fx.Node]) -> None:
        if not isinstance(node.target, OpOverload):
            raise Unsupported("not an ATen operator")
        self.node, self.graph, self.target = node, graph, node.target
        parameters = node.target._schema.arguments  # noqa: SLF001 - the documented way to a schema
        given = dict(zip((p.name for p in parameters), node.args, strict=False)) | node.kwargs
        self.arguments = {
            p.name: fx.map_arg(given.get(p.name, p.default_value), lambda argument: planned[argument])
            for p in parameters
        }
        self._keyword_only = {p.name for p in parameters if p.kwarg_only}

    def __getitem__(self, name: str) -> Any:
        """An argument by its name."""
        return self.arguments[name]

    @property
    def source(self) -> fx.Node:
        """The first tensor argument, by convention the one that is operated on."""
        return self.tensors[0]

    @property
    def tensors(self) -> list[fx.Node]:
        """All tensor arguments, those in lists included."""
        return [node for value in self.arguments.values() for node in _nodes(value) if is_tensor(node)]

    @property
    def shape(self) -> torch.Size:
        """Shape of the result; the batch size may be symbolic."""
        return shape_of(self.node)

    def keyed_source(self) -> Keyed:
        """The law of the first tensor; the others must be plain."""
        law = law_of(self.source)
        if any(law_of(node) is not PLAIN for node in self.tensors[1:]):
            raise Unsupported("an argument other than the first is shuffled")
        if isinstance(law, Factored):
            raise Unsupported("several axes are shuffled, or the batch axis is not the first")
        if not isinstance(law, Keyed):
            raise Unsupported("an argument is shuffled, the input is not")
        return law

    @property
    def factors(self) -> tuple[Factor, ...]:
        """The factors of the first tensor; the others must be plain."""
        if any(law_of(node) is not PLAIN for node in self.tensors[1:]):
            raise Unsupported("an argument other than the first is shuffled")
        return factored(self.source)

    def keep_factors(self, factors: Sequence[Factor], /, **changed: Any) -> fx.Node:
        """The operator itself, run on stored values; its result has these factors."""
        return self.keep(law_of_factors(factors, sizes_of(self.node)), **changed)

    def axis(self, name: str) -> int:
        """An axis argument, counted from the front of the source."""
        return int(self[name]) % len(shape_of(self.source))

    def keep(self, law: Law, /, **changed: Any) -> fx.Node:
        """The operator itself, run on stored values."""
        return self.emit(self.target, self._call_arguments(changed), law, self.node.meta["val"])

    def operate(self, operation: Operation, inputs: Sequence[Any], law: Law) -> fx.Node:
        """A keyed operator with this operator's result."""
        return emit_keyed(self.graph, operation, inputs, law, self.node)

    def emit(self, target: Any, arguments: tuple[tuple[Any, ...], dict[str, Any]], law: Law, value: Any) -> fx.Node:
        """Any node; ``value`` is the fake tensor that it makes."""
        node = self.graph.create_node("call_function", target, *arguments, name=self.node.name)
        node.meta.update(origin(self.node), val=value, law=law)
        return node

    def reshape(self, node: fx.Node, law: Law, value: Tensor) -> fx.Node:
        """``node`` with the shape of ``value``; its elements stay where they are."""
        shape = [-1 if (known := fixed_size(size)) is None else known for size in value.shape]
        return self.emit(aten.reshape.default, ((node, shape), {}), law, value)

    def open(self, window: Window) -> tuple[Window, Law]:
        """The window with a new group as its target, and the law of what it writes."""
        positions = window.taps.shape[0]
        if positions == 1:  # which has no order
            return window, PLAIN
        order = Order.of(Group(positions, self.node.name))
        first = window.axes[0]
        return replace(window, target=order), Keyed(order, tuple(range(first, first + len(window.extents))))

    def run(self, stand_in: Tensor) -> Tensor:
        """The operator run on ``stand_in`` (batch of PROBE_BATCH) in place of its source."""
        positional, keywords = self._call_arguments({})
        concrete = {self.source: stand_in}

        def value(node: fx.Node) -> Any:
            if node in concrete:
                return concrete[node]
            if is_tensor(node):
                raise Unsupported("moves values to places that depend on another tensor")
            return _probe_size(node.meta["val"])

        result = self.target(*fx.map_arg(positional, value), **fx.map_arg(keywords, value))
        if not isinstance(result, Tensor):
            raise Unsupported("has several results")
        return result

    def _call_arguments(self, changed: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        merged = self.arguments | changed
        positional = tuple(value for name, value in merged.items() if name not in self._keyword_only)
        return positional, {name: value for name, value in merged.items() if name in self._keyword_only}


def emit_keyed(
    graph: fx.Graph, operation: Operation, inputs: Sequence[Any], law: Law, like: fx.Node, suffix: str = ""
) -> fx.Node:
    """A keyed operator whose result has the shape and the origin of ``like``, and its name with a suffix."""
    node = graph.create_node("call_function", keyed, tuple(inputs), name=like.name + suffix)
    node.meta.update(origin(like), val=like.meta["val"], law=law, operation=operation)
    return node


def arranged(call: Call, constant: fx.Node, factors: Sequence[Factor]) -> fx.Node:
    """A parameter or buffer in the orders of the factors of its flat index."""
    if constant.op != "get_attr":
        raise Unsupported("the weight is computed in the network")
    return emit_keyed(call.graph, Arranged(tuple(factors), tuple(shape_of(constant))), (constant,), PLAIN, constant)


def relayout(graph: fx.Graph, node: fx.Node, order: Order, axes: tuple[int, ...], suffix: str = "_relayout") -> fx.Node:
    """A copy of ``node`` in ``order``: a gather with one tap a position."""
    law, extents = law_of(node), extents_of(node, axes)
    taps = torch.arange(prod(extents), dtype=torch.int32)[:, None]
    source = law.order if isinstance(law, Keyed) else None
    window = Window(taps, plane(extents, extents, 1), axes, extents, source, order)
    return emit_keyed(graph, Copy(window), (node,), Keyed(order, axes), node, suffix)


def plane(size: Sequence[int], out: Sequence[int], taps: int) -> Grid:
    """A grid with these positions and taps, for taps that do not lie regularly."""
    height_width = [(s[0], s[1]) if len(s) == 2 else (1, prod(s)) for s in (size, out)]
    return Grid(height_width[0], height_width[1], (1, taps))


def law_of(node: fx.Node) -> Law:
    """The law of an edge of a planned graph."""
    law = node.meta["law"]
    if not isinstance(law, Plain | Keyed | Factored):
        raise TypeError(f"{node.name} has no law")
    return law


def is_tensor(node: fx.Node) -> bool:
    """Whether a node's value is one tensor."""
    return isinstance(node.meta.get("val"), Tensor)


def shape_of(node: fx.Node) -> torch.Size:
    """Shape of a node's value; the batch size may be symbolic."""
    value: Tensor = node.meta["val"]
    return value.shape


def extents_of(node: fx.Node, axes: Sequence[int]) -> tuple[int, ...]:
    """Sizes of a node's value along ``axes``, which must not be symbolic."""
    shape, sizes = shape_of(node), []
    for axis in axes:
        size = fixed_size(shape[axis])
        if size is None:
            raise Unsupported("the size of the map is not fixed")
        sizes.append(size)
    return tuple(sizes)


def sizes_of(node: fx.Node) -> list[int]:
    """All sizes of a node's value for PROBE_BATCH samples."""
    return [_probe_size(size) for size in shape_of(node)]


def factored(node: fx.Node) -> tuple[Factor, ...]:
    """The factors of a node's value."""
    return factors_of(law_of(node), sizes_of(node))


def fixed_size(size: int | torch.SymInt) -> int | None:
    """A size if it is a number, None if it may differ from call to call."""
    if isinstance(size, int):
        return size
    return int(size) if size.node.expr.is_number else None


def _nodes(value: Any) -> list[fx.Node]:
    found: list[fx.Node] = []
    fx.map_arg(value, found.append)
    return found


def _probe_size(size: int | torch.SymInt) -> int:
    known = fixed_size(size)
    if known is not None or isinstance(size, int):
        return int(size)
    expression = size.node.expr
    return int(expression.subs(dict.fromkeys(expression.free_symbols, PROBE_BATCH)))
