"""Make an exported graph pure and short: no operator that writes into its input, none that does nothing."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, fx
from torch._ops import OpOverload

from inference.graphs import example
from inference.passes.memory import DROPOUTS, IDENTITIES, Memory, drops, written
from inference.passes.refusals import described, refuse

aten = torch.ops.aten

#: Operators whose results have their first argument's values, in memory of their own.
COPIES = frozenset({aten.clone.default, aten.contiguous.default, aten.lift_fresh_copy.default})
#: Operators that return their first argument's values in evaluation mode.
NO_OPS = COPIES | DROPOUTS | IDENTITIES

#: Operators that differ only in what they ask of the order in memory, which is chosen anew.
SAME_VALUES = {aten.view.default: aten.reshape.default}


def remove_writes(module: fx.GraphModule) -> fx.GraphModule:
    """Replace operators that write into their input (``relu_``) by those that return a new tensor.

    What came later and read the input reads the result.  An operator whose input shares memory with
    what is read later stays: there the write reaches other tensors too.  So does one whose new tensor
    would have another dtype or shape.

    Raises UnsupportedOperatorError for what writes into parameters or buffers.
    """
    memory = Memory(module.graph)
    for node in module.graph.nodes:
        pure = _pure_twin(node)
        if pure is not None and not _is_seen_elsewhere(node, memory):
            target, node.target = node.args[0], pure
            _read_later(target, node)
    stateful = [node for node in module.graph.nodes if any(map(memory.holds_state, written(node)))]
    refuse([described(node, "writes into a parameter or buffer") for node in stateful])
    module.recompile()
    return module


def remove_no_ops(module: fx.GraphModule) -> fx.GraphModule:
    """Remove operators that only matter in training or to memory, assertions, and what nobody uses.

    A copy stays if anything writes into it or into what it was made of.

    Raises UnsupportedOperatorError for dropouts that drop.
    """
    graph, memory = module.graph, Memory(module.graph)
    refuse([described(node, "drops values at random") for node in graph.nodes if drops(node)])
    touched = {memory[target] for node in graph.nodes for target in written(node)}
    for node in list(graph.nodes):
        if (node.target in COPIES or node.target in SAME_VALUES) and _lies_in(touched, node, memory):
            continue
        node.target = SAME_VALUES.get(node.target, node.target)
        if node.target in NO_OPS:
            node.replace_all_uses_with(node.args[0])
            graph.erase_node(node)
        elif isinstance(node.target, OpOverload) and node.target.name().startswith("aten::_assert"):
            graph.erase_node(node)
    graph.eliminate_dead_code()
    module.recompile()
    return module


def _lies_in(touched: set[fx.Node], node: fx.Node, memory: Memory) -> bool:
    """Whether a node's result or its input is in one of these memories."""
    return memory[node] in touched or memory[node.all_input_nodes[0]] in touched


def _is_seen_elsewhere(node: fx.Node, memory: Memory) -> bool:
    """Whether something behind ``node`` reads what it writes by another name, or it outlives the call."""
    (target,), place = written(node), memory.place
    others = (m for m in memory.members(target) if m is not target and place[m] < place[node])
    return memory.holds_state(target) or any(place[user] > place[node] for other in others for user in other.users)


def _read_later(target: fx.Node, node: fx.Node) -> None:
    """What comes after ``node`` reads it instead of ``target``."""
    earlier = set(itertools.takewhile(lambda other: other is not node, node.graph.nodes))
    target.replace_all_uses_with(node, delete_user_cb=lambda user: user is not node and user not in earlier)


def _pure_twin(node: fx.Node) -> OpOverload | None:
    """``aten.relu`` for a node that calls ``aten.relu_``; None if it makes something of another form."""
    if not isinstance(node.target, OpOverload) or not node.args or written(node) != [node.args[0]]:
        return None
    schema = node.target._schema  # noqa: SLF001 - the documented way
    name = schema.name.removeprefix("aten::")
    twin = getattr(getattr(aten, name.removesuffix("_"), None), schema.overload_name or "default", None)
    if not name.endswith("_") or not isinstance(twin, OpOverload):
        return None
    made, target = twin(*example(node.args), **example(node.kwargs)), example(node.args[0])
    same = isinstance(made, Tensor) and made.dtype == target.dtype and made.shape == target.shape
    return twin if same else None
