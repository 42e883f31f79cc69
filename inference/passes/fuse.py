"""Let a convolution do what follows it while its result is in cache."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import fx

from inference.graphs import arguments, origin
from inference.operations import Conv, keyed
from inference.rules.call import shape_of

aten = torch.ops.aten
ACTIVATIONS = {aten.relu.default: "relu"}


def fuse_sums(module: fx.GraphModule) -> fx.GraphModule:
    """Fuse the sum of a keyed convolution, which nothing else reads, and a tensor of its shape."""
    for node in list(module.graph.nodes):
        if node.target is not aten.add.Tensor or node.kwargs.get("alpha", 1) != 1:
            continue
        convolution, other = _convolution_first(*arguments(node)[:2])
        if convolution is None or other is convolution or not _alike(node, convolution, other):
            continue
        node.prepend(convolution)  # behind whatever makes the other term
        convolution.args = (*convolution.args[:3], other)
        _absorb(convolution, node)
    module.recompile()
    return module


def fuse_activations(module: fx.GraphModule) -> fx.GraphModule:
    """Fuse a ReLU into the keyed convolution that it alone reads."""
    for node in list(module.graph.nodes):
        activation = ACTIVATIONS.get(node.target)
        if activation and _is_open(convolution := arguments(node)[0]):
            convolution.meta["operation"] = replace(convolution.meta["operation"], activation=activation)
            _absorb(convolution, node)
    module.recompile()
    return module


def _convolution_first(one: Any, other: Any) -> tuple[fx.Node | None, Any]:
    """The two terms of a sum, a convolution that the sum can be fused into in front; None if neither is one."""
    for first, second in ((one, other), (other, one)):
        if _is_open(first) and first.args[3] is None and isinstance(second, fx.Node):
            return first, second
    return None, None


def _alike(*nodes: fx.Node) -> bool:
    """Whether values have one shape and one dtype."""
    first = nodes[0]
    return all(
        shape_of(node) == shape_of(first) and node.meta["val"].dtype == first.meta["val"].dtype for node in nodes
    )


def _is_open(node: Any) -> bool:
    """Whether a node is a keyed convolution with a single reader and no activation."""
    if not isinstance(node, fx.Node) or node.target is not keyed or len(node.users) > 1:
        return False
    operation = node.meta["operation"]
    return isinstance(operation, Conv) and operation.activation is None


def _absorb(convolution: fx.Node, node: fx.Node) -> None:
    """Let the convolution stand for ``node``, whose value it makes now."""
    node.replace_all_uses_with(convolution)
    node.graph.erase_node(node)
    convolution.name = node.name
    convolution.meta.update(origin(node))
