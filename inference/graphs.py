"""What torch.fx leaves to its users: arguments, origins and constants of nodes."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, fx, nn
from torch._ops import OpOverload
from torch.fx.node import map_aggregate

EXPORTED = "exported_name"


def arguments(node: fx.Node) -> list[Any]:
    """A node's positional arguments."""
    return list(node.args)


def named_arguments(node: fx.Node) -> dict[str, Any]:
    """All arguments of an operator of ATen by their names in its schema."""
    if not isinstance(node.target, OpOverload):
        raise TypeError(f"{node.name} is no operator of ATen")
    parameters = node.target._schema.arguments  # noqa: SLF001 - the documented way to a schema
    given = dict(zip((p.name for p in parameters), node.args, strict=False)) | node.kwargs
    return {p.name: given.get(p.name, p.default_value) for p in parameters}


def example(arguments: Any) -> Any:
    """Arguments of a node with the values that stand for those of other nodes."""
    return fx.map_arg(arguments, lambda node: node.meta["val"])


def remember_names(module: fx.GraphModule) -> None:
    """Let every node remember the name it was exported under; passes hand that on as part of its origin."""
    for node in module.graph.nodes:
        node.meta[EXPORTED] = node.name


def exported_name(node: fx.Node) -> str | None:
    """The operator of the exported network whose value a node makes, or helps to make; None if there is none."""
    name: str | None = node.meta.get(EXPORTED)
    return name


def origin(node: fx.Node) -> dict[str, Any]:
    """What a node's meta says of where in the network it comes from."""
    return {key: node.meta[key] for key in ("nn_module_stack", "stack_trace", EXPORTED) if key in node.meta}


def module_path(node: fx.Node) -> str:
    """Dotted path of the module that a node comes from; empty for the network itself."""
    stack = node.meta.get("nn_module_stack") or {}
    return next((path for path, _ in reversed(stack.values())), "")


def is_constant(node: Any) -> bool:
    """Whether an argument is a parameter, a buffer or None."""
    return node is None or (isinstance(node, fx.Node) and node.op == "get_attr")


def read_constant(module: nn.Module, path: str) -> Tensor:
    """The parameter or buffer at a dotted path."""
    owner, _, name = path.rpartition(".")
    value = getattr(module.get_submodule(owner), name)
    if not isinstance(value, Tensor):
        raise TypeError(f"{path} is no tensor")
    return value.detach()


def write_constant(module: nn.Module, path: str, value: Tensor) -> None:
    """Put a parameter at a dotted path whose owner exists, replacing what is there."""
    owner, _, name = path.rpartition(".")
    setattr(module.get_submodule(owner), name, nn.Parameter(value, requires_grad=False))


def place(module: fx.GraphModule, device: torch.device) -> None:
    """Let every device that is named in a graph be this one."""
    for node in module.graph.nodes:
        node.args, node.kwargs = map_aggregate(
            (node.args, node.kwargs), lambda value: device if isinstance(value, torch.device) else value
        )
    module.recompile()


def own_constants(module: nn.Module) -> None:
    """Give ``module`` copies of its parameters and buffers, which it may share with others.

    Writes into the copies are counted, whatever mode this is called in.
    """
    for owner in module.modules():
        parameters = owner.named_parameters(recurse=False, remove_duplicate=False)
        for name, value in [*parameters, *owner.named_buffers(recurse=False, remove_duplicate=False)]:
            setattr(owner, name, _copy(value))


def _copy(value: Tensor) -> Tensor:
    with torch.inference_mode(False):
        copied = value.detach().clone()
    return nn.Parameter(copied, requires_grad=False) if isinstance(value, nn.Parameter) else copied
