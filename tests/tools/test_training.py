"""Training: what augmentation does, the average of weights, and that a stopped run goes on exactly."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import training
from augmentation import augment
from tests.tools.toy_training import RECIPE, STEPS, TOY, take_the_place, toy_training
from training import Split, Training, fastest_precision


@pytest.fixture
def images(monkeypatch: pytest.MonkeyPatch) -> Split:
    return take_the_place(monkeypatch)


def state(one: Training) -> list[Any]:
    """Every tensor and number that decides what comes next."""
    parts = (one.network, one.average, one.optimiser, one.schedule)
    return [one.epoch, one.step, one.loss, *(part.state_dict() for part in parts)]


def same(one: Any, other: Any) -> bool:
    """Whether two nested values are equal to the last bit."""
    if isinstance(one, torch.Tensor):
        return isinstance(other, torch.Tensor) and torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[name], other[name]) for name in one)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


@pytest.mark.parametrize("stops", [[2], [5], [11], [3, 4, 9, 16]])
def test_a_run_stopped_within_an_epoch_ends_as_one_that_was_not(
    images: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stops: list[int]
) -> None:
    whole = toy_training(tmp_path / "whole")
    expected = [whole.run_epoch(images) for _ in range(TOY.epochs)]

    monkeypatch.setattr(training, "monotonic", itertools.count(step=250).__next__)  # a checkpoint every third step
    take = Training._step
    taken = 0

    def stop(one: Training, batch: torch.Tensor, labels: torch.Tensor) -> float:
        nonlocal taken
        taken += 1
        if taken in stops:
            raise KeyboardInterrupt
        return take(one, batch, labels)

    monkeypatch.setattr(Training, "_step", stop)
    losses: dict[int, float] = {}
    one = toy_training(tmp_path / "parts")
    while one.epoch < TOY.epochs:
        try:
            losses[one.epoch] = one.run_epoch(images)
            one.save()
        except KeyboardInterrupt:
            torch.rand(7)  # whatever else draws meanwhile
            one = toy_training(tmp_path / "parts")
    assert list(losses.values()) == expected
    assert same(state(one), state(whole))
    assert taken < TOY.epochs * STEPS + 4 * len(stops)  # no stop costs more than the steps since a checkpoint


def test_the_order_and_what_a_network_draws_depend_on_seed_and_epoch(images: Split, tmp_path: Path) -> None:
    recipe = replace(TOY, learning_rate=1e-12)  # so that weights stay as they are and losses tell the draws

    def losses(folder: Path, recipe: Any) -> list[float]:
        one = toy_training(folder, recipe)
        return [one.run_epoch(images) for _ in range(2)]

    first = losses(tmp_path / "first", recipe)
    torch.rand(3)
    assert losses(tmp_path / "again", recipe) == first
    assert losses(tmp_path / "other", replace(recipe, seed=2)) != first
    assert abs(first[0] - first[1]) > 1e-6


def test_the_average_is_the_one_computed_by_hand(
    images: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = toy_training(tmp_path, replace(TOY, ema_decay=0.3))
    expected: dict[str, torch.Tensor] = {}
    decays: list[float] = []
    take = Training._step

    def note(self: Training, batch: torch.Tensor, labels: torch.Tensor) -> float:
        loss = take(self, batch, labels)
        n = len(decays)
        decays.append(min(0.3, (1 + n) / (10 + n)) if n else 0.0)
        for name, value in self.network.state_dict().items():
            if value.is_floating_point():
                before = expected.get(name, torch.zeros_like(value, dtype=torch.float64))
                expected[name] = decays[-1] * before + (1 - decays[-1]) * value.double()
        return loss

    monkeypatch.setattr(Training, "_step", note)
    one.run_epoch(images)
    assert len(set(decays)) == 4  # it rises, then stays
    averaged, network = one.average.module.state_dict(), one.network.state_dict()
    assert {"1.running_mean", "4.weight"} < expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(averaged[name].double(), value, rtol=1e-5, atol=1e-7)
        assert not torch.equal(averaged[name], network[name])


def test_a_short_run_s_average_has_little_of_its_beginning(images: Split, tmp_path: Path) -> None:
    one = toy_training(tmp_path)
    one.run_epoch(images)
    with torch.no_grad():
        for value in one.network.parameters():
            value.fill_(100.0)
        for _ in range(STEPS):
            one.average.update_parameters(one.network)
    assert all(float(value.detach().min()) > 90 for value in one.average.module.parameters())


def test_a_log_tells_how_far_an_epoch_is(
    images: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    one = toy_training(tmp_path)
    one.run_epoch(images)
    assert capsys.readouterr().out == ""  # ten minutes have not passed
    monkeypatch.setattr(training, "SAVE_SECONDS", 0)
    mean = one.run_epoch(images)
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition("  loss ")[0] for line in lines] == [f"epoch 2/2  step {k}/8" for k in range(1, STEPS)]
    assert abs(float(lines[-1].rpartition(" ")[2]) * (STEPS - 1) / STEPS - mean) < mean / 3
    assert toy_training(tmp_path).step == STEPS - 1


def test_environments_are_of_the_runs_whose_work_is_in_the_weights(images: Split, tmp_path: Path) -> None:
    toy_training(tmp_path).run_epoch(images)  # never saved
    for expected in ([0], [0, 1], [0, 1]):
        one = toy_training(tmp_path)
        assert [run["epoch"] for run in one.environments] == expected
        if one.epoch < TOY.epochs:
            one.run_epoch(images)
            one.save()
    assert all(run["date"] <= run["until"] and run["device"] == "cpu" for run in one.environments)


def test_the_precision_is_chosen_by_tensors_as_training_has_them(monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[bool] = []

    class Noting(torch.nn.Conv2d):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            found.extend(tensor.is_contiguous(memory_format=torch.channels_last) for tensor in (x, self.weight))
            return super().forward(x)

    monkeypatch.setitem(training.TRAINABLE, "resnet20", lambda: Noting(3, 4, 3))
    assert fastest_precision("resnet20", 2, torch.device("cpu")) in {"float32", "bfloat16"}
    assert found
    assert all(found)


def test_private_images_are_neither_moved_nor_mirrored() -> None:
    pixels = torch.rand(16, 3, 32, 32)
    found = augment(pixels, replace(RECIPE, private="default"), torch.Generator().manual_seed(0))
    kept = found != 0
    torch.testing.assert_close(found[kept], pixels[kept])
    assert 0 < float((~kept).float().mean()) <= RECIPE.cutout**2 / 32**2


def test_augmentation_moves_mirrors_and_cuts() -> None:
    ramp = torch.arange(32.0 * 32).view(1, 1, 32, 32).expand(64, 3, -1, -1) + 1
    moved = augment(ramp, RECIPE, torch.Generator().manual_seed(0))
    assert moved.shape == ramp.shape
    steps = (moved[:, 0, 16, 1:] - moved[:, 0, 16, :-1]).median(1).values
    assert set(steps.tolist()) == {1.0, -1.0}  # both directions occur
    holes = (moved[:, 0] == 0).sum((1, 2))
    assert holes.min() >= (RECIPE.cutout // 2) ** 2
    assert holes.max() > RECIPE.cutout**2  # a hole and a border of the crop
    assert len({tuple(image.flatten().tolist()) for image in moved[:, 0]}) > 60  # each image its own
