"""Put the bodies of regions where they are called."""

from __future__ import annotations

from typing import Any

import torch
from torch import fx
from torch._ops import HigherOrderOperator

from inference.errors import ModelError
from inference.graphs import EXPORTED, arguments, origin
from inference.passes.refusals import described, refuse

#: What torch.export makes of ``with torch.no_grad()`` and ``with torch.autocast()``: settings, body, operands.
SETTINGS: dict[Any, int] = {
    torch.ops.higher_order.wrap_with_set_grad_enabled: 1,
    torch.ops.higher_order.wrap_with_autocast: 4,
}


def inline_regions(module: fx.GraphModule) -> fx.GraphModule:
    """Replace every region with other autograd or autocast settings by its operators.

    Gradients are never recorded, and the network is computed without autocast, so settings that
    switch these off say nothing.  Raises ModelError for a region that switches autocast on, and
    UnsupportedOperatorError for other operators that have a body, such as branches.
    """
    while regions := [node for node in module.graph.nodes if node.target in SETTINGS]:
        for node in regions:
            _inline(module, node)
    module.graph.eliminate_dead_code()
    with_body = [node for node in module.graph.nodes if isinstance(node.target, HigherOrderOperator)]
    refuse([described(node) for node in with_body])
    module.recompile()
    return module


def _inline(module: fx.GraphModule, node: fx.Node) -> None:
    settings = SETTINGS[node.target]
    if node.target is torch.ops.higher_order.wrap_with_autocast and arguments(node)[2]:
        raise ModelError("a part of the network switches autocast on", hint="convert the network to the dtype it needs")
    body, *operands = arguments(node)[settings:]
    results = _copied(module, body.target, operands, node)
    for user in list(node.users):
        user.replace_all_uses_with(results[arguments(user)[1]])
        module.graph.erase_node(user)
    module.graph.erase_node(node)


def _copied(module: fx.GraphModule, path: str, operands: list[Any], node: fx.Node) -> list[Any]:
    """The results of the body at a path, whose operators are written in front of ``node``."""
    body = module.get_submodule(path)
    if not isinstance(body, fx.GraphModule):
        raise TypeError("the body of a region is a graph")
    values = dict(zip(body.graph.find_nodes(op="placeholder"), operands, strict=True))
    for inner in body.graph.nodes:
        if inner.op not in ("call_function", "get_attr"):
            continue
        with node.graph.inserting_before(node):
            values[inner] = copied = node.graph.node_copy(inner, values.__getitem__)
        copied.meta = origin(node) | inner.meta | {EXPORTED: copied.name}
        if inner.op == "get_attr":
            copied.target = f"{path}.{inner.target}"
    return [fx.map_arg(result, values.__getitem__) for result in arguments(body.graph.output_node())[0]]
