"""Checkpoints of a training: what one holds, and the file, read with everything that can be wrong with it."""

from __future__ import annotations

import io
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from json_files import misfit
from keyvault.errors import InputError
from keyvault.files import write_whole
from recipe import RECIPE_FORM, Recipe, recipe_of

CHECKPOINT = "checkpoint.pt"
PARTS = ("network", "average", "optimiser", "schedule")

_ENVIRONMENT = {
    **dict.fromkeys(("epoch", "step", "processors_usable"), int),
    **dict.fromkeys(("device", "date", "until", "processor"), str),
}
_FORM = {
    "recipe": RECIPE_FORM,
    **dict.fromkeys(("epoch", "step"), int),
    "loss": float,
    "random": {str: Tensor},
    "environments": [_ENVIRONMENT],
    **dict.fromkeys(PARTS, dict),
}
_ALWAYS_DRAWN = {"images", "cpu"}


@dataclass(frozen=True)
class Checkpoint:
    """Everything that a training goes on from.

    Attributes:
        recipe: of the training.
        epoch: finished epochs.
        step: steps taken of the epoch after them.
        loss: sum over these steps.
        random: states of the generators, by what draws from them; none at the beginning of an epoch.
        environments: of every run that took part, oldest first: that of ``measure.environment`` as it began, the
            ``epoch`` and ``step`` that it went on from, its ``device``, and ``until``, the time of its last checkpoint.
        parts: state of each of PARTS.
    """

    recipe: Recipe
    epoch: int
    step: int
    loss: float
    random: dict[str, Tensor]
    environments: list[dict[str, Any]]
    parts: dict[str, dict[str, Any]]

    def write(self, path: Path) -> None:
        """Write the file whole; OutputError if it cannot be written."""
        members = {name: value for name, value in vars(self).items() if name != "parts"}
        content = io.BytesIO()
        torch.save({**members, "recipe": asdict(self.recipe), **self.parts}, content)
        write_whole(path, content.getbuffer())


def stored_precision(folder: Path) -> str | None:
    """The precision of the run that FOLDER holds, if it holds one."""
    path = folder / CHECKPOINT
    return load_checkpoint(path, torch.device("cpu")).recipe.precision if path.exists() else None


def load_checkpoint(path: Path, device: torch.device) -> Checkpoint:
    """A checkpoint with its tensors on a device, the states of generators on the CPU.

    Raises:
        InputError: the file is something else.
    """
    try:
        saved: Any = torch.load(path, map_location=device, weights_only=True)
    except OSError:
        raise
    except Exception as error:  # of a file that is none of its own, torch.load raises anything
        raise not_a_checkpoint(path) from error
    if misfit(saved, _FORM) is not None or saved.keys() != _FORM.keys():
        raise not_a_checkpoint(path)
    recipe = recipe_of(saved.pop("recipe"), path)
    parts = {name: saved.pop(name) for name in PARTS}
    random = {name: state.cpu() for name, state in saved.pop("random").items()}
    found = Checkpoint(recipe, parts=parts, random=random, **saved)
    if not _sound(found):
        raise not_a_checkpoint(path)
    return found


def _sound(found: Checkpoint) -> bool:
    """Whether there is such a place in the training, a run that came to it, and inside an epoch what was drawn."""
    if not found.environments:
        return False
    if found.step == 0:
        return 0 <= found.epoch <= found.recipe.epochs and not found.random
    return 0 <= found.epoch < found.recipe.epochs and found.step > 0 and found.random.keys() >= _ALWAYS_DRAWN


def not_a_checkpoint(path: Path) -> InputError:
    """The refusal of a file that does not hold a checkpoint, or one of another network."""
    return InputError(f"{path} is not a checkpoint of this script", hint=f"remove {path} to begin anew")
