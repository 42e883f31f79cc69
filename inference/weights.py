"""Pretrained weights from files, checked name by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from inference.errors import WeightsError
from inference.models import Preset

SAFETENSORS = ".safetensors"
NUMPY = ".npz"
_WRAPPERS = ("state_dict", "model_state_dict", "model")
_PARALLEL = "module."  # what torch.nn.DataParallel puts before every name
_NAMED = 4  # names that a refusal lists


def pretrained(chosen: Preset, path: Path | None = None) -> nn.Module:
    """A preset's network in evaluation mode, with the weights of ``path`` or those that come with it.

    Raises:
        WeightsError: neither is there, or as :func:`load_weights`.
    """
    source = path or chosen.weights
    if source is None:
        raise WeightsError(f"no weights come with {chosen.name}", hint="give --weights FILE")
    network = chosen.build().eval()
    load_weights(network, source, ignored=chosen.training_only)
    return network


def load_weights(network: nn.Module, path: Path, *, ignored: tuple[str, ...] = ()) -> None:
    """Load a file of weights into a network.

    Reads safetensors, NumPy archives without pickles, and what torch.save wrote as far as
    ``torch.load(weights_only=True)`` takes it: the state dict itself, or one under ``state_dict``, with or
    without the names' ``module.`` of DataParallel.
    Counters of batches may be missing; names that begin with one of ``ignored`` are left out.

    Raises:
        WeightsError: the file is no such file, or names or shapes differ from the network's.
    """
    found = _plain_names(_read(path), path)
    wanted = network.state_dict()
    missing = [name for name in wanted if name not in found and not name.endswith("num_batches_tracked")]
    unexpected = [name for name in found if name not in wanted and not name.startswith(ignored)]
    reshaped = [
        f"{name} {_shape(found[name])}, not {_shape(wanted[name])}"
        for name in wanted
        if name in found and found[name].shape != wanted[name].shape
    ]
    differences = [
        f"{what} {_some(names)}"
        for what, names in (("missing", missing), ("unexpected", unexpected), ("of another shape", reshaped))
        if names
    ]
    if differences:
        raise WeightsError(
            f"{path} does not fit the {type(network).__name__}: {'; '.join(differences)}",
            hint="give the weights of this network, or the name of theirs",
        )
    network.load_state_dict(found, strict=False)


def _read(path: Path) -> Any:
    try:
        if path.suffix == SAFETENSORS:
            return load_file(path)
        if path.suffix == NUMPY:
            with np.load(path, allow_pickle=False) as archive:
                return {name: torch.from_numpy(archive[name]) for name in archive.files}
        return torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise WeightsError(f"cannot read weights {path}: {error.strerror or error}", hint="check the path") from error
    except Exception as error:  # of a file that is none of theirs, unpickler and readers raise anything
        raise WeightsError(
            f"{path} holds no weights that can be read safely",
            hint="give safetensors, a NumPy archive of plain arrays, or a state dict of torch.save",
        ) from error


def _plain_names(content: Any, path: Path) -> Mapping[str, Tensor]:
    for wrapper in _WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(wrapper), Mapping):
            content = content[wrapper]
    if not isinstance(content, Mapping) or not content or not all(isinstance(v, Tensor) for v in content.values()):
        raise WeightsError(f"{path} is not a state dict: names with a tensor each", hint="save model.state_dict()")
    names = [str(name) for name in content]
    prefix = _PARALLEL if all(name.startswith(_PARALLEL) for name in names) else ""
    return {name.removeprefix(prefix): value for name, value in zip(names, content.values(), strict=True)}


def _shape(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "scalar"


def _some(names: Iterable[str]) -> str:
    listed = list(names)
    more = f" and {len(listed) - _NAMED} more" if len(listed) > _NAMED else ""
    return f"{', '.join(listed[:_NAMED])}{more}"
