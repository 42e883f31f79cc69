"""Let a convolution apply the activation behind it while its result is in cache."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import fx

from inference.operations import Conv, keyed

ACTIVATIONS = {torch.ops.aten.relu.default: "relu"}


def fuse_activations(module: fx.GraphModule) -> fx.GraphModule:
    """Fuse a ReLU into the keyed convolution that it alone reads."""
    for node in list(module.graph.nodes):
        activation = ACTIVATIONS.get(node.target)
        convolution = node.args[0] if activation else None
        if not isinstance(convolution, fx.Node) or convolution.target is not keyed or len(convolution.users) > 1:
            continue
        operation = convolution.meta["operation"]
        if isinstance(operation, Conv) and operation.activation is None:
            convolution.meta["operation"] = replace(operation, activation=activation)
            node.replace_all_uses_with(convolution)
            module.graph.erase_node(node)
    module.recompile()
    return module
