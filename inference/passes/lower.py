"""Turn a planned graph into one that runs: keyed operators become calls of a backend."""

from __future__ import annotations

from typing import Any

from torch import fx
from torch.utils import _pytree as pytree

from inference.edges import Keyed
from inference.errors import ModelError
from inference.graphs import arguments
from inference.kernels import Backend
from inference.kernels.steps import Steps
from inference.operations import Arranged, Conv, Copy, Largest, Weighted, Windowed, keyed
from inference.plan import ArrangedConstant, ArrangedWeight, Ingredient, Plan, StoredWeights, TapTable
from inference.rules.call import fixed_size, law_of, shape_of

#: Backends that interpolate between values.
FLOATING_ONLY = frozenset({"reference"})


def lower(module: fx.GraphModule, backend: Backend, tree: Any) -> tuple[fx.GraphModule, Plan]:
    """Replace the keyed operators of ``module``, in place.

    Tables and arranged weights become inputs of the graph, after the one it has.  Parameters stay
    where they are.  ``tree`` says how the results are nested.

    Raises ModelError if the backend cannot compute with a value's dtype.
    """
    return _Lowering(module, backend).run(tree)


class _Lowering:
    def __init__(self, module: fx.GraphModule, backend: Backend) -> None:
        self.module, self.graph = module, module.graph
        self.backend, self.steps = backend, Steps(backend)
        self.entry = next(node for node in self.graph.nodes if node.op == "placeholder")
        self.last_input = self.entry
        self.ingredients: list[Ingredient] = []

    def run(self, tree: Any) -> tuple[fx.GraphModule, Plan]:
        """Lower every node, and collect the plan."""
        laws = {node.name: law_of(node) for node in self.graph.nodes if node.op != "output"}
        output = next(node for node in self.graph.nodes if node.op == "output")
        results = tuple(law_of(node) for node in pytree.tree_leaves(output.args[0]))
        for node in list(self.graph.nodes):
            if node.target is keyed:
                self._replace(node)
        entry = law_of(self.entry)
        if not isinstance(entry, Keyed):
            raise TypeError("the input of a planned graph is keyed")
        shape = tuple(map(fixed_size, shape_of(self.entry)))
        self.graph.lint()
        self.module.recompile()
        plan = Plan(self.backend, shape, entry, tuple(self.ingredients), laws, results, tree)
        return self.module, plan

    def _replace(self, node: fx.Node) -> None:
        operation = node.meta["operation"]
        if isinstance(operation, Arranged):
            constant = ArrangedConstant(str(arguments(node)[0].target), operation.factors, operation.shape)
            node.replace_all_uses_with(self._input(f"{node.name}_arranged", constant))
        else:
            with self.graph.inserting_before(node):
                step = self.graph.create_node("call_function", *self._step(node, operation))
            step.meta.update(node.meta)
            node.replace_all_uses_with(step)
            name, node.name = node.name, f"{node.name}_planned"
            step.name = name
        self.graph.erase_node(node)

    def _step(self, node: fx.Node, operation: Windowed) -> tuple[Any, tuple[Any, ...]]:
        """The call for a keyed operator: function and arguments."""
        window, values = operation.window, arguments(node)[0]
        self._refuse_integers(values)
        table = self._input(f"{node.name}_taps", TapTable(window))
        shape = (window.axes, window.extents)
        match operation:
            case Conv(groups=groups, activation=activation, transposed=transposed):
                _, weight, bias, residual = arguments(node)
                arranged = self._input(f"{node.name}_weight", ArrangedWeight(str(weight.target), groups, transposed))
                return self.steps.conv, (values, table, arranged, (bias, residual), shape, activation)
            case Largest():
                return self.steps.largest, (values, table, shape)
            case Weighted(weights=weights):
                stored = self._input(f"{node.name}_weights", StoredWeights(weights, window.target))
                return self.steps.weighted, (values, table, stored, shape)
            case Copy(fill=fill):
                return self.steps.copy, (values, table, fill, shape)

    def _refuse_integers(self, values: fx.Node) -> None:
        dtype = values.meta["val"].dtype
        if self.backend.name in FLOATING_ONLY and not dtype.is_floating_point:
            raise ModelError(
                f"backend {self.backend.name!r} cannot move {values.name}, which is {dtype}",
                hint="use backend='gather', or 'portable'",
            )

    def _input(self, name: str, ingredient: Ingredient) -> fx.Node:
        with self.graph.inserting_after(self.last_input):
            self.last_input = self.graph.placeholder(name)
        self.ingredients.append(ingredient)
        return self.last_input
