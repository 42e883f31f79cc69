"""Fold batch normalisation into the convolution right before it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, fx

from inference.graphs import arguments, is_constant, origin, read_constant, write_constant

aten = torch.ops.aten
CONVOLUTIONS = (aten.conv2d.default, aten.conv2d.padding)


def fold_batch_norm(module: fx.GraphModule) -> fx.GraphModule:
    """Fold every batch norm that alone reads the result of a convolution with constant weights.

    All others stay; they act on each position by itself.  The folded weights are new parameters,
    computed in float64; the tensors of the original network are left alone.
    """
    for norm in list(module.graph.nodes):
        convolution = arguments(norm)[0] if norm.target is aten.batch_norm.default else None
        if isinstance(convolution, fx.Node) and _foldable(convolution, norm):
            _fold(module, convolution, norm)
    module.graph.eliminate_dead_code()
    module.recompile()
    return module


def _foldable(convolution: fx.Node, norm: fx.Node) -> bool:
    _, _, _, mean, variance, in_training, *_ = arguments(norm)
    constants = [*convolution.args[1:3], *norm.args[1:5]]
    return (
        convolution.target in CONVOLUTIONS
        and len(convolution.users) == 1
        and not in_training
        and None not in (mean, variance)
        and all(map(is_constant, constants))
    )


def _fold(module: fx.GraphModule, convolution: fx.Node, norm: fx.Node) -> None:
    x, weight, bias, *geometry = [*arguments(convolution), None][: max(3, len(convolution.args))]
    _, gamma, beta, mean, variance, _, _, epsilon, _ = arguments(norm)

    def value(node: fx.Node) -> Tensor:
        return read_constant(module, str(node.target)).double()

    scale = torch.rsqrt(value(variance) + epsilon) * (value(gamma) if gamma else 1)
    shift = ((value(bias) if bias else 0) - value(mean)) * scale + (value(beta) if beta else 0)
    folded = value(weight) * scale.view(-1, *[1] * (value(weight).dim() - 1))
    owner = str(weight.target).rpartition(".")[0]
    with module.graph.inserting_before(convolution):
        stored = [
            _store(module, old, f"{owner}.{name}".removeprefix("."), new.to(weight.meta["val"].dtype))
            for old, name, new in ((weight, "weight", folded), (bias, "bias", shift))
        ]
    stored[1].meta.setdefault("val", mean.meta["val"])
    convolution.args = (x, *stored, *geometry)
    convolution.meta.update(origin(norm))
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
