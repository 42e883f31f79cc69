"""Training: what augmentation does, that a run resumes exactly, and what it leaves behind."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file, save_file
from scipy.stats import binomtest

import cifar10
import private_replays
import train_cifar10
import training
from accuracy import Accuracy, wilson
from fingerprint import weights_hold_out
from inference.models.presets import WEIGHTS_FOLDER
from keyvault.errors import InputError
from peers.registry import PEERS
from recipe import Recipe
from train_cifar10 import main
from training import Split, Training, augment
from training_runs import find_runs, unseen

RECIPE = Recipe(model="resnet20", epochs=1, batch=32, learning_rate=0.1, seed=1, precision="float32")


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data set of 100 images in the binary layout, of which 64 are trained on."""
    monkeypatch.setattr(train_cifar10, "TRAINED_IMAGES", 64)
    monkeypatch.setattr(train_cifar10, "TRAINING_IMAGES", 100)
    generator = np.random.default_rng(0)
    folder = tmp_path / "data"
    folder.mkdir()
    for name, count in [(name, 20) for name in cifar10.TRAIN_FILES] + [("test_batch", 10)]:
        records = generator.integers(0, 256, (count, cifar10.RECORD_BYTES), np.uint8)
        records[:, 0] %= 10
        records.tofile(folder / f"{name}.bin")
    return folder


def train(data: Path, output: Path, *more: str) -> None:
    options = ["--model", "resnet20", "--data", str(data), "-o", str(output), "--batch", "32", "--precision", "float32"]
    result = CliRunner().invoke(main, [*options, *more])
    assert result.exit_code == 0, result.output


def test_a_run_goes_on_with_the_images_that_it_began_with_alone(data: Path, tmp_path: Path) -> None:
    train(data, tmp_path / "run", "--epochs", "1")
    (tmp_path / "run" / "resnet20.safetensors").unlink()
    batch = data / f"{cifar10.TRAIN_FILES[0]}.bin"
    content = batch.read_bytes()
    batch.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    arguments = ["--model", "resnet20", "--data", str(data), "-o", str(tmp_path / "run"), "--batch", "32"]
    refused = CliRunner().invoke(main, [*arguments, "--precision", "float32", "--epochs", "1"])
    assert (refused.exit_code, refused.stderr.count("\n")) == (3, 1)
    assert "belongs to another recipe: data" in refused.stderr
    batch.write_bytes(content[: -cifar10.RECORD_BYTES])
    refused = CliRunner().invoke(main, arguments)
    assert "holds 99 training images, 100 are needed" in refused.stderr


def test_an_interrupted_run_ends_with_the_weights_of_an_uninterrupted_one(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(data, tmp_path / "whole", "--epochs", "2")

    epoch = Training.run_epoch

    def stop_in_the_second(training: Training, split: Split) -> float:
        if training.epoch == 1:
            raise KeyboardInterrupt
        return epoch(training, split)

    arguments = ["--model", "resnet20", "--data", str(data), "-o", str(tmp_path / "parts"), "--batch", "32"]
    arguments += ["--precision", "float32", "--epochs", "2"]
    with monkeypatch.context() as patch:
        patch.setattr(Training, "run_epoch", stop_in_the_second)
        assert CliRunner().invoke(main, arguments).exit_code == 130
    assert not (tmp_path / "parts" / "resnet20.safetensors").exists()
    train(data, tmp_path / "parts", "--epochs", "2")

    whole, parts = (load_file(tmp_path / name / "resnet20.safetensors") for name in ("whole", "parts"))
    assert whole.keys() == parts.keys()
    for name in whole:
        torch.testing.assert_close(parts[name], whole[name], rtol=0, atol=0)


def dropping() -> torch.nn.Module:
    """A network that draws random numbers as it trains."""
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Dropout(), torch.nn.Linear(3 * 32 * 32, 10))


def test_what_a_network_draws_depends_on_seed_and_epoch_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(training.TRAINABLE, "resnet20", dropping)
    images = torch.randint(0, 256, (64, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    split, recipe = Split(images, torch.arange(64) % 10), replace(RECIPE, epochs=2)

    def run(folder: Path, *, interrupted: bool, recipe: Recipe = recipe) -> torch.Tensor:
        folder.mkdir()
        one = Training(recipe, folder, torch.device("cpu"), 64)
        one.run_epoch(split)
        one.save()
        if interrupted:
            one = Training(recipe, folder, torch.device("cpu"), 64)
            one.resume()
        one.run_epoch(split)
        return one.network.state_dict()["2.weight"]

    whole = run(tmp_path / "whole", interrupted=False)
    assert torch.equal(run(tmp_path / "parts", interrupted=True), whole)
    assert not torch.equal(run(tmp_path / "other", interrupted=False, recipe=replace(recipe, seed=2)), whole)


def test_another_recipe_does_not_resume(data: Path, tmp_path: Path) -> None:
    train(data, tmp_path / "run", "--epochs", "1")
    options = ["--batch", "32", "--precision", "float32", "--epochs", "2"]
    arguments = ["--model", "resnet20", "--data", str(data), "-o", str(tmp_path / "run"), *options]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 3
    assert "another recipe" in result.output


def test_a_checkpoint_of_an_older_recipe_resumes(tmp_path: Path) -> None:
    training = Training(RECIPE, tmp_path, torch.device("cpu"), 64)
    training.epoch = 1
    training.save()
    saved = torch.load(training.checkpoint, weights_only=True)
    for member in ("transform", "private", "init", "replays"):
        del saved["recipe"][member]
    torch.save(saved, training.checkpoint)
    again = Training(RECIPE, tmp_path, torch.device("cpu"), 64)
    again.resume()
    assert again.epoch == 1
    protected = Training(replace(RECIPE, transform="le"), tmp_path, torch.device("cpu"), 64)
    with pytest.raises(InputError, match="another recipe"):
        protected.resume()


@pytest.mark.parametrize(("model", "transform"), [("resnet20", "privconv-224"), ("convmixer-512-16-224", "none")])
def test_a_network_of_another_image_size_is_refused(data: Path, tmp_path: Path, model: str, transform: str) -> None:
    arguments = ["--model", model, "--transform", transform, "--data", str(data), "-o", str(tmp_path / "run")]
    result = CliRunner().invoke(main, arguments)
    assert (result.exit_code, result.stderr.count("\n")) == (3, 1)
    assert "pixels a side" in result.stderr
    assert not (tmp_path / "run").exists()


def test_protected_images_are_measured_protected(data: Path, tmp_path: Path) -> None:
    train(data, tmp_path / "plain", "--epochs", "1")
    train(data, tmp_path / "le", "--epochs", "1", "--transform", "le")
    plain, protected = (json.loads((tmp_path / name / "result.json").read_text()) for name in ("plain", "le"))
    assert (plain["recipe"]["transform"], protected["recipe"]["transform"]) == ("none", "le")
    assert plain["parameters"] == protected["parameters"] > 200_000
    assert protected["accuracy"]["held out"]["total"] == 36
    assert protected["accuracy"]["test"]["total"] == 10
    assert "--transform le" in (tmp_path / "le" / "resnet20.md").read_text()
    splits = train_cifar10.load_splits(data)
    before = splits["test"].images.clone()
    recipe = Recipe(**protected["recipe"])
    train_cifar10.protect_unseen(Training(recipe, tmp_path, torch.device("cpu"), 64), splits)
    assert not torch.equal(splits["test"].images, before)
    expected = PEERS["le"].protect(1, 32, 32).transform(before.permute(0, 2, 3, 1).numpy())
    np.testing.assert_array_equal(splits["test"].images.permute(0, 2, 3, 1).numpy(), expected)


def test_fine_tuning_begins_with_the_weights_and_sees_private_images_only(data: Path, tmp_path: Path) -> None:
    start = WEIGHTS_FOLDER / "resnet20-cifar10.safetensors"
    replays = tmp_path / "replays"
    options = ["--private", "stacked-fixed", "--replays", str(replays), "--init", str(start)]
    train(data, tmp_path / "run", "--epochs", "1", "--lr", "1e-12", *options)
    before, after = load_file(start), load_file(tmp_path / "run" / "resnet20.safetensors")
    assert after["linear.weight"].dtype == torch.float16
    torch.testing.assert_close(after["linear.weight"].float(), before["linear.weight"], rtol=5e-4, atol=1e-6)

    recipe = json.loads((tmp_path / "run" / "result.json").read_text())["recipe"]
    keys = private_replays.place_of(private_replays.SETTINGS["stacked-fixed"], replays).keys
    assert recipe["replays"] == keys[0]
    assert (recipe["private"], recipe["init"]) == ("stacked-fixed", hashlib.sha256(start.read_bytes()).hexdigest())
    assert "--private stacked-fixed --init WEIGHTS" in (tmp_path / "run" / "resnet20.md").read_text()
    plain, private = train_cifar10.load_splits(data), train_cifar10.load_splits(data, "stacked-fixed", replays)
    for name, split in plain.items():
        torch.testing.assert_close(private[name].labels, split.labels)
        assert not torch.equal(private[name].images, split.images)
        pixels, stored = (images.flatten(2).sort(2).values for images in (split.images, private[name].images))
        torch.testing.assert_close(stored, pixels)


def test_fine_tuning_does_not_go_on_under_another_key(data: Path, tmp_path: Path) -> None:
    options = ["--private", "stacked-fixed", "--epochs", "1", "--replays"]
    train(data, tmp_path / "run", *options, str(tmp_path / "replays"))
    arguments = ["--model", "resnet20", "--data", str(data), "-o", str(tmp_path / "run"), "--batch", "32"]
    result = CliRunner().invoke(main, [*arguments, *options, str(tmp_path / "others")])
    assert result.exit_code == 3
    assert "another recipe: replays" in result.stderr


@pytest.mark.parametrize("holds_out", [True, False])
def test_what_the_start_was_trained_on_counts_as_seen(data: Path, tmp_path: Path, holds_out: bool) -> None:
    own = WEIGHTS_FOLDER / "resnet20-cifar10.safetensors"
    start = tmp_path / "start.safetensors"
    if holds_out:
        shutil.copy(own, start)
    else:
        save_file(load_file(own), start)
    train(data, tmp_path / "runs" / "one", "--epochs", "1", "--init", str(start))
    weights = tmp_path / "runs" / "one" / "resnet20.safetensors"
    train(data, tmp_path / "runs" / "two", "--epochs", "1", "--init", str(weights))  # what it began with stays seen
    for name, run in zip(("one", "two"), find_runs(tmp_path / "runs"), strict=True):
        assert (run["holds_out"], unseen(run).total) == ((True, 46) if holds_out else (False, 10))
        assert weights_hold_out(tmp_path / "runs" / name / "resnet20.safetensors", "resnet20") == holds_out
        card = (tmp_path / "runs" / name / "resnet20.md").read_text()
        assert ("- both: " in card, "may have been" in card) == (holds_out, not holds_out)


def test_what_is_measured_is_what_is_stored(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    measured: list[dict[str, torch.Tensor]] = []
    measure = train_cifar10.measure

    def noting(network: torch.nn.Module, split: Split) -> Accuracy:
        measured.append({name: tensor.clone() for name, tensor in network.state_dict().items()})
        return measure(network, split)

    monkeypatch.setattr(train_cifar10, "measure", noting)
    train(data, tmp_path / "run", "--epochs", "1")
    stored = load_file(tmp_path / "run" / "resnet20.safetensors")
    for state in measured[-2:]:
        assert all(torch.equal(state[name], stored[name].to(state[name].dtype)) for name in stored)
    assert {tensor.dtype for tensor in stored.values() if tensor.dim() > 1} == {torch.float16}


def test_private_images_are_neither_moved_nor_mirrored() -> None:
    images = torch.rand(16, 3, 32, 32)
    found = augment(images, replace(RECIPE, private="default"), torch.Generator().manual_seed(0))
    kept = found != 0
    torch.testing.assert_close(found[kept], images[kept])
    assert 0 < float((~kept).float().mean()) <= RECIPE.cutout**2 / 32**2


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (["--private", "default", "--transform", "le"], 2, "do not go together"),
        (["--init", "absent.safetensors"], 13, "cannot read weights"),
        (["--model", "resnet32", "--init", str(WEIGHTS_FOLDER / "resnet20-cifar10.safetensors")], 13, "does not fit"),
    ],
)
def test_impossible_fine_tuning_is_refused(
    data: Path, tmp_path: Path, options: list[str], code: int, words: str
) -> None:
    arguments = ["--model", "resnet20", "--data", str(data), "-o", str(tmp_path / "run"), "--precision", "float32"]
    result = CliRunner().invoke(main, [*arguments, *options])
    assert (result.exit_code, result.stderr.count("\n")) == (code, 1)
    assert words in result.stderr


@pytest.mark.parametrize("content", [b"junk", b"", None])
def test_what_is_not_a_checkpoint_is_refused_and_kept(data: Path, tmp_path: Path, content: bytes | None) -> None:
    checkpoint = tmp_path / "run" / "checkpoint.pt"
    checkpoint.parent.mkdir()
    if content is None:
        torch.save({"epoch": 1}, checkpoint)
    else:
        checkpoint.write_bytes(content)
    before = checkpoint.read_bytes()
    arguments = ["--model", "resnet20", "--data", str(data), "-o", str(tmp_path / "run"), "--batch", "32"]
    result = CliRunner().invoke(main, [*arguments, "--precision", "float32"])
    assert result.exit_code == 3, result.output
    assert result.stderr.count("\n") == 1
    assert "checkpoint.pt is not a checkpoint" in result.stderr
    assert checkpoint.read_bytes() == before


def _drop(part: str) -> Callable[[dict[str, Any]], Any]:
    return lambda saved: saved[part].pop(next(iter(saved[part])))


@pytest.mark.parametrize(
    "damage",
    [
        lambda saved: saved.update(recipe=3),
        lambda saved: saved.update(recipe=[]),
        lambda saved: saved["recipe"].update(epochs="1"),
        lambda saved: saved["recipe"].update(precision="int8"),
        lambda saved: saved["recipe"].update(more=1),
        lambda saved: saved.update(epoch="1"),
        lambda saved: saved.update(epoch=2),
        lambda saved: saved.update(network=3),
        _drop("network"),
        _drop("average"),
        _drop("optimiser"),
        _drop("schedule"),
    ],
)
def test_damaged_checkpoints_are_refused_by_name(
    data: Path, tmp_path: Path, damage: Callable[[dict[str, Any]], Any]
) -> None:
    recipe = replace(RECIPE, data=train_cifar10.digest(train_cifar10.load_splits(data)["train"]))
    one = Training(recipe, tmp_path, torch.device("cpu"), 64)
    one.save()
    saved = torch.load(one.checkpoint, weights_only=True)
    damage(saved)
    torch.save(saved, one.checkpoint)
    arguments = ["--model", "resnet20", "--data", str(data), "-o", str(tmp_path), "--batch", "32", "--lr", "0.1"]
    result = CliRunner().invoke(main, [*arguments, "--epochs", "1"])
    assert (result.exit_code, result.stderr.count("\n")) == (3, 1), result.output
    assert f"remove {one.checkpoint}" in result.stderr


@pytest.mark.parametrize(
    "option", [("--lr", "0"), ("--lr", "nan"), ("--lr", "inf"), ("--batch", "45001"), ("--seed", "-1")]
)
def test_impossible_recipes_are_refused(data: Path, tmp_path: Path, option: tuple[str, str]) -> None:
    arguments = ["--model", "resnet20", "--data", str(data), "-o", str(tmp_path / "run"), *option]
    result = CliRunner().invoke(main, arguments)
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert option[0] in result.stderr
    assert not (tmp_path / "run").exists()


def test_an_output_that_cannot_be_made_is_refused(data: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    arguments = ["--model", "resnet20", "--data", str(data), "-o", str(tmp_path / "file" / "run"), "--batch", "32"]
    result = CliRunner().invoke(main, arguments)
    assert (result.exit_code, result.stderr.count("\n")) == (4, 1)


def test_a_missing_data_set_is_refused_in_one_line(tmp_path: Path) -> None:
    arguments = ["--model", "vgg16", "--data", str(tmp_path / "none"), "-o", str(tmp_path / "run")]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 3
    assert result.output.count("\n") == 1
    assert not (tmp_path / "run").exists()


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


def test_accuracy_states_the_wilson_interval() -> None:
    accuracy = Accuracy(944, 1017)
    assert str(accuracy) == "92.82 % (944 of 1017; 95 % interval 91.07 to 94.25)"
    for hits in (0, 1, 5, 10):
        expected = binomtest(hits, 10).proportion_ci(0.9, method="wilson")
        np.testing.assert_allclose(wilson(hits, 10, 0.9), (expected.low, expected.high), rtol=1e-12)
    assert Accuracy(1, 2) + Accuracy(3, 4) == Accuracy(4, 6)
