"""Whether a keyed network computes what the plain one does, layer by layer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch import Tensor, fx, nn

from inference.convert import export_network
from inference.edges import Factored, Law
from inference.errors import ModelError
from inference.graphs import exported_name, module_path
from inference.layout import KeyedTensor
from inference.module import KeyedModule, single
from inference.text_table import text_table

#: Largest error of a layer that is rounding, relative to the activation's scale; integers must be equal.
TOLERANCES = {torch.float64: 1e-10, torch.float32: 1e-4, torch.float16: 2e-2, torch.bfloat16: 1e-1}
ERROR_COLUMN = 4


@dataclass(frozen=True, slots=True)
class LayerError:
    """How far one activation of the keyed network is from the plain network's.

    Attributes:
        name: the operator's node in the exported network.
        operator: the ATen operator, or ``input``.
        module: dotted path of the module that calls it; empty for the network itself.
        shape: of the activation.
        keyed: whether it is shuffled in the keyed network.
        scale: its largest magnitude in the plain network.
        error: largest difference, divided by ``scale`` unless that is zero; infinite if shapes differ.
    """

    name: str
    operator: str
    module: str
    shape: tuple[int, ...]
    keyed: bool
    scale: float
    error: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """Every activation that both networks have, in the order of the plain one; printable.

    Attributes:
        rows: one a layer.
        tolerance: errors above it, and those that are no number, count as divergence.
        inside: operators of the plain network whose results the keyed one never holds in this form: a
            fused operator stands for them, one that does nothing in evaluation is gone, or
            windows of a map are kept as axes of their own.
    """

    rows: tuple[LayerError, ...]
    tolerance: float
    inside: tuple[str, ...]

    @property
    def first_divergence(self) -> LayerError | None:
        """The first layer whose error is above the tolerance."""
        return next((row for row in self.rows if self._diverges(row)), None)

    @property
    def largest_error(self) -> float:
        """Of all layers; not a number if one of them is not."""
        return float(torch.tensor([row.error for row in self.rows], dtype=torch.float64).max())

    def _diverges(self, row: LayerError) -> bool:
        return not row.error <= self.tolerance

    def __str__(self) -> str:
        cells = [
            (
                row.name,
                row.operator,
                row.module,
                "x".join(map(str, row.shape)) or "scalar",
                f"{row.error:.1e}",
                "shuffled" if row.keyed else "plain",
                "<-- diverges" if self._diverges(row) else "",
            )
            for row in self.rows
        ]
        header = ("layer", "operator", "module", "shape", "error", "order", "")
        return f"{text_table(header, cells, (ERROR_COLUMN,))}\n\n{self._verdict()}"

    def _verdict(self) -> str:
        counted = f"{len(self.rows)} layers compared, {len(self.inside)} operators inside fused ones"
        row = self.first_divergence
        if row is None:
            return f"{counted}; largest error {self.largest_error:.1e}, tolerance {self.tolerance:.0e}"
        place = f" in {row.module}" if row.module else ""
        return f"{counted}; first divergence at {row.name} ({row.operator}{place}): {row.error:.1e}"


def compare(model: nn.Module, net: KeyedModule, x: KeyedTensor, tolerance: float | None = None) -> Comparison:
    """Run the plain network on the revealed input and its keyed twin on the shuffled one, and compare.

    Args:
        model: the network that ``net`` was converted from, in evaluation mode, on the device of ``x``.
        net: the keyed network.
        x: a shuffled input; it is revealed here, so this is for the key holder.
        tolerance: largest relative error that is not a divergence; None takes what suits the dtype.

    Each keyed activation is compared after reveal.  An activation that leaves several operators fused
    into one is compared with the result of the last of them.  Raises InputMismatchError as the keyed
    network does, ModelError if ``model`` is in training mode or is another network.
    """
    if any(module.training for module in model.modules()):
        raise ModelError("the network, or a part of it, is in training mode", hint="call model.eval() first")
    if isinstance(model, KeyedModule):
        raise ModelError("the plain network is a keyed one", hint="give the network that was converted first")
    found = _keyed_activations(single(net), x)
    plain = x.reveal()
    module = export_network(model, plain).module(check_guards=False)
    if not isinstance(module, fx.GraphModule):
        raise TypeError("torch.export returned no GraphModule")
    walk = _Walk(module, found)
    with torch.no_grad():
        walk.run(plain)
    if set(found) - walk.met:
        strange = ", ".join(sorted(set(found) - walk.met)[:4])
        raise ModelError(
            f"the plain network has no operator {strange}", hint="give the network that was converted, unchanged"
        )
    limit = TOLERANCES.get(x.values.dtype, TOLERANCES[torch.float32]) if tolerance is None else tolerance
    return Comparison(tuple(walk.rows), limit, tuple(walk.inside))


def _keyed_activations(net: KeyedModule, x: KeyedTensor) -> Mapping[str, list[_Found]]:
    """Values of the keyed network by the name of the exported operator that they come from, last ones first.

    Several nodes may come from one operator: what prepares its arguments, itself, copies of its
    result in another order or form.
    """
    names = {node.name: exported_name(node) for node in net.network.graph.nodes}
    found: dict[str, list[_Found]] = {}
    for seen in net.intermediates(x):
        if (name := names[seen.name]) is not None:
            found.setdefault(name, []).insert(0, _Found(seen.value, net.plan.laws[seen.name]))
    return found


@dataclass(frozen=True, slots=True)
class _Found:
    """A value of the keyed network and its law."""

    value: Tensor | KeyedTensor
    law: Law

    def revealed(self, shape: torch.Size) -> Tensor:
        """The value in true order, and in this shape if it was taken apart into factors."""
        if not isinstance(self.value, KeyedTensor):
            return self.value
        revealed = self.value.reveal()
        if not isinstance(self.law, Factored):
            return revealed
        sample = next(place for place, factor in enumerate(self.law.factors) if factor.batch)
        in_place = revealed.movedim(0, sample)
        return in_place.reshape(shape) if in_place.numel() == prod(shape) else in_place


class _Walk(fx.Interpreter):
    """Runs the plain graph and compares each value when it is made, before anything can write into it."""

    def __init__(self, module: fx.GraphModule, found: Mapping[str, list[_Found]]) -> None:
        super().__init__(module)
        self.found = found
        self.rows: list[LayerError] = []
        self.inside: list[str] = []
        self.met: set[str] = set()
        self.results = set(module.graph.find_nodes(op="output")[0].all_input_nodes)

    def run_node(self, n: fx.Node) -> Any:
        """Compute a node and compare its value."""
        result = super().run_node(n)
        if n.name in self.found:
            self.met.add(n.name)
        if isinstance(result, Tensor) and n.op in ("placeholder", "call_function"):
            self.rows.extend(self._row(n, result))
        return result

    def _row(self, node: fx.Node, plain: Tensor) -> Iterator[LayerError]:
        found = self.found.get(node.name, [])
        of_its_shape = (candidate for candidate in found if candidate.revealed(plain.shape).shape == plain.shape)
        best = next(of_its_shape, found[0] if found and node in self.results else None)
        if best is None:
            self.inside.append(node.name)
            return
        operator = "input" if node.op == "placeholder" else str(node.target)
        scale, error = _relative(best.revealed(plain.shape), plain)
        keyed = isinstance(best.value, KeyedTensor)
        yield LayerError(node.name, operator, module_path(node), tuple(plain.shape), keyed, scale, error)


def _relative(found: Tensor, plain: Tensor) -> tuple[float, float]:
    """Scale of the plain values, and the largest error relative to it."""
    if not plain.numel():
        return 0.0, 0.0
    scale = float(plain.double().abs().max())
    if found.shape != plain.shape:
        return scale, float("inf")
    error = float((found.double() - plain.double()).abs().max())
    return scale, error / scale if scale else error
