"""A lowered graph as JSON, and back.

torch.fx writes a graph out as Python and runs that, so every name that comes from a file is checked
here to be one, and every operator is looked up among those that only compute.
"""

from __future__ import annotations

import keyword
import math
import operator
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch._ops import OpOverload

from inference.errors import ModelError
from inference.graphs import EXPORTED, exported_name, module_path
from inference.kernels import Backend
from inference.kernels.steps import Steps
from inference.saved_checks import check_argument, check_graph
from inference.saved_values import Reader, Writer

LIBRARIES = ("aten", "torchvision")
STEP = "step."
STEPS = frozenset(name for name in vars(Steps) if not name.startswith("_"))
#: Arithmetic on sizes, and parts of what returns several values.
_BINARY = ("add", "and_", "eq", "floordiv", "ge", "gt", "le", "lt", "mod", "mul", "ne", "or_", "pow", "sub", "truediv")
FUNCTIONS = {
    **{f"operator.{name}": getattr(operator, name) for name in (*_BINARY, "getitem", "neg")},
    **{f"math.{name}": getattr(math, name) for name in ("ceil", "floor", "trunc")},
    **{f"torch.{name}": getattr(torch, name) for name in ("sym_float", "sym_int", "sym_max", "sym_min", "sym_not")},
}
_NAMES = {function: name for name, function in FUNCTIONS.items()}


def write_graph(graph: fx.Graph, writer: Writer) -> list[dict[str, Any]]:
    """Every node, in the order of the graph.  Raises ModelError for what cannot be saved."""
    return [
        {
            "op": node.op,
            "name": node.name,
            "target": _target_name(node),
            "arguments": writer.encode(list(node.args)),
            "keywords": writer.encode(dict(node.kwargs)),
            "exported": exported_name(node),
            "module": module_path(node),
        }
        for node in graph.nodes
    ]


def read_graph(
    nodes: Sequence[Mapping[str, Any]], reader: Reader, backend: Backend, known: Collection[str]
) -> fx.Graph:
    """The graph, its keyed operators calling ``backend``, and what it looks up among the ``known`` constants.

    Raises KeyError, TypeError or ValueError for what :func:`write_graph` never wrote.
    """
    graph, steps = fx.Graph(), Steps(backend)
    for entry in nodes:
        op, name = entry["op"], _identifier(entry["name"])
        target = _read_target(op, entry["target"], steps)
        arguments, keywords = reader.decode(entry["arguments"]), reader.decode(entry["keywords"])
        check_argument([arguments, keywords])
        for keyword_name in keywords:
            _identifier(keyword_name)
        if op == "output":
            node = graph.output(arguments[0])
        else:
            node = graph.create_node(op, target, tuple(arguments), keywords, name=name)
            node.name = name
        if name in reader.nodes:
            raise ValueError(f"two nodes are called {name}")
        reader.nodes[name] = node
        node.meta["nn_module_stack"] = {str(entry["module"]): (str(entry["module"]), "")}
        if entry["exported"] is not None:
            node.meta[EXPORTED] = str(entry["exported"])
    check_graph(graph, known)
    graph.lint()
    return graph


def constants(network: fx.GraphModule) -> dict[str, tuple[str, Tensor]]:
    """Parameters, buffers and other tensors of a graph by their path, with what they are."""
    found: dict[str, tuple[str, Tensor]] = {}
    for owner_path, owner in network.named_modules():
        prefix = f"{owner_path}." if owner_path else ""
        for name, parameter in owner.named_parameters(recurse=False, remove_duplicate=False):
            found[prefix + name] = ("parameter", parameter.detach())
        kept = owner.state_dict()
        for name, buffer in owner.named_buffers(recurse=False, remove_duplicate=False):
            found[prefix + name] = ("buffer" if name in kept else "constant", buffer)
    for node in network.graph.nodes:
        if node.op == "get_attr" and node.target not in found:
            value = operator.attrgetter(str(node.target))(network)
            if not isinstance(value, Tensor):
                raise ModelError(
                    f"{node.target} is a {type(value).__name__}, which cannot be saved",
                    hint="take control flow out of the network",
                )
            found[str(node.target)] = ("constant", value)
    return found


def put_constant(root: nn.Module, path: str, kind: str, value: Tensor) -> None:
    """The inverse of :func:`constants` for one of them; owners are made as needed."""
    *owners, name = path.split(".")
    for owner in owners:
        if not hasattr(root, owner):
            root.add_module(owner, nn.Module())
        root = root.get_submodule(owner)
    if kind == "parameter":
        root.register_parameter(name, nn.Parameter(value, requires_grad=False))
    else:
        root.register_buffer(name, value, persistent=kind == "buffer")


def _target_name(node: fx.Node) -> str:
    target = node.target
    if isinstance(target, str):
        return target
    if isinstance(target, OpOverload) and target.namespace in LIBRARIES:
        return str(target)
    if isinstance(getattr(target, "__self__", None), Steps):
        return STEP + getattr(target, "__name__", "")
    if target in _NAMES:
        return _NAMES[target]
    raise ModelError(f"{node.name} calls {target}, which cannot be saved", hint="take it out of the network")


def _read_target(op: str, target: str, steps: Steps) -> Any:
    match op:
        case "placeholder" | "output":
            return _identifier(target)
        case "get_attr":
            for atom in target.split("."):
                _identifier(f"_{atom}")  # indices of a Sequential are atoms too
            return target
        case "call_function":
            return _function(target, steps)
    raise ValueError(f"no node is a {op}")


def _function(target: str, steps: Steps) -> Any:
    if target in FUNCTIONS:
        return FUNCTIONS[target]
    if target.startswith(STEP) and (step := target.removeprefix(STEP)) in STEPS:
        return getattr(steps, step)
    library, _, rest = target.partition(".")
    name, _, overload = rest.partition(".")
    found = getattr(getattr(getattr(torch.ops, library), name), overload) if library in LIBRARIES else None
    if not isinstance(found, OpOverload) or any(a.name == "filename" for a in found._schema.arguments):  # noqa: SLF001
        raise ValueError(f"no operator of a network is called {target}")
    return found


def _identifier(name: Any) -> str:
    if not isinstance(name, str) or not name.isidentifier() or keyword.iskeyword(name) or not name.isascii():
        raise ValueError(f"{name!r} is no name")
    return name
