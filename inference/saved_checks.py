"""What must hold of a network that was read from files, so that it is refused when it is loaded and not called.

All checks raise ValueError; :mod:`inference.storage` names the file.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from functools import cache
from math import prod
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import torch
from torch import Tensor, fx
from torch.utils import _pytree as pytree

from inference.edges import Factor, Keyed, Order
from inference.graphs import arguments
from inference.operations import Window
from inference.plan import ArrangedConstant, ArrangedWeight, Plan, StoredWeights

#: What may be an argument of an operator, beside nodes and containers.
ARGUMENTS = bool | int | float | str | torch.dtype | torch.device | torch.layout | torch.memory_format | None


def check_parts(kind: type, parts: Mapping[str, Any]) -> None:
    """Parts are of the kinds that a class declares."""
    for name, hint in _hints(kind).items():
        if name in parts and not fits(parts[name], hint):
            raise ValueError(f"a {kind.__name__} has no such {name}")


def fits(value: Any, hint: Any) -> bool:
    """Whether a value is what a type hint says: a class, a union, a tuple or a mapping."""
    origin, inside = get_origin(hint), get_args(hint)
    if hint is Any:
        return True
    if origin in (Union, UnionType):
        return any(fits(value, part) for part in inside)
    if origin is tuple:
        return type(value) is tuple and _members_fit(value, inside)
    if origin is not None:
        return isinstance(value, dict) and all(fits(k, inside[0]) and fits(v, inside[1]) for k, v in value.items())
    if hint in (bool, int, str):
        return type(value) is hint
    return isinstance(value, hint) or (hint is float and type(value) is int)


def check_record(record: Any) -> None:
    """The parts of a record fit each other."""
    if check := RECORD_CHECKS.get(type(record)):
        check(record)


def check_argument(value: Any) -> None:
    """Nothing but nodes, numbers, text, settings, and containers of them is an argument of a node."""
    if isinstance(value, list | tuple):
        for item in value:
            check_argument(item)
    elif isinstance(value, dict):
        check_argument(list(value.items()))
    elif isinstance(value, slice):
        check_argument((value.start, value.stop, value.step))
    elif not isinstance(value, fx.Node | ARGUMENTS):
        raise ValueError(f"a {type(value).__name__} is no argument of an operator")


def check_graph(graph: fx.Graph, constants: Collection[str]) -> None:
    """There is one output, at the end, and whatever is looked up in the network is one of its constants."""
    nodes = list(graph.nodes)
    if [node.op for node in nodes].count("output") != 1 or nodes[-1].op != "output":
        raise ValueError("the graph has not one output, at its end")
    for node in nodes:
        if node.op == "get_attr" and node.target not in constants:
            raise ValueError(f"no constant is called {node.target}")


def check_plan(plan: Plan, graph: fx.Graph, constants: Mapping[str, Tensor]) -> None:
    """A plan fits its graph and constants."""
    check_parts(Plan, {name: getattr(plan, name) for name in ("shape", "entry", "ingredients", "laws", "results")})
    inputs = graph.find_nodes(op="placeholder")
    results = pytree.tree_leaves(arguments(graph.output_node())[0])
    if len(inputs) != 1 + len(plan.ingredients):
        raise ValueError(f"{len(plan.ingredients)} ingredients for {len(inputs)} inputs")
    if not len(results) == len(plan.results) == plan.tree.num_leaves or not all(
        isinstance(r, fx.Node) for r in results
    ):
        raise ValueError("results do not fit the graph")
    _check_entry(plan)
    for ingredient in plan.ingredients:
        if isinstance(ingredient, ArrangedConstant | ArrangedWeight) and ingredient.path not in constants:
            raise ValueError(f"no constant is called {ingredient.path}")


def _check_entry(plan: Plan) -> None:
    sizes = plan.shape[1:]
    if not all(type(size) is int and size > 0 for size in sizes):
        raise ValueError(f"no input has the shape {plan.shape}")
    axes, order = plan.entry.axes, plan.entry.order
    if axes[-1] >= len(plan.shape) or order.size != prod(size or 1 for size in plan.shape[axes[0] : axes[-1] + 1]):
        raise ValueError("the layout of the input does not fit its shape")
    if not order.group.given:
        raise ValueError("the layout of the input does not come with it")


def _check_keyed(law: Keyed) -> None:
    axes = law.axes
    if not axes or axes[0] < 1 or axes != tuple(range(axes[0], axes[0] + len(axes))):
        raise ValueError(f"no law has axes {axes}")


def _check_order(order: Order) -> None:
    """An order reads its group's table, and nothing beside it; what it makes of it are positions."""
    which, offset, size = order.which, order.offset, order.group.size
    if any(
        index is not None and (index.dtype, index.shape) != (torch.int64, (order.size,)) for index in (which, offset)
    ):
        raise ValueError("an order has indices of another form")
    if order.scale < 1 or not (order.size == size if which is None else _within(which, 0, size)):
        raise ValueError("an order does not fit its group")
    beyond = order.size - order.scale * (size - 1)
    if beyond < 1 or (offset is not None and not _within(offset, 0, beyond)):
        raise ValueError("an order goes beyond its positions")


def _check_factor(factor: Factor) -> None:
    if factor.size < 1 or (factor.order is not None and factor.order.size != factor.size):
        raise ValueError("an order does not fit a factor")


def _check_window(window: Window) -> None:
    """Taps point into the input."""
    positions, size = prod(window.extents), prod(window.grid.size)
    if window.taps.dtype != torch.int32 or window.taps.shape != (positions, window.grid.taps):
        raise ValueError("taps do not fit their window")
    if not _within(window.taps, -1, size):
        raise ValueError("a tap lies outside of the input")
    orders = ((window.source, size), (window.target, positions))
    if any(order is not None and order.size != expected for order, expected in orders):
        raise ValueError("an order does not fit a window")


def _check_weights(stored: StoredWeights) -> None:
    shape = stored.weights.shape
    if len(shape) != 2 or (stored.order is not None and stored.order.size != shape[0]):
        raise ValueError("an order does not fit weights")


def _check_arranged(constant: ArrangedConstant) -> None:
    if prod(factor.size for factor in constant.factors) != prod(constant.shape):
        raise ValueError("factors do not fit a constant")


RECORD_CHECKS: dict[type, Callable[[Any], None]] = {
    ArrangedConstant: _check_arranged,
    Factor: _check_factor,
    Keyed: _check_keyed,
    Order: _check_order,
    StoredWeights: _check_weights,
    Window: _check_window,
}


def _members_fit(value: tuple[Any, ...], inside: tuple[Any, ...]) -> bool:
    if inside[-1] is Ellipsis:
        return all(fits(member, inside[0]) for member in value)
    return len(value) == len(inside) and all(map(fits, value, inside))


@cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)


def _within(index: Tensor, low: int, high: int) -> bool:
    return bool(((index >= low) & (index < high)).all())
