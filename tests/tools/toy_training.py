"""Trainings small enough for tests: a toy network that draws as it trains, a data set of 100 images, the command."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

import cifar10
import train_cifar10
import training
from recipe import Recipe
from train_cifar10 import main
from training import Split, Training

RECIPE = Recipe(model="resnet20", epochs=1, batch=32, learning_rate=0.1, seed=1, precision="float32")
STEPS = 8
#: Of the toy: two epochs of STEPS steps.
TOY = replace(RECIPE, epochs=2, batch=8)


def toy() -> torch.nn.Module:
    """A network with batch norm that draws random numbers as it trains."""
    return torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 3, stride=4),
        torch.nn.BatchNorm2d(4),
        torch.nn.Flatten(),
        torch.nn.Dropout(),
        torch.nn.Linear(4 * 8 * 8, 10),
    )


def take_the_place(monkeypatch: pytest.MonkeyPatch) -> Split:
    """Let the toy take the place of ResNet-20; what it is trained on."""
    monkeypatch.setitem(training.TRAINABLE, "resnet20", toy)
    images = torch.randint(0, 256, (64, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    return Split(images, torch.arange(64) % 10)


def equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    """Whether two states are equal to the last bit."""
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def toy_training(folder: Path, recipe: Recipe = TOY) -> Training:
    """The training of FOLDER, as far as it has come."""
    folder.mkdir(exist_ok=True)
    found = Training(recipe, folder, torch.device("cpu"), 64)
    found.resume()
    return found


def make_data(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data set of 100 images in the binary layout, of which 64 are trained on."""
    monkeypatch.setattr(train_cifar10, "TRAINED_IMAGES", 64)
    monkeypatch.setattr(train_cifar10, "TRAINING_IMAGES", 100)
    generator = np.random.default_rng(0)
    folder.mkdir()
    for name, count in [(name, 20) for name in cifar10.TRAIN_FILES] + [("test_batch", 10)]:
        records = generator.integers(0, 256, (count, cifar10.RECORD_BYTES), np.uint8)
        records[:, 0] %= 10
        records.tofile(folder / f"{name}.bin")
    return folder


def options(data: Path, output: Path) -> list[str]:
    """Of the command, for a training of ResNet-20 or what takes its place."""
    return ["--model", "resnet20", "--data", str(data), "-o", str(output), "--batch", "8", "--precision", "float32"]


def train(data: Path, output: Path, *more: str) -> str:
    """What the command prints."""
    result = CliRunner().invoke(main, [*options(data, output), *more])
    assert result.exit_code == 0, result.output
    return result.stdout
