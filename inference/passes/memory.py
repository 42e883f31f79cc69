"""Which values of an exported graph lie in the same memory, and which operators write into it."""

from __future__ import annotations

import operator

import torch
from torch import Tensor, fx
from torch._ops import OpOverload
from torch.utils import _pytree as pytree

from inference.graphs import named_arguments

aten = torch.ops.aten

#: Operators that return their first argument unless they are told to train.
DROPOUTS = frozenset(
    {
        aten.alpha_dropout.default,
        aten.alpha_dropout_.default,
        aten.dropout.default,
        aten.dropout_.default,
        aten.feature_alpha_dropout.default,
        aten.feature_alpha_dropout_.default,
        aten.feature_dropout.default,
        aten.feature_dropout_.default,
    }
)
#: Operators that return their first argument itself.
IDENTITIES = frozenset({aten.alias.default, aten.detach.default, aten.detach_.default})


class Memory:
    """The memory that the values of a graph lie in when the network runs as it was exported.

    Values share memory if the fake tensors that stand for them do, or if the schema of the operator that
    makes one from the other says that they may.  Memory is named by one of its nodes.
    """

    def __init__(self, graph: fx.Graph) -> None:
        self.place = {node: number for number, node in enumerate(graph.nodes)}
        self._joined = {node: node for node in graph.nodes}
        owners: dict[int, fx.Node] = {}
        for node in graph.nodes:
            if _is_view(node) and node.all_input_nodes:
                self._join(node, node.all_input_nodes[0])
            for storage in () if _is_literal(node) else _storages(node):
                self._join(node, owners.setdefault(storage, node))
        self._members: dict[fx.Node, list[fx.Node]] = {}
        for node in graph.nodes:
            self._members.setdefault(self[node], []).append(node)

    def __getitem__(self, node: fx.Node) -> fx.Node:
        """The memory of a node's value."""
        while self._joined[node] is not node:
            node = self._joined[node]
        return node

    def members(self, node: fx.Node) -> list[fx.Node]:
        """Every node whose value lies in the memory of this one's, itself included."""
        return self._members[self[node]]

    def holds_state(self, node: fx.Node) -> bool:
        """Whether a parameter or buffer of the network lies there."""
        return any(member.op == "get_attr" and not _is_literal(member) for member in self.members(node))

    def _join(self, node: fx.Node, other: fx.Node) -> None:
        self._joined[self[node]] = self[other]


def written(node: fx.Node) -> list[fx.Node]:
    """The arguments that an operator writes into."""
    if not isinstance(node.target, OpOverload) or node.target in IDENTITIES:
        return []
    if node.target in DROPOUTS and not drops(node):
        return []
    given, found = named_arguments(node), list[fx.Node]()
    for parameter in node.target._schema.arguments:  # noqa: SLF001 - the documented way to a schema
        if parameter.alias_info is not None and parameter.alias_info.is_write:
            fx.map_arg(given[parameter.name], found.append)
    return found


def drops(node: fx.Node) -> bool:
    """Whether an operator is a dropout that drops."""
    return node.target in DROPOUTS and bool(named_arguments(node)["train"])


def _is_view(node: fx.Node) -> bool:
    """Whether the node's result may lie in the memory of its first argument: a view, or what was written into."""
    if not isinstance(node.target, OpOverload):
        return node.target is operator.getitem
    if node.target in DROPOUTS:
        return not drops(node)
    return any(result.alias_info is not None for result in node.target._schema.returns)  # noqa: SLF001


def _is_literal(node: fx.Node) -> bool:
    """Whether a node is a tensor that was written out in the network's code: what is read are new copies of it."""
    return node.op == "get_attr" and all(user.target is aten.lift_fresh_copy.default for user in node.users)


def _storages(node: fx.Node) -> list[int]:
    leaves = pytree.tree_leaves(node.meta.get("val"))
    return [leaf.untyped_storage()._cdata for leaf in leaves if isinstance(leaf, Tensor)]  # noqa: SLF001 - its identity
