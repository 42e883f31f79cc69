"""From an ordinary network to one that computes on shuffled inputs."""

from __future__ import annotations

import copy
from math import prod

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
    inline_regions,
    lower,
    refuse_results,
    remove_no_ops,
    remove_writes,
    write_in_place,
)
from inference.plan import Plan

#: Limits what a long recording of activations gives away; docs/method.md has what even a short one does.
REKEY_EVERY = 32
MAP_AXES = (2, 3)
#: torchvision's detectors, and no part of them, by the names of their classes; importing those takes long.
DETECTORS = frozenset({"FCOS", "GeneralizedRCNN", "RetinaNet", "SSD"})


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

    The network is exported for batches of two samples or more.  One that treats a single sample in a
    way of its own is converted as it treats several.

    Returns a KeyedModule.  Raises UnsupportedOperatorError if operators have no rule, ModelError if
    the network is in training mode, cannot be exported, computes something else for other batch
    sizes, or returns anything but tensors, shuffled ones with their samples first; InputMismatchError
    for an example of the wrong form, DeviceUnavailableError.
    """
    if backend not in BACKENDS:
        raise ModelError(f"no backend is called {backend!r}", hint=f"one of: {', '.join(sorted(BACKENDS))}")
    if type(rekey_every) is not int or rekey_every < 1:
        raise ModelError(f"rekey_every is {rekey_every!r}", hint="give a whole number of frames, 1 or more")
    if not isinstance(model, nn.Module):
        raise ModelError(f"a {type(model).__name__} is no network", hint="give an nn.Module that calls it")
    refuse_training(model)
    _refuse_detector(model)
    values, axes = example_values(example_input)
    if device is not None:
        model, values = copy.deepcopy(model).to(available(device)), values.to(device)
    exported = export_network(model, values)
    _refuse_guards(exported)
    network, plan = _convert(exported, axes, BACKENDS[backend]())
    return KeyedModule(network, plan, values, rekey_every)


def _convert(
    exported: torch.export.ExportedProgram, axes: tuple[int, ...], backend: Backend
) -> tuple[fx.GraphModule, Plan]:
    module = exported.module(check_guards=False)
    if not isinstance(module, fx.GraphModule):
        raise TypeError("torch.export returned no GraphModule")
    remember_names(module)
    for clean in (inline_regions, fold_constants, remove_writes, remove_no_ops, decompose, fold_batch_norm):
        module = check_layouts(clean(module))
    module = refuse_results(check_layouts(assign_layouts(module, axes)))
    for fuse in (fuse_sums, fuse_activations):
        module = check_layouts(fuse(module))
    own_constants(module)
    return lower(write_in_place(module), backend, exported.call_spec.out_spec)


def refuse_training(model: nn.Module) -> None:
    """Raises ModelError unless all of a network is in evaluation mode."""
    if any(module.training for module in model.modules()):
        raise ModelError("the network, or a part of it, is in training mode", hint="call model.eval() first")


def _refuse_detector(model: nn.Module) -> None:
    classes = ((base.__module__, base.__name__) for base in type(model).__mro__)
    if any(name in DETECTORS and module.startswith("torchvision.models.detection.") for module, name in classes):
        raise ModelError(
            f"a {type(model).__name__} is more than one network", hint="use inference.secure_detector() for detectors"
        )


def _refuse_guards(exported: torch.export.ExportedProgram) -> None:
    """Raises ModelError if an exported network that takes batches of several sizes is right for some of them only."""
    sizes, guards = exported.range_constraints.values(), exported._guards_code  # noqa: SLF001 - known nowhere else
    if sizes and (guards or any(bound.upper.is_Integer for bound in sizes)):
        raise ModelError(
            f"the network does not compute the same for every batch size: {', '.join(guards) or [*sizes]}",
            hint="remove what depends on the number of samples",
        )


def example_values(example: Tensor | KeyedTensor) -> tuple[Tensor, tuple[int, ...]]:
    """Values of an example input, and its shuffled axes.  Raises InputMismatchError."""
    values, axes = (example.values, example.layout.axes) if isinstance(example, KeyedTensor) else (example, MAP_AXES)
    if not isinstance(values, Tensor) or not values.is_floating_point() or (values is example and values.dim() != 4):
        raise InputMismatchError(
            "the example input is not a floating point tensor (N, C, H, W)",
            hint="give a KeyedTensor if other axes are shuffled",
        )
    if not values.numel():
        raise InputMismatchError(
            f"the example input of shape {tuple(values.shape)} has no values", hint="give one sample at least"
        )
    if prod(values.shape[axis] for axis in axes) == 1:
        raise InputMismatchError(
            "the example input has one position, which has no order", hint="run the plain network on such inputs"
        )
    return values, axes


def available(device: str | torch.device) -> torch.device:
    """A device that this machine has.  Raises DeviceUnavailableError."""
    try:
        found = torch.device(device)
        torch.empty(0, device=found)
    except (RuntimeError, AssertionError, TypeError) as error:
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
