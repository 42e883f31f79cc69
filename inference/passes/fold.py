"""Fold batch normalisation into the convolution right before it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, fx

from inference.constants import is_constant, read_constant, write_constant

aten = torch.ops.aten
CONVOLUTIONS = (aten.conv2d.default, aten.conv2d.padding)


def fold_batch_norm(module: fx.GraphModule) -> fx.GraphModule:
    """Fold every batch norm that alone reads the result of a convolution with constant weights.

    All others stay; they act on each position by itself.  The folded weights are new parameters,
    computed in float64; the tensors of the original network are left alone.
    """
    for norm in list(module.graph.nodes):
        convolution = norm.args[0] if norm.target is aten.batch_norm.default else None
        if isinstance(convolution, fx.Node) and _foldable(convolution, norm):
            _fold(module, convolution, norm)
    module.graph.eliminate_dead_code()
    module.recompile()
    return module


def _foldable(convolution: fx.Node, norm: fx.Node) -> bool:
    constants = [*convolution.args[1:3], *norm.args[1:5]]
    in_training = norm.args[5]
    return (
        convolution.target in CONVOLUTIONS
        and len(convolution.users) == 1
        and not in_training
        and None not in norm.args[3:5]
        and all(map(is_constant, constants))
    )


def _fold(module: fx.GraphModule, convolution: fx.Node, norm: fx.Node) -> None:
    weight_node, bias_node = (*convolution.args[1:3], None)[:2]
    weight, bias, gamma, beta, mean, variance = (
        None if node is None else read_constant(module, str(node.target)).double()
        for node in (weight_node, bias_node, *norm.args[1:5])
    )
    scale = torch.rsqrt(variance + norm.args[7]) * (1 if gamma is None else gamma)
    shift = ((0 if bias is None else bias) - mean) * scale + (0 if beta is None else beta)
    folded = weight * scale.view(-1, *[1] * (weight.dim() - 1))
    owner = str(weight_node.target).rpartition(".")[0]
    with module.graph.inserting_before(convolution):
        nodes = [
            _store(module, old, f"{owner}.{name}".removeprefix("."), value.to(weight_node.meta["val"].dtype))
            for old, name, value in ((weight_node, "weight", folded), (bias_node, "bias", shift))
        ]
    nodes[1].meta.setdefault("val", norm.args[3].meta["val"])
    convolution.args = (convolution.args[0], *nodes, *convolution.args[3:])
    norm.replace_all_uses_with(convolution)
    module.graph.erase_node(norm)


def _store(module: fx.GraphModule, old: Any, path: str, value: Tensor) -> fx.Node:
    """A node for a new parameter: under the old one's name if that has no other use, else under a new name."""
    graph = module.graph
    targets = [str(node.target) for node in graph.nodes if node.op == "get_attr"]
    alone = old is not None and len(old.users) == 1 and targets.count(str(old.target)) == 1
    if alone:
        path = str(old.target)
    while not alone and path in targets:
        path += "_folded"
    write_constant(module, path, value)
    node = graph.get_attr(path)
    if old is not None:
        node.meta["val"] = old.meta["val"]
    return node
