"""Write results over what nothing reads any more, as networks with ``inplace=True`` do."""

from __future__ import annotations

from typing import Any

import torch
from torch import fx

from inference.graphs import arguments
from inference.operations import Arranged, keyed
from inference.rules.call import shape_of

aten = torch.ops.aten
#: Operators on single elements, and the same writing over their first argument.
IN_PLACE: dict[Any, Any] = {
    aten.add.Tensor: aten.add_.Tensor,
    aten.gelu.default: aten.gelu_.default,
    aten.hardsigmoid.default: aten.hardsigmoid_.default,
    aten.hardswish.default: aten.hardswish_.default,
    aten.hardtanh.default: aten.hardtanh_.default,
    aten.mul.Tensor: aten.mul_.Tensor,
    aten.relu.default: aten.relu_.default,
    aten.sigmoid.default: aten.sigmoid_.default,
    aten.silu.default: aten.silu_.default,
}
COMMUTATIVE = frozenset({aten.add.Tensor, aten.mul.Tensor})
#: Operators whose result is memory of its own.
FRESH = frozenset({aten.batch_norm.default, aten.conv2d.default, aten.linear.default, *IN_PLACE})
#: Operators whose result holds on to nothing of what they read.
READING = FRESH | {aten.adaptive_avg_pool2d.default, aten.mean.dim, keyed}


def write_in_place(module: fx.GraphModule) -> fx.GraphModule:
    """Let operators on single elements write over a first argument that is fresh and that nothing reads later."""
    fresh, read = set[fx.Node](), set[fx.Node]()
    for node in module.graph.nodes:
        if node.target in FRESH or (node.target is keyed and not isinstance(node.meta["operation"], Arranged)):
            fresh.add(node)
        if node.target in IN_PLACE:
            _write_over(node, fresh, read)
        if node.target in READING:
            read.add(node)
    module.recompile()
    return module


def _write_over(node: fx.Node, fresh: set[fx.Node], read: set[fx.Node]) -> None:
    """``read`` are the nodes that have run by then and hold on to nothing."""
    first, *others = arguments(node)
    if node.target in COMMUTATIVE and not node.kwargs and not _is_spent(node, first, fresh, read):
        first, others = others[0], [first, *others[1:]]
    if _is_spent(node, first, fresh, read):
        node.args, node.target = (first, *others), IN_PLACE[node.target]


def _is_spent(node: fx.Node, argument: Any, fresh: set[fx.Node], read: set[fx.Node]) -> bool:
    """Whether an argument is fresh, of the form of the node's result, and read for the last time by the node."""
    if not isinstance(argument, fx.Node) or argument not in fresh:
        return False
    if any(user is not node and user not in read for user in argument.users):
        return False
    found, wanted = argument.meta["val"], node.meta["val"]
    return shape_of(argument) == shape_of(node) and found.dtype == wanted.dtype
