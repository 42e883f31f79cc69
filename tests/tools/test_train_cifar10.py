"""The command that trains: what it refuses, that it goes on where it stopped, and what it leaves behind."""

from __future__ import annotations

import hashlib
import json
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
from adc_firmware import decode
from fingerprint import file_digest, weights_metadata, weights_protection
from inference.models.presets import WEIGHTS_FOLDER
from keyvault.errors import InputError
from peers.registry import PEERS
from recipe import Recipe
from shards import ShardFile, iter_shards, read_manifest, shard_name
from tests.tools.toy_training import equal, make_data, options, take_the_place, train
from train_cifar10 import main
from training import Split, Training
from training_runs import budget, card_budget


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return make_data(tmp_path / "data", monkeypatch)


def test_a_run_goes_on_with_the_images_that_it_began_with_alone(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    take_the_place(monkeypatch)
    train(data, tmp_path / "run", "--epochs", "1")
    (tmp_path / "run" / "resnet20.safetensors").unlink()
    batch = data / f"{cifar10.TRAIN_FILES[0]}.bin"
    content = batch.read_bytes()
    batch.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    arguments = ["--model", "resnet20", "--data", str(data), "-o", str(tmp_path / "run"), "--batch", "8"]
    refused = CliRunner().invoke(main, [*arguments, "--precision", "float32", "--epochs", "1"])
    assert (refused.exit_code, refused.stderr.count("\n")) == (3, 1)
    assert "belongs to another recipe: data" in refused.stderr
    batch.write_bytes(content[: -cifar10.RECORD_BYTES])
    refused = CliRunner().invoke(main, arguments)
    assert "holds 99 training images, 100 are needed" in refused.stderr


def test_a_run_interrupted_within_an_epoch_ends_as_one_that_was_not(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    take_the_place(monkeypatch)
    whole = train(data, tmp_path / "whole", "--epochs", "2")
    step = Training._step

    def stop_in_the_second(training: Training, images: torch.Tensor, labels: torch.Tensor) -> float:
        if (training.epoch, training.step) == (1, 1):
            raise KeyboardInterrupt
        return step(training, images, labels)

    with monkeypatch.context() as patch:
        patch.setattr(Training, "_step", stop_in_the_second)
        patch.setattr(training, "SAVE_SECONDS", 0)
        stopped = CliRunner().invoke(main, [*options(data, tmp_path / "parts"), "--epochs", "2"])
        assert stopped.exit_code == 130
    assert "epoch 2/2  step 1/8  loss " in stopped.stdout
    assert not (tmp_path / "parts" / "resnet20.safetensors").exists()
    parts = train(data, tmp_path / "parts", "--epochs", "2")
    assert parts.splitlines() == whole.splitlines()[1:]  # loss and accuracy of the second epoch, and the end

    assert equal(*(load_file(tmp_path / name / "resnet20.safetensors") for name in ("whole", "parts")))
    result = json.loads((tmp_path / "parts" / "result.json").read_text())
    assert [(run["epoch"], run["step"]) for run in result["environments"]] == [(0, 0), (1, 1)]


def test_another_recipe_does_not_resume(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    take_the_place(monkeypatch)
    train(data, tmp_path / "run", "--epochs", "1")
    options = ["--batch", "8", "--precision", "float32", "--epochs", "2"]
    arguments = ["--model", "resnet20", "--data", str(data), "-o", str(tmp_path / "run"), *options]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 3
    assert "another recipe" in result.output


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
    cards = [(tmp_path / name / "resnet20.md").read_text() for name in ("plain", "le")]
    assert "All of these images, as those trained on, were protected first: LE, one key" in cards[1]
    assert ("--transform le" in cards[1], "plain images" in cards[1], "plain images" in cards[0]) == (True, True, False)
    kinds = [weights_protection(tmp_path / name / "resnet20.safetensors") for name in ("plain", "le")]
    assert kinds == ["none", "le"]
    assert [card_budget(card) for card in cards] == [budget(run) for run in (plain, protected)]
    splits = splits_of(data)
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
    card = (tmp_path / "run" / "resnet20.md").read_text()
    assert "--private stacked-fixed --replays DIR --init WEIGHTS" in card
    assert "All of these images, as those trained on, are private frames as they lie in their files: " in card
    assert weights_protection(tmp_path / "run" / "resnet20.safetensors") == "stacked-fixed"
    plain, private = splits_of(data), splits_of(data, "stacked-fixed", replays)
    for name, split in plain.items():
        torch.testing.assert_close(private[name].labels, split.labels)
        assert not torch.equal(private[name].images, split.images)
        pixels, stored = (images.flatten(2).sort(2).values for images in (split.images, private[name].images))
        torch.testing.assert_close(stored, pixels)


def splits_of(*arguments: Any) -> dict[str, Split]:
    return {name: train_cifar10.split_of(part) for name, part in train_cifar10.load_parts(*arguments).items()}


def test_under_the_default_policy_images_are_what_lies_in_the_masked_files(data: Path, tmp_path: Path) -> None:
    replays, setting = tmp_path / "replays", private_replays.SETTINGS["default"]
    plain, private = splits_of(data), splits_of(data, "default", replays)
    place = private_replays.place_of(setting, replays)
    grants = place.session().grants
    samples = [list(iter_shards(place.shards(split))) for split in private_replays.SPLITS]
    frames = {"train": samples[0][:64], "held out": samples[0][64:], "test": samples[1]}
    for name, split in plain.items():
        torch.testing.assert_close(private[name].labels, split.labels)
        assert len(private[name].images) == len(frames[name])
        for image, sample in zip(private[name].images.numpy(), frames[name], strict=True):
            mosaic = decode(sample.frame, grants).samples
            np.testing.assert_array_equal(image[0], mosaic[::2, ::2])
            np.testing.assert_array_equal(image[2], mosaic[1::2, 1::2])
        histograms = [np.bincount(one.images.numpy().ravel() >> 6, minlength=4) for one in (private[name], split)]
        assert not np.array_equal(*histograms)  # no shuffle of the same samples


@pytest.mark.parametrize("change", ["reordered", "incomplete"])
def test_a_replay_of_other_images_or_another_order_is_not_trained_on(data: Path, tmp_path: Path, change: str) -> None:
    replays = tmp_path / "replays"
    place = private_replays.prepare(private_replays.SETTINGS["stacked-fixed"], replays, data)
    folder = place.shards("train")
    manifest, samples = read_manifest(folder), list(iter_shards(folder))
    held_out = samples.pop()
    kept = [held_out, *samples] if change == "reordered" else samples
    with ShardFile(folder / shard_name(0)) as shard:
        for sample in kept:
            shard.add(sample)
    replace(manifest, shards=(len(kept),)).write(folder)
    whole = cifar10.load(data, "train")
    with pytest.raises(InputError, match="does not hold the 100 images of train in their order"):
        private_replays.stranger_images(place, "train", whole)


def test_fine_tuning_does_not_go_on_under_another_key(data: Path, tmp_path: Path) -> None:
    options = ["--private", "stacked-fixed", "--epochs", "1", "--replays"]
    train(data, tmp_path / "run", *options, str(tmp_path / "replays"))
    arguments = ["--model", "resnet20", "--data", str(data), "-o", str(tmp_path / "run"), "--batch", "8"]
    result = CliRunner().invoke(main, [*arguments, *options, str(tmp_path / "others")])
    assert result.exit_code == 3
    assert "another recipe: replays" in result.stderr


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
    arguments = ["--model", "resnet20", "--data", str(data), "-o", str(tmp_path / "run"), "--batch", "8"]
    result = CliRunner().invoke(main, [*arguments, "--precision", "float32", *options])
    assert (result.exit_code, result.stderr.count("\n")) == (code, 1)
    assert words in result.stderr


@pytest.mark.parametrize(
    ("own", "more"), [("le", []), ("stacked-fixed", ["--transform", "le"]), ("le", ["--private", "default"])]
)
def test_weights_of_otherwise_protected_images_are_not_begun_with(
    data: Path, tmp_path: Path, own: str, more: list[str]
) -> None:
    start = tmp_path / "start.safetensors"
    state = load_file(WEIGHTS_FOLDER / "resnet20-cifar10.safetensors")
    save_file(state, start, weights_metadata("resnet20", holds_out=True, protection=own))
    refused = CliRunner().invoke(main, [*options(data, tmp_path / "run"), *more, "--init", str(start)])
    assert (refused.exit_code, refused.stderr.count("\n")) == (13, 1)
    assert f"trained on images protected by {own}" in refused.stderr
    assert train_cifar10.begin_with(start, "resnet20", own) == (file_digest(start), True)


@pytest.mark.parametrize("content", [b"junk", b"", None])
def test_what_is_not_a_checkpoint_is_refused_and_kept(data: Path, tmp_path: Path, content: bytes | None) -> None:
    checkpoint = tmp_path / "run" / "checkpoint.pt"
    checkpoint.parent.mkdir()
    if content is None:
        torch.save({"epoch": 1}, checkpoint)
    else:
        checkpoint.write_bytes(content)
    before = checkpoint.read_bytes()
    arguments = ["--model", "resnet20", "--data", str(data), "-o", str(tmp_path / "run"), "--batch", "8"]
    result = CliRunner().invoke(main, [*arguments, "--precision", "float32"])
    assert result.exit_code == 3, result.output
    assert result.stderr.count("\n") == 1
    assert "checkpoint.pt is not a checkpoint" in result.stderr
    assert checkpoint.read_bytes() == before


@pytest.mark.parametrize(
    "option", [("--lr", "0"), ("--lr", "nan"), ("--lr", "inf"), ("--batch", "45001"), ("--seed", "-1")]
)
def test_impossible_recipes_are_refused(data: Path, tmp_path: Path, option: tuple[str, str]) -> None:
    arguments = ["--model", "resnet20", "--data", str(data), "-o", str(tmp_path / "run"), *option]
    result = CliRunner().invoke(main, arguments)
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert option[0] in result.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("epochs", "batch"), [("1", "12"), ("5", "64"), ("1", "64")])
def test_too_few_steps_for_the_rate_to_rise_are_refused_before_data_is_read(
    data: Path, tmp_path: Path, epochs: str, batch: str
) -> None:
    arguments = ["--model", "resnet20", "--data", str(tmp_path / "none"), "-o", str(tmp_path / "run")]
    result = CliRunner().invoke(main, [*arguments, "--epochs", epochs, "--batch", batch])
    assert (result.exit_code, result.stderr.count("\n")) == (3, 1)
    assert "steps are too few" in result.stderr
    training.check_steps(6, 64, 64)


def test_an_output_that_cannot_be_made_is_refused(data: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    arguments = ["--model", "resnet20", "--data", str(data), "-o", str(tmp_path / "file" / "run"), "--batch", "8"]
    result = CliRunner().invoke(main, arguments)
    assert (result.exit_code, result.stderr.count("\n")) == (4, 1)


def test_a_missing_data_set_is_refused_in_one_line(tmp_path: Path) -> None:
    arguments = ["--model", "vgg16", "--data", str(tmp_path / "none"), "-o", str(tmp_path / "run")]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 3
    assert result.output.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_accuracy_states_the_wilson_interval() -> None:
    accuracy = Accuracy(944, 1017)
    assert str(accuracy) == "92.82 % (944 of 1017; 95 % interval 91.07 to 94.25)"
    for hits in (0, 1, 5, 10):
        expected = binomtest(hits, 10).proportion_ci(0.9, method="wilson")
        np.testing.assert_allclose(wilson(hits, 10, 0.9), (expected.low, expected.high), rtol=1e-12)
    assert Accuracy(1, 2) + Accuracy(3, 4) == Accuracy(4, 6)
