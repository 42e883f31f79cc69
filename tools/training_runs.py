"""Runs of train_cifar10: the results of finished ones, as tables take them, and the commands of others."""

from __future__ import annotations

import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

from accuracy import Accuracy
from json_files import read_json, read_kept
from recipe import PLAIN, recipe_of

RESULT = "result.json"
HELD_OUT, TEST = "held out", "test"
_COUNTS = {"correct": int, "total": int}
_RUN = {"recipe": dict, "parameters": int, "accuracy": {HELD_OUT: _COUNTS, TEST: _COUNTS}, "device": str}

#: Where a model card says how many epochs, in which precision and on what a network was trained.
_CARD = (r"^- epochs: (\d+)$", r"--precision (\w+)", r"^PyTorch [^,\n]+, ((?:cpu|cuda)(?:, (?:cpu|cuda))*)")


def find_runs(folder: Path) -> dict[Path, dict[str, Any]]:
    """Results of finished trainings in the folders of FOLDER, at any depth, by file; those of other tools are left.

    Raises:
        InputError: one of them is damaged.
    """
    return {path: read_run(path) for path in sorted(folder.rglob(RESULT)) if is_run(path)}


def is_run(path: Path) -> bool:
    """Whether a JSON file holds a recipe, as every result of a training does; InputError if it is no JSON file."""
    found = read_json(path)
    return isinstance(found, dict) and "recipe" in found


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
    return parts[HELD_OUT] + parts[TEST] if run["holds_out"] else parts[TEST]


def budget(run: dict[str, Any]) -> str:
    """How long a run of train_cifar10 was, in which precision, and on what."""
    return _budget(run["recipe"]["epochs"], run["recipe"]["precision"], run["device"])


def card_budget(card: str) -> str | None:
    """The same, as the model card of train_cifar10 says it; None of another card."""
    found = [re.search(pattern, card, re.MULTILINE) for pattern in _CARD]
    if None in found:
        return None
    epochs, *others = (match[1] for match in found if match)
    return _budget(int(epochs), *others)


def _budget(epochs: int, precision: str, device: str) -> str:
    return f"{epochs} epoch{'s' * (epochs != 1)}, {precision}, {device}"


def training_command(model: str, run: str, **options: str | float) -> str:
    """What trains a network in the folder ``runs/RUN``, with options of train_cifar10 by name."""
    words = "".join(f" --{name} {value}" for name, value in options.items())
    return f"python tools/train_cifar10.py --model {model}{words} --data DIR -o runs/{run}"
