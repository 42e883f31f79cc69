"""A keyed network as a module of tensors alone, for export to other runtimes."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.utils import _pytree as pytree

from inference.edges import Group
from inference.errors import ModelError
from inference.graphs import own_constants
from inference.kernels.portable import PortableBackend
from inference.kernels.steps import Steps
from inference.layout import KeyedTensor, Layout
from inference.module import KeyedModule, draw_uniform, single
from inference.plan import Plan, keyed_value


@dataclass(frozen=True, slots=True)
class Feed:
    """What one call of an exported network takes, and how its results are read.

    Attributes:
        inputs: by name, in order: the stored values, then the tables that follow from layouts.
    """

    inputs: Mapping[str, Tensor] = field(repr=False)
    _plan: Plan = field(repr=False)
    _keys: Mapping[Group, Tensor] = field(repr=False)

    def results(self, outputs: Sequence[Tensor]) -> Any:
        """Outputs of the exported network as the keyed network returns them: shuffled ones with their layout."""
        wrapped = [keyed_value(out, law, self._keys) for out, law in zip(outputs, self._plan.results, strict=True)]
        return pytree.tree_unflatten(wrapped, self._plan.tree)


class PortableNetwork(nn.Module):
    """A keyed network whose tables are inputs, and whose every operator is a public one of ATen.

    Calling it with the tensors of ``feed(x).inputs`` returns a tuple of tensors; what is shuffled in
    the keyed network is shuffled in them.  It has the weights that the network had, no layout and no
    key, and shares no memory with it.  Weights whose order follows from keys, those of a linear layer
    on a flattened map, are among its inputs.
    """

    def __init__(self, net: KeyedModule) -> None:
        super().__init__()
        backend = PortableBackend()
        network = _on(net.network, Steps(backend))
        self._keyed = KeyedModule(
            network,
            replace(net.plan, backend=backend),
            torch.empty(0, dtype=net.dtype, device=net.device),
            net.rekey_every,
        )
        self._keyed.draw = net.draw
        first, *further = (node.name for node in network.graph.nodes if node.op == "placeholder")
        plan = self._keyed.plan
        kinds = [plan.kind(ingredient) for ingredient in plan.ingredients]
        self.input_names = (first, *(n for n, kind in zip(further, kinds, strict=True) if kind != "weights"))
        self._kinds = tuple(kinds)
        for index, weight in enumerate(self._keyed.arranged()):
            if weight is not None:
                self.register_buffer(f"arranged{index}", weight)
        self.eval()

    @property
    def per_sample(self) -> tuple[bool, ...]:
        """For each input, whether its first axis is the batch."""
        return (True, *(kind == "frame" for kind in self._kinds if kind != "weights"))

    def forward(self, values: Tensor, *tables: Tensor) -> tuple[Tensor, ...]:
        """Stored values (N, ...) and tables in the order of ``input_names`` to the results, flat."""
        given = iter(tables)
        inputs = [
            getattr(self, f"arranged{index}") if kind == "weights" else next(given)
            for index, kind in enumerate(self._kinds)
        ]
        return tuple(self._keyed.network(values, *inputs))

    def feed(self, x: KeyedTensor) -> Feed:
        """Inputs for a batch.  It counts as a call: inner layouts are renewed as the keyed network's are.

        Raises InputMismatchError if ``x`` does not fit.
        """
        samples = x.values.shape[0]
        table = x.layout.table.expand(samples, -1)
        keys, inputs = self._keyed.prepare(KeyedTensor(x.values, Layout.known(table, x.layout.axes, x.layout.extents)))
        tables = [value for value, kind in zip(inputs, self._kinds, strict=True) if kind != "weights"]
        named = dict(zip(self.input_names, (x.values, *tables), strict=True))
        return Feed(named, self._keyed.plan, keys)

    def blank(self, example: KeyedTensor) -> tuple[Tensor, ...]:
        """Arguments of the form that those for ``example`` have: zeros, under layouts that are never used again.

        Raises InputMismatchError if ``example`` does not fit.
        """
        inputs = self.feed(_zeros(example)).inputs
        self._keyed.rekey()
        return tuple(inputs.values())


def portable(net: KeyedModule) -> PortableNetwork:
    """The same network in a form that other runtimes can take; see :class:`PortableNetwork`.

    Raises ModelError if ``net`` is no single keyed network.
    """
    return PortableNetwork(single(net))


def export(net: KeyedModule, example: KeyedTensor) -> torch.export.ExportedProgram:
    """``torch.export`` of :func:`portable`, for any batch size if the network takes any.

    Of ``example``, only its form matters: neither its values nor its layout are in the program.
    Raises InputMismatchError if ``example`` does not fit, ModelError if it cannot be exported.
    """
    return export_portable(portable(net), example)


def export_portable(network: PortableNetwork, example: KeyedTensor) -> torch.export.ExportedProgram:
    """As :func:`export`, of a portable network that is there already."""
    values, *tables = network.blank(example)
    shapes = [{0: torch.export.Dim.AUTO} if batched else {} for batched in network.per_sample]
    try:
        with torch.no_grad():
            program = torch.export.export(
                network, (values, *tables), dynamic_shapes={"values": shapes[0], "tables": tuple(shapes[1:])}
            )
    except Exception as error:
        first_line = str(error).strip().partition("\n")[0]
        raise ModelError(
            f"the keyed network cannot be exported: {first_line}", hint="run it with inference alone"
        ) from error
    program.example_inputs = None  # they would be saved with it
    return program


def _zeros(example: KeyedTensor) -> KeyedTensor:
    """Two samples: with one, torch.export would take the batch size for a constant."""
    values, layout = example.values, example.layout
    table = draw_uniform(layout.table.shape[1]).to(layout.table.device).expand(2, -1).contiguous()
    return KeyedTensor(values.new_zeros(2, *values.shape[1:]), Layout.known(table, layout.axes, layout.extents))


def _on(network: fx.GraphModule, steps: Steps) -> fx.GraphModule:
    """The lowered graph with the keyed operators of another backend, and parameters of its own."""
    graph = copy.deepcopy(network.graph)
    for node in graph.nodes:
        if isinstance(getattr(node.target, "__self__", None), Steps):
            node.target = getattr(steps, getattr(node.target, "__name__", ""))
    module = fx.GraphModule(network, graph)
    own_constants(module)
    return module
