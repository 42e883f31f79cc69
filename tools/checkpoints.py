"""Checkpoints of a training: the file, read with everything that can be wrong with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from json_files import misfit
from keyvault.errors import InputError
from recipe import Recipe, recipe_of

CHECKPOINT = "checkpoint.pt"
PARTS = ("network", "average", "optimiser", "schedule")
_FORM = {"recipe": dict, "epoch": int, **dict.fromkeys(PARTS, dict)}


def stored_precision(folder: Path) -> str | None:
    """The precision of the run that FOLDER holds, if it holds one."""
    path = folder / CHECKPOINT
    return load_checkpoint(path, torch.device("cpu"))[0].precision if path.exists() else None


def load_checkpoint(path: Path, device: torch.device) -> tuple[Recipe, dict[str, Any]]:
    """The recipe of a checkpoint; its ``epoch`` and the state of each of PARTS.

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
    recipe = recipe_of(saved["recipe"], path)
    if not 0 <= saved["epoch"] <= recipe.epochs:
        raise not_a_checkpoint(path)
    return recipe, saved


def not_a_checkpoint(path: Path) -> InputError:
    """The refusal of a file that does not hold a checkpoint, or one of another network."""
    return InputError(f"{path} is not a checkpoint of this script", hint=f"remove {path} to begin anew")
