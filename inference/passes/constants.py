"""Compute what depends on parameters and buffers alone, once."""

from __future__ import annotations

from collections.abc import Container
from typing import Any

import torch
from torch import Tensor, fx
from torch._ops import OpOverload

from inference.graphs import read_constant, write_constant
from inference.passes.memory import DROPOUTS, Memory, drops, written
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
    node: Any
    for node in _constants(module.graph):
        if node.op == "get_attr":
            values[node] = read_constant(module, str(node.target)).clone()
        else:
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


def _constants(graph: fx.Graph) -> dict[fx.Node, None]:
    """Nodes, in order, whose values follow from constants alone and are the same whenever they are read.

    Memory that holds anything else at some time, because of what is written there, holds none of them.
    """
    memory, varying = Memory(graph), set[fx.Node]()
    while True:
        found: dict[fx.Node, None] = {}
        for node in graph.nodes:
            if memory[node] not in varying and _is_constant(node, found):
                found[node] = None
        writes = [(node, target) for node in graph.nodes for target in written(node)]
        more = {memory[target] for node, target in writes if _varies(node, target, memory, found)} - varying
        if not more:
            return found
        varying |= more


def _varies(node: fx.Node, target: fx.Node, memory: Memory, constant: Container[fx.Node]) -> bool:
    """Whether a write, ``node``, into ``target`` depends on the input, stays after the call, or comes after a read."""
    if node not in constant or memory.holds_state(target):
        return True
    readers = (user for member in memory.members(target) for user in member.users)
    return any(user not in constant and memory.place[user] < memory.place[node] for user in readers)


def _is_constant(node: fx.Node, constant: Container[fx.Node]) -> bool:
    if node.op != "call_function":
        return node.op == "get_attr"
    if _draws(node):
        return False
    if node.target in FACTORIES:
        sizes = node.meta["val"].shape
        return all(fixed_size(size) is not None for size in sizes)
    if not node.all_input_nodes:
        return isinstance(node.target, OpOverload) and isinstance(node.meta.get("val"), Tensor)
    return all(source in constant for source in node.all_input_nodes)


def _draws(node: fx.Node) -> bool:
    """Whether an operator gives something else at each call."""
    if node.target in DROPOUTS:
        return drops(node)
    return isinstance(node.target, OpOverload) and torch.Tag.nondeterministic_seeded in node.target.tags


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
