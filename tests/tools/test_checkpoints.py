"""Checkpoints: what a damaged one does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import training
from checkpoints import CHECKPOINT
from keyvault.errors import InputError
from tests.tools.toy_training import STEPS, TOY, take_the_place, toy_training
from training import Split

Damage = Callable[[dict[str, Any]], Any]


@pytest.fixture
def images(monkeypatch: pytest.MonkeyPatch) -> Split:
    return take_the_place(monkeypatch)


@pytest.fixture(scope="module")
def within_an_epoch(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A checkpoint that stands one step before the end of the first epoch."""
    with pytest.MonkeyPatch.context() as patch:
        images = take_the_place(patch)
        times = iter([0] * (STEPS - 1) + [training.SAVE_SECONDS])
        patch.setattr(training, "monotonic", lambda: next(times, 0))
        one = toy_training(tmp_path_factory.mktemp("run"))
        one.run_epoch(images)
    return one.checkpoint.read_bytes()


def change(path: Path, damage: Damage) -> None:
    saved = torch.load(path, weights_only=True)
    damage(saved)
    torch.save(saved, path)


def drop(part: str) -> Damage:
    return lambda saved: saved[part].pop(next(iter(saved[part])))


@pytest.mark.parametrize(
    "damage",
    [
        lambda saved: saved.update(recipe=3),
        lambda saved: saved.update(recipe=[]),
        lambda saved: saved["recipe"].update(epochs="1"),
        lambda saved: saved["recipe"].update(precision="int8"),
        lambda saved: saved["recipe"].update(more=1),
        lambda saved: saved["recipe"].pop("data"),
        lambda saved: saved.update(epoch="1"),
        lambda saved: saved.update(epoch=2),
        lambda saved: saved.update(epoch=-1),
        lambda saved: saved.update(step=0),
        lambda saved: saved.update(step=-1),
        lambda saved: saved.update(step=STEPS),
        lambda saved: saved.update(loss="1"),
        lambda saved: saved.update(random={}),
        lambda saved: saved["random"].pop("images"),
        lambda saved: saved["random"].update(cpu=saved["random"]["cpu"][:-1]),
        lambda saved: saved["random"].update(images=3),
        lambda saved: saved.update(environments=3),
        lambda saved: saved["environments"][0].pop("date"),
        lambda saved: saved.pop("step"),
        lambda saved: saved.pop("environments"),
        lambda saved: saved.update(environments=[]),
        lambda saved: saved.update(network=3),
        lambda saved: saved.update(more=3),
        *map(drop, ("network", "average", "optimiser", "schedule")),
    ],
)
def test_damaged_checkpoints_are_refused_by_name(
    images: Split, tmp_path: Path, within_an_epoch: bytes, damage: Damage
) -> None:
    path = tmp_path / CHECKPOINT
    path.write_bytes(within_an_epoch)
    change(path, damage)
    with pytest.raises(InputError) as refused:
        toy_training(tmp_path)
    assert str(path) in str(refused.value)
    assert f"remove {path}" in str(refused.value.hint)


def test_a_whole_one_is_not_refused(images: Split, tmp_path: Path, within_an_epoch: bytes) -> None:
    (tmp_path / CHECKPOINT).write_bytes(within_an_epoch)
    one = toy_training(tmp_path)
    assert (one.epoch, one.step) == (0, STEPS - 1)
    one.run_epoch(images)
    assert (one.epoch, one.step) == (1, 0)


def test_a_checkpoint_of_another_recipe_is_refused(images: Split, tmp_path: Path) -> None:
    toy_training(tmp_path).save()
    with pytest.raises(InputError, match="another recipe: seed 1, not 2; transform none, not le"):
        toy_training(tmp_path, replace(TOY, seed=2, transform="le"))
