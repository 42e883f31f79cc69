"""Finished runs of train_cifar10: their results, as tables take them."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from accuracy import Accuracy
from json_files import read_kept
from recipe import PLAIN, recipe_of

RESULT = "result.json"
_HELD_OUT, _TEST = "held out", "test"
_COUNTS = {"correct": int, "total": int}
_RUN = {"recipe": dict, "parameters": int, "accuracy": {_HELD_OUT: _COUNTS, _TEST: _COUNTS}, "device": str}


def find_runs(folder: Path) -> list[dict[str, Any]]:
    """Results of finished trainings in the folders of FOLDER, at any depth.

    Raises:
        InputError: one of them was not written by train_cifar10.
    """
    return [read_run(path) for path in sorted(folder.rglob(RESULT))]


def read_run(path: Path) -> dict[str, Any]:
    """The result of a finished training, with every member of its recipe and ``holds_out``.

    Raises:
        InputError: the file was not written by train_cifar10.
    """
    run = read_kept(path, _RUN, "a result of train_cifar10", _countable)
    recipe = recipe_of(run["recipe"], path)
    return run | {"recipe": asdict(recipe), "holds_out": run.get("holds_out", recipe.init == PLAIN) is True}


def _countable(run: dict[str, Any]) -> bool:
    return all(0 <= part["correct"] <= part["total"] and part["total"] > 0 for part in run["accuracy"].values())


def unseen(run: dict[str, Any]) -> Accuracy:
    """On images never trained on: all that were held out, or the test file alone if the run's start saw the others."""
    parts = {name: Accuracy(part["correct"], part["total"]) for name, part in run["accuracy"].items()}
    return parts[_HELD_OUT] + parts[_TEST] if run["holds_out"] else parts[_TEST]


def budget(run: dict[str, Any]) -> str:
    """How long a run of train_cifar10 was."""
    epochs = run["recipe"]["epochs"]
    return f"{epochs} epoch{'s' * (epochs != 1)}, {run['recipe']['precision']}, {run['device']}"
