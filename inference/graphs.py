"""What torch.fx leaves to its users: arguments, origins and constants of nodes."""

from __future__ import annotations

from typing import Any

from torch import Tensor, fx, nn

EXPORTED = "exported_name"


def arguments(node: fx.Node) -> list[Any]:
    """A node's positional arguments."""
    return list(node.args)


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


def own_constants(module: nn.Module) -> None:
    """Give ``module`` copies of its parameters and buffers, which it may share with others."""
    for owner in module.modules():
        for name, value in [*owner.named_parameters(recurse=False), *owner.named_buffers(recurse=False)]:
            setattr(owner, name, _copy(value))


def _copy(value: Tensor) -> Tensor:
    copied = value.detach().clone()
    return nn.Parameter(copied, requires_grad=False) if isinstance(value, nn.Parameter) else copied
