"""Compute what depends on parameters and buffers alone, once."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, fx

from inference.graphs import read_constant, write_constant
from inference.rules.call import fixed_size

aten = torch.ops.aten
#: Operators that make a tensor of which the argument only says dtype and device.
FACTORIES = frozenset({aten.new_empty.default, aten.new_full.default, aten.new_ones.default, aten.new_zeros.default})


def fold_constants(module: fx.GraphModule) -> fx.GraphModule:
    """Replace values that follow from parameters and buffers alone, such as attention masks, by new parameters.

    They are computed in the order of the graph on copies of the constants, so that operators that write into
    a view do what they did.
    """
    values: dict[fx.Node, Any] = {}
    for node in module.graph.nodes:
        if node.op == "get_attr":
            values[node] = read_constant(module, str(node.target)).clone()
        elif node.op == "call_function" and _is_constant(node, values):
            arguments = _stand_in(node) if node.target in FACTORIES else node.args
            values[node] = node.target(*fx.map_arg(arguments, values.get), **fx.map_arg(node.kwargs, values.get))
    for node, value in values.items():
        if node.op != "get_attr" and isinstance(value, Tensor) and any(user not in values for user in node.users):
            _store(module, node, value)
    module.graph.eliminate_dead_code()
    for node in reversed(list(module.graph.nodes)):  # what writes is not dead code to torch.fx
        if node in values and not node.users:
            module.graph.erase_node(node)
    module.recompile()
    return module


def _is_constant(node: fx.Node, values: dict[fx.Node, Any]) -> bool:
    if node.target in FACTORIES:
        sizes = node.meta["val"].shape
        return all(fixed_size(size) is not None for size in sizes)
    return bool(node.all_input_nodes) and all(source in values for source in node.all_input_nodes)


def _stand_in(node: fx.Node) -> tuple[Any, ...]:
    like: Tensor = node.meta["val"]
    sizes = [fixed_size(size) for size in like.shape]
    return (torch.empty(0, dtype=like.dtype, device=like.device), sizes, *node.args[2:])


def _store(module: fx.GraphModule, node: fx.Node, value: Tensor) -> None:
    path = f"_constant_{node.name}"
    write_constant(module, path, value.detach().clone())
    with module.graph.inserting_before(node):
        stored = module.graph.get_attr(path)
    stored.meta.update(node.meta)
    node.replace_all_uses_with(stored)
