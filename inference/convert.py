"""From an ordinary network to one that computes on shuffled inputs."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, fx, nn

from inference.errors import DeviceUnavailableError, InputMismatchError, ModelError
from inference.graphs import own_constants, remember_names
from inference.kernels import BACKENDS, Backend
from inference.layout import KeyedTensor
from inference.module import KeyedModule
from inference.passes import (
    assign_layouts,
    check_layouts,
    decompose,
    fold_batch_norm,
    fold_constants,
    fuse_activations,
    fuse_sums,
    lower,
    remove_no_ops,
    remove_writes,
)
from inference.plan import Plan

#: A fixed order of a frame is recovered from some hundred frames; inner layouts do not live that long.
REKEY_EVERY = 32
MAP_AXES = (2, 3)


def secure(
    model: nn.Module,
    example_input: Tensor | KeyedTensor,
    *,
    backend: str = "gather",
    rekey_every: int = REKEY_EVERY,
    device: str | torch.device | None = None,
) -> KeyedModule:
    """Convert a pretrained network; its weights are used as they are.

    Args:
        model: in evaluation mode; it is not changed, and the result shares nothing with it.
        example_input: a tensor (N, C, H, W), or a KeyedTensor, of the size, dtype and device that
            inputs will have; any batch size.
        backend: "gather", "reference" for the paper's deformable operators, or "portable" for
            operators that any runtime has.
        rekey_every: frames after which inner layouts are drawn anew.  A call never changes them
            midway: a larger batch shares one set.
        device: where the network is to run; where it is if None.

    Returns a KeyedModule.  Raises UnsupportedOperatorError if operators have no rule, ModelError if
    the network is in training mode or cannot be exported, InputMismatchError for an example of the
    wrong form, DeviceUnavailableError.
    """
    if backend not in BACKENDS:
        raise ModelError(f"no backend is called {backend!r}", hint=f"one of: {', '.join(sorted(BACKENDS))}")
    if rekey_every < 1:
        raise ModelError(f"rekey_every is {rekey_every}", hint="give 1 or more frames")
    if any(module.training for module in model.modules()):
        raise ModelError("the network, or a part of it, is in training mode", hint="call model.eval() first")
    values, axes = _example(example_input)
    if device is not None:
        model, values = copy.deepcopy(model).to(available(device)), values.to(device)
    exported = export_network(model, values)
    network, plan = _convert(exported, axes, BACKENDS[backend]())
    return KeyedModule(network, plan, values, rekey_every)


def _convert(
    exported: torch.export.ExportedProgram, axes: tuple[int, ...], backend: Backend
) -> tuple[fx.GraphModule, Plan]:
    module = exported.module(check_guards=False)
    if not isinstance(module, fx.GraphModule):
        raise TypeError("torch.export returned no GraphModule")
    remember_names(module)
    for clean in (fold_constants, remove_writes, remove_no_ops, decompose, fold_batch_norm):
        module = check_layouts(clean(module))
    module = check_layouts(assign_layouts(module, axes))
    for fuse in (fuse_sums, fuse_activations):
        module = check_layouts(fuse(module))
    own_constants(module)
    return lower(module, backend, exported.call_spec.out_spec)


def _example(example: Tensor | KeyedTensor) -> tuple[Tensor, tuple[int, ...]]:
    if isinstance(example, KeyedTensor):
        return example.values, example.layout.axes
    if not isinstance(example, Tensor) or example.dim() != 4 or not example.is_floating_point():
        raise InputMismatchError(
            "the example input is not a floating point tensor (N, C, H, W)",
            hint="give a KeyedTensor if other axes are shuffled",
        )
    return example, MAP_AXES


def available(device: str | torch.device) -> torch.device:
    """A device that this machine has.  Raises DeviceUnavailableError."""
    try:
        found = torch.device(device)
        torch.empty(0, device=found)
    except (RuntimeError, AssertionError) as error:
        raise DeviceUnavailableError(
            f"device {str(device)!r} is not available here", hint="use device='cpu', or another machine"
        ) from error
    return found


def export_network(model: nn.Module, values: Tensor) -> torch.export.ExportedProgram:
    """The network as a graph of ATen operators, for any batch size where it allows that.  Raises ModelError."""
    pair = values[:1].expand(2, *values.shape[1:]).contiguous()
    try:
        with torch.no_grad():
            return torch.export.export(model, (pair,), dynamic_shapes=({0: torch.export.Dim.AUTO},))
    except Exception as error:
        first_line = str(error).strip().partition("\n")[0]
        raise ModelError(
            f"the network cannot be exported for an input of {tuple(values.shape)}: {first_line}",
            hint="check that it runs on the example input",
        ) from error
