"""Make an exported graph pure and short: no operator that writes into its input, none that does nothing."""

from __future__ import annotations

import itertools

import torch
from torch import fx
from torch._ops import OpOverload

aten = torch.ops.aten

#: Operators that return their first argument's values in evaluation mode.
NO_OPS = frozenset(
    {
        aten.alias.default,
        aten.alpha_dropout.default,
        aten.clone.default,
        aten.contiguous.default,
        aten.detach.default,
        aten.dropout.default,
        aten.feature_dropout.default,
        aten.lift_fresh_copy.default,
    }
)

#: Operators that differ only in what they ask of the order in memory, which is chosen anew.
SAME_VALUES = {aten.view.default: aten.reshape.default}


def remove_writes(module: fx.GraphModule) -> fx.GraphModule:
    """Replace operators that write into their input (``relu_``) by those that return a new tensor.

    What came later and read the input reads the result.  An input that is a view, or that has
    one, keeps its operator: there the write reaches other tensors too.
    """
    graph = module.graph
    for node in list(graph.nodes):
        pure = _pure_twin(node)
        written = node.args[0] if pure else None
        if written is None or any(_shares_memory(user) for user in written.users if user is not node):
            continue
        node.target = pure
        _read_later(written, node)
    module.recompile()
    return module


def remove_no_ops(module: fx.GraphModule) -> fx.GraphModule:
    """Remove operators that only matter in training or to memory, assertions, and what nobody uses."""
    graph = module.graph
    for node in list(graph.nodes):
        node.target = SAME_VALUES.get(node.target, node.target)
        if node.target in NO_OPS:
            node.replace_all_uses_with(node.args[0])
            graph.erase_node(node)
        elif isinstance(node.target, OpOverload) and node.target.name().startswith("aten::_assert"):
            graph.erase_node(node)
    graph.eliminate_dead_code()
    module.recompile()
    return module


def _read_later(written: fx.Node, node: fx.Node) -> None:
    """What comes after ``node`` reads it instead of ``written``."""
    earlier = set(itertools.takewhile(lambda other: other is not node, node.graph.nodes))
    written.replace_all_uses_with(node, delete_user_cb=lambda user: user is not node and user not in earlier)


def _pure_twin(node: fx.Node) -> OpOverload | None:
    """``aten.relu`` for a node that calls ``aten.relu_`` on a tensor that is no view."""
    if not isinstance(node.target, OpOverload) or not node.target._schema.is_mutable:  # noqa: SLF001 - the documented way
        return None
    name = node.target._schema.name.removeprefix("aten::")  # noqa: SLF001
    written = node.args[0] if node.args else None
    if not name.endswith("_") or not isinstance(written, fx.Node) or _shares_memory(written):
        return None
    twin = getattr(getattr(aten, name[:-1], None), node.target._overloadname, None)  # noqa: SLF001
    return twin if isinstance(twin, OpOverload) else None


def _shares_memory(node: fx.Node) -> bool:
    """Whether the node's result is a view of an argument."""
    if not isinstance(node.target, OpOverload):
        return node.op == "get_attr"
    schema = node.target._schema  # noqa: SLF001
    return any(result.alias_info is not None for result in schema.returns) and not schema.is_mutable
