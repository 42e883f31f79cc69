"""Express operators by simpler ones that have rules."""

from __future__ import annotations

import itertools
import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx
from torch._ops import OpOverload

from inference.graphs import arguments, origin

aten = torch.ops.aten

#: Other names of an operator.
ALIASES = {
    aten.swapaxes.default: aten.transpose.int,
}


@dataclass(frozen=True, slots=True)
class Pen:
    """Writes operators in front of ``node``, the one that they replace."""

    node: fx.Node

    def __getitem__(self, name: str) -> Any:
        """An argument of the node by its name."""
        parameters = self.node.target._schema.arguments  # type: ignore[union-attr]  # noqa: SLF001 - the documented way
        given = dict(zip((p.name for p in parameters), self.node.args, strict=False)) | self.node.kwargs
        return {p.name: given.get(p.name, p.default_value) for p in parameters}[name]

    def write(self, target: OpOverload, *inputs: Any) -> fx.Node:
        """One operator."""
        graph = self.node.graph
        with graph.inserting_before(self.node):
            written = graph.call_function(target, inputs)
        value = target(*fx.map_arg(inputs, lambda argument: argument.meta["val"]))
        written.meta.update(origin(self.node), val=value)
        return written


Results = fx.Node | list[fx.Node]
DECOMPOSITIONS: dict[OpOverload, Callable[[Pen], Results]] = {}


def decomposition(*operators: OpOverload) -> Callable[[Callable[[Pen], Results]], Callable[[Pen], Results]]:
    """Enter a decomposition for these operators; it returns the node, or nodes, that take the operator's place."""

    def enter(function: Callable[[Pen], Results]) -> Callable[[Pen], Results]:
        DECOMPOSITIONS.update(dict.fromkeys(operators, function))
        return function

    return enter


def decompose(module: fx.GraphModule) -> fx.GraphModule:
    """Replace every operator that is in ``DECOMPOSITIONS``, or another name of one that has a rule."""
    for node in list(module.graph.nodes):
        node.target = ALIASES.get(node.target, node.target)
        if node.target in DECOMPOSITIONS:
            _replace(node, DECOMPOSITIONS[node.target](Pen(node)))
    module.graph.eliminate_dead_code()
    module.recompile()
    return module


def _replace(node: fx.Node, results: Results) -> None:
    if isinstance(results, fx.Node):
        results.meta["val"] = node.meta["val"]
        node.replace_all_uses_with(results)
    else:
        for user in list(node.users):
            if user.target is operator.getitem:
                user.replace_all_uses_with(results[arguments(user)[1]])
                node.graph.erase_node(user)
    if not node.users:
        node.graph.erase_node(node)


@decomposition(aten.chunk.default, aten.split.Tensor, aten.split_with_sizes.default)
def parts(pen: Pen) -> list[fx.Node]:
    """Slices."""
    axis, source = pen["dim"], pen["self"]
    values: list[Tensor] = pen.node.meta["val"]
    ends = itertools.accumulate(int(value.shape[axis]) for value in values)
    sizes = [int(value.shape[axis]) for value in values]
    return [pen.write(aten.slice.Tensor, source, axis, end - size, end) for size, end in zip(sizes, ends, strict=True)]


@decomposition(aten.expand_as.default)
def expand_as(pen: Pen) -> fx.Node:
    """An expansion of the axes that have one element."""
    source, shape = pen["self"], pen.node.meta["val"].shape
    own = source.meta["val"].shape
    missing = len(shape) - len(own)
    kept = [axis >= missing and own[axis - missing] == shape[axis] for axis in range(len(shape))]
    sizes = [-1 if kept[axis] else int(shape[axis]) for axis in range(len(shape))]
    return pen.write(aten.expand.default, source, sizes)


@decomposition(aten.unbind.int)
def layers(pen: Pen) -> list[fx.Node]:
    """Selections."""
    return [pen.write(aten.select.int, pen["self"], pen["dim"], index) for index in range(len(pen.node.meta["val"]))]


@decomposition(aten.stack.default)
def stack(pen: Pen) -> fx.Node:
    """A concatenation along a new axis."""
    axis = pen["dim"] % pen.node.meta["val"].dim()
    return pen.write(aten.cat.default, [pen.write(aten.unsqueeze.default, part, axis) for part in pen["tensors"]], axis)


@decomposition(aten.channel_shuffle.default)
def channel_shuffle(pen: Pen) -> fx.Node:
    """Groups and channels of each exchanged."""
    grouped = pen.write(aten.unflatten.int, pen["self"], 1, [pen["groups"], -1])
    return pen.write(aten.flatten.using_ints, pen.write(aten.transpose.int, grouped, 1, 2), 1, 2)


@decomposition(aten.pixel_unshuffle.default)
def pixel_unshuffle(pen: Pen) -> fx.Node:
    """Every factor-th row and column, each offset as channels of its own."""
    factor, source = pen["downscale_factor"], pen["self"]
    phases = []
    for row, column in itertools.product(range(factor), repeat=2):
        rows = pen.write(aten.slice.Tensor, source, 2, row, torch.iinfo(torch.int64).max, factor)
        phase = pen.write(aten.slice.Tensor, rows, 3, column, torch.iinfo(torch.int64).max, factor)
        phases.append(pen.write(aten.unsqueeze.default, phase, 2))
    return pen.write(aten.flatten.using_ints, pen.write(aten.cat.default, phases, 2), 1, 2)
