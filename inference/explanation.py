"""What a converted network is made of: layers, layout groups, taps, bytes and time."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from math import prod
from statistics import median
from typing import Any

import torch
from torch import Tensor, fx
from torch._ops import OpOverload

from inference.edges import PLAIN, orders_of
from inference.graphs import module_path
from inference.layout import KeyedTensor, Layout
from inference.module import KeyedModule, single
from inference.plan import TapTable
from inference.text_table import in_bytes, text_table

RUNS = 5
MICROSECONDS = 1e6
NUMBERS = (4, 5, 6, 7)  # columns


@dataclass(frozen=True, slots=True)
class KeyedLayer:
    """One operator that reads or writes shuffled values.

    Attributes:
        name: its node; operators fused into one carry the name of the last.
        operator: ``conv``, ``largest``, ``weighted`` or ``copy`` for those that read taps through a table,
            the ATen operator for those that run on stored values as they are.
        module: dotted path of the module that calls it; empty for the network itself.
        group: the layout group, or groups, in whose order the result is stored; empty if that is plain.
        positions: how many the result's order has; 0 if it is plain.
        taps: how many input positions each of them reads; 0 if no table is read.
        table_bytes: of its tables, and of weights whose order follows from keys.
        microseconds: median time of one call; None if it was not measured.
    """

    name: str
    operator: str
    module: str
    group: str
    positions: int
    taps: int
    table_bytes: int
    microseconds: float | None = None


@dataclass(frozen=True, slots=True)
class Explanation:
    """The keyed layers of a network in the order of computation, and totals; printable.

    Attributes:
        layers: one an operator.
        backend: what computes the windows.
        groups: how many inner layouts are drawn.
        table_bytes: of all tables at once; memory that several layers share counts once.
        layout_bytes: of the inner layouts themselves.
        microseconds: median time of a call, operators with plain values included; None if not measured.
    """

    layers: tuple[KeyedLayer, ...]
    backend: str
    groups: int
    table_bytes: int
    layout_bytes: int
    microseconds: float | None = None

    def __str__(self) -> str:
        timed = self.microseconds is not None
        header = ("layer", "operator", "module", "group", "positions", "taps", "tables", "us")
        rows = [
            (
                layer.name,
                layer.operator,
                layer.module,
                layer.group or "plain",
                str(layer.positions or ""),
                str(layer.taps or ""),
                in_bytes(layer.table_bytes) if layer.table_bytes else "",
                "" if layer.microseconds is None else f"{layer.microseconds:.0f}",
            )
            for layer in self.layers
        ]
        columns = len(header) if timed else len(header) - 1
        lines = text_table(header[:columns], [row[:columns] for row in rows], NUMBERS[: columns - NUMBERS[0]])
        return f"{lines}\n\n{self._totals()}"

    def _totals(self) -> str:
        totals = (
            f"{len(self.layers)} keyed layers, backend {self.backend}; {in_bytes(self.table_bytes)} of tables from "
            f"{self.groups} inner layouts of {in_bytes(self.layout_bytes)}"
        )
        return totals if self.microseconds is None else f"{totals}; {self.microseconds / 1000:.2f} ms a call"


def explain(net: KeyedModule, x: KeyedTensor | None = None) -> Explanation:
    """List the keyed layers of a network, with bytes, and with times if an input is given.

    It counts as one call of the network, of as many frames as ``x`` has, or of one.  Table sizes are
    those for this input: samples under different keys need a table each at the first copy.
    Raises InputMismatchError if ``x`` does not fit, ModelError if ``net`` is no single keyed network.
    """
    net = single(net)
    keys, inputs = net.prepare(_blank(net) if x is None else x)
    times: Mapping[str, float] = {}
    whole = None
    if x is not None:
        times, whole = _measure(net, x, inputs)
    drawn = [keys[group] for group in net.plan.drawn]
    tables = [value for value, ingredient in zip(inputs, net.plan.ingredients, strict=True) if ingredient.orders]
    return Explanation(
        tuple(_layers(net, inputs, times)), net.plan.backend.name, len(drawn), _bytes(tables), _bytes(drawn), whole
    )


def _blank(net: KeyedModule) -> KeyedTensor:
    """An input of one frame."""
    plan = net.plan
    shape = tuple(1 if size is None else size for size in plan.shape)
    axes = plan.entry.axes
    table = torch.arange(plan.frame_group.size, dtype=torch.int32, device=net.device)[None]
    layout = Layout(table, axes, tuple(shape[axis] for axis in axes))
    return KeyedTensor(torch.zeros(shape, dtype=net.dtype, device=net.device), layout)


def _layers(net: KeyedModule, inputs: Sequence[Any], times: Mapping[str, float]) -> Iterator[KeyedLayer]:
    plan, nodes = net.plan, net.network.graph.nodes
    further = [node for node in nodes if node.op == "placeholder"][1:]
    made_of = dict(zip(further, zip(plan.ingredients, inputs, strict=True), strict=True))
    owners: dict[str, list[str]] = {}
    for group in plan.groups:
        for name in group.operators:
            owners.setdefault(name, []).append(group.name)
    for node in nodes:
        if node.op != "call_function" or node.target is torch.ops.aten.sym_size.int:
            continue
        orders = orders_of(plan.laws.get(node.name, PLAIN))
        read = [made_of[i] for i in node.all_input_nodes if i in made_of]
        if not orders and not any(orders_of(plan.laws.get(i.name, PLAIN)) for i in node.all_input_nodes):
            continue
        yield KeyedLayer(
            node.name,
            operator_name(node),
            module_path(node),
            ", ".join(owners.get(node.name, [])),
            prod(order.size for order in orders) if orders else 0,
            next((ingredient.window.taps.shape[1] for ingredient, _ in read if isinstance(ingredient, TapTable)), 0),
            _bytes([value for ingredient, value in read if ingredient.orders]),
            times.get(node.name),
        )


def operator_name(node: fx.Node) -> str:
    """The ATen operator of a node of a lowered graph, or what a keyed one does."""
    return str(node.target) if isinstance(node.target, OpOverload) else getattr(node.target, "__name__", "")


def _bytes(values: Any) -> int:
    """Bytes of the tensors in tables of any form; memory that is shared counts once."""
    return sum({tensor.data_ptr(): tensor.nbytes for tensor in _tensors(values)}.values())


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _tensors(item)
    elif is_dataclass(value):
        for part in fields(value):
            yield from _tensors(getattr(value, part.name))


def _measure(net: KeyedModule, x: KeyedTensor, inputs: Sequence[Any]) -> tuple[Mapping[str, float], float]:
    """Median microseconds of every node, and of all of them together."""
    watch = _Stopwatch(net.network, net.device)
    totals = []
    with torch.no_grad():
        net.network(x.values, *inputs)  # what is set up once is not a cost of a call
        for _ in range(RUNS):
            start = watch.now()
            net.network(x.values, *inputs)
            totals.append(watch.now() - start)
            watch.run(x.values, *inputs)
    return {name: median(taken) * MICROSECONDS for name, taken in watch.taken.items()}, median(totals) * MICROSECONDS


class _Stopwatch(fx.Interpreter):
    """Runs a lowered graph and times every node."""

    def __init__(self, network: fx.GraphModule, device: torch.device) -> None:
        super().__init__(network)
        self.device = device
        self.taken: dict[str, list[float]] = {}

    def now(self) -> float:
        """Seconds, once everything that was asked for is done."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter()

    def run_node(self, n: fx.Node) -> Any:
        """Compute a node and note how long it took."""
        start = self.now()
        result = super().run_node(n)
        self.taken.setdefault(n.name, []).append(self.now() - start)
        return result
