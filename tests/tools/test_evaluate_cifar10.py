"""Comparing keyed and plain on a replay: what it takes from the replay, and what it refuses."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from key_home import make_home
from safetensors.torch import load_file, save_file

import replay_dataset
from cifar10 import TRAIN_FILES
from evaluate_cifar10 import main
from fingerprint import weights_metadata
from inference.models.presets import WEIGHTS_FOLDER
from keyvault.policy import Policy
from shards import ShardFile, iter_shard, shard_name
from table1 import parts

COUNT = 6


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home of a camera and its host, with one sealed key."""
    return make_home(tmp_path_factory.mktemp("keys"), {"sealed": Policy(64, 64, bits=8)})


@pytest.fixture
def place(keys: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with CIFAR-10 of a few random images, the two splits different."""
    monkeypatch.setenv("PRIVCAM_HOME", str(keys))
    monkeypatch.chdir(tmp_path)
    generator = np.random.default_rng(0)
    Path("cifar").mkdir()
    for name in (*TRAIN_FILES, "test_batch"):
        records = generator.integers(0, 256, (COUNT, 3073), np.uint8)
        records[:, 0] %= 10
        records.tofile(Path("cifar") / f"{name}.bin")
    return keys / "sealed.bin"


def replay(key: Path, *options: str, sampling: str = "quad") -> None:
    arguments = ["--key", str(key), "--sampling", sampling, "cifar", "-o", "replay", *options]
    result = CliRunner().invoke(replay_dataset.main, arguments)
    assert result.exit_code == 0, result.output


def evaluate(key: Path, *options: str) -> Result:
    return CliRunner().invoke(main, ["--key", str(key), "--model", "resnet20", "replay", *options])


@pytest.mark.parametrize(("split", "count"), [("test", COUNT), ("train", 5 * COUNT)])
def test_the_replay_says_which_images_it_is_of(place: Path, split: str, count: int) -> None:
    replay(place, "--split", split)
    result = evaluate(place)
    assert result.exit_code == 0, result.output
    assert f"{count} of {count}" in result.stdout


def test_a_data_set_that_moved_is_named(place: Path) -> None:
    replay(place)
    Path("cifar").rename("moved")
    assert evaluate(place).exit_code == 3
    assert evaluate(place, "--data", "moved").exit_code == 0


def test_frames_that_are_no_exact_cifar10_are_refused(place: Path) -> None:
    replay(place, sampling="photo")
    check_refusal(evaluate(place), "does not carry CIFAR-10 exactly")


def test_a_replay_without_a_complete_shard_is_refused(place: Path) -> None:
    replay(place)
    manifest = json.loads(Path("replay/manifest.json").read_text())
    Path("replay/manifest.json").write_text(json.dumps(manifest | {"shards": []}))
    check_refusal(evaluate(place), "no complete shard")


def test_a_smaller_data_set_is_refused(place: Path) -> None:
    replay(place)
    data = Path("cifar/test_batch.bin").read_bytes()
    Path("cifar/test_batch.bin").write_bytes(data[: len(data) // 2])
    check_refusal(evaluate(place), f"of {COUNT} images, not {COUNT // 2}")


def test_another_data_set_of_the_same_size_is_refused(place: Path) -> None:
    replay(place)
    records = np.fromfile("cifar/test_batch.bin", np.uint8).reshape(COUNT, -1)
    records[:, 0] = (records[:, 0] + 1) % 10
    records.tofile("cifar/test_batch.bin")
    check_refusal(evaluate(place), "not of this data set")


@pytest.mark.parametrize("info", [{}, {"index": COUNT}, {"index": -1}, {"index": "0"}, {"index": None}])
def test_a_frame_of_no_image_is_refused(place: Path, info: dict[str, Any]) -> None:
    replay(place)
    path = Path("replay", shard_name(0))
    samples = list(iter_shard(path))
    with ShardFile(path) as shard:
        for sample in [*samples[:-1], replace(samples[-1], info=info)]:
            shard.add(sample)
    check_refusal(evaluate(place), "not of this data set")


def test_images_that_were_trained_on_are_named(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "TRAINED_IMAGES", 20)
    replay(place)
    assert "may be trained on:    none" in evaluate(place).stdout
    shutil.rmtree("replay")
    replay(place, "--split", "train")
    assert f"may be trained on:    20 of {5 * COUNT}: on these, accuracy proves nothing" in evaluate(place).stdout
    save_file(load_file(WEIGHTS_FOLDER / "resnet20-cifar10.safetensors"), "others.safetensors")  # held out what?
    assert f"may be trained on:    {5 * COUNT} of" in evaluate(place, "--weights", "others.safetensors").stdout


def test_weights_of_protected_images_are_no_plain_network(place: Path) -> None:
    replay(place)
    state = load_file(WEIGHTS_FOLDER / "resnet20-cifar10.safetensors")
    save_file(state, "tuned.safetensors", weights_metadata("resnet20", holds_out=True, protection="default"))
    check_refusal(evaluate(place, "--weights", "tuned.safetensors"), "images protected by default", code=13)


def check_refusal(result: Result, words: str, code: int = 3) -> None:
    assert result.exit_code == code, result.output
    assert result.stderr.count("\n") == 1
    assert words in result.stderr
