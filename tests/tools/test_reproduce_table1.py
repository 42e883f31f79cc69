"""Table 1: private images through the replay, every prediction counted, resumed shard by shard, nothing invented."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from numpy.typing import NDArray
from safetensors.torch import save_file
from small_table1 import COUNT, result_of, write_cifar

import cifar10
import private_replays
import reproduce_table1
from fingerprint import weights_hold_out, weights_metadata, weights_protection
from image_sources import Item
from inference.models import CIFAR10_MEAN, CIFAR10_STD, resnet20
from inference.models.presets import IMAGENET_MEAN, WEIGHTS_FOLDER
from inference.weights import load_weights
from kept_results import command_line
from keyvault.errors import InputError
from private_replays import SETTINGS, prepare, stranger_images, viewed
from quad_scenes import quad_scene
from recipe import PLAIN
from reproduce_table1 import main, measure_network, result_name
from table1 import parts, summary
from table1.counting import Bench, count_shard
from table1.measuring import Effort, Job
from table1.networks import Candidate

SHARD = 8
SHIPPED = WEIGHTS_FOLDER / "resnet20-cifar10.safetensors"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """CIFAR-10 of a few random images."""
    return write_cifar(tmp_path_factory.mktemp("cifar"))


@pytest.fixture(scope="module")
def replays(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Replays of both settings in shards of eight frames."""
    folder = tmp_path_factory.mktemp("replays")
    for setting in SETTINGS.values():
        prepare(setting, folder, data, shard=SHARD)
    return folder


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """The data set's sizes in small."""
    make_small(monkeypatch)


def make_small(patch: pytest.MonkeyPatch) -> None:
    """Shards of eight, and the first twelve images trained on."""
    patch.setattr(reproduce_table1, "prepare", _prepare)
    patch.setattr(parts, "TRAINED_IMAGES", 12)


def _prepare(*arguments: Any, **options: Any) -> private_replays.Place:
    return prepare(*arguments, **options, shard=SHARD)


@pytest.fixture(scope="module")
def whole(data: Path, replays: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nobody interrupted."""
    folder = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        make_small(patch)
        result = invoke(data, replays, folder)
    assert result.exit_code == 0, result.output
    return folder


def invoke(data: Path, replays: Path, folder: Path, *more: str) -> Result:
    options = [
        "--data",
        str(data),
        "--replays",
        str(replays),
        "--work",
        str(folder / "work"),
        "-o",
        str(folder / "out"),
    ]
    return CliRunner().invoke(main, [*options, "--network", "resnet20", "--batch", "3", *more])


def test_every_image_is_counted_and_the_rows_are_what_they_say(data: Path, replays: Path, whole: Path) -> None:
    (network,) = result_of(whole)["networks"]
    train, test = cifar10.load(data, "train"), cifar10.load(data, "test")
    plain = resnet20().eval()
    load_weights(plain, SHIPPED)
    for name, column in network["columns"].items():
        assert (column["agreement"]["equal"], column["agreement"]["total"]) == (24, 24)
        assert column["agreement"]["differing"] == []
        assert column["accuracy"]["keyed"] == column["accuracy"]["plain"]
        assert column["accuracy"]["plain"]["parts"]["trained on"]["total"] == 12
        assert column["accuracy"]["file"]["parts"]["trained on"]["total"] == 1  # of the batch that straddles the end
        assert {figures["unseen"]["total"] for figures in column["accuracy"].values()} == {12}
        expected = _right(plain, train.images[12:], train.labels[12:]) + _right(plain, test.images, test.labels)
        assert column["accuracy"]["plain"]["unseen"]["correct"] == expected
        place = _prepare(SETTINGS[name], replays, data)
        private = [stranger_images(place, split, images) for split, images in (("train", train), ("test", test))]
        expected = _right(plain, private[0].images[12:], train.labels[12:])
        expected += _right(plain, private[1].images, test.labels)
        assert column["accuracy"]["file"]["unseen"]["correct"] == expected
        assert ("memory" in column["accuracy"]) == (name == "default")


def _right(network: torch.nn.Module, images: NDArray[np.uint8], labels: NDArray[np.uint8]) -> int:
    mean, std = (torch.tensor(triple).view(1, 3, 1, 1) for triple in (CIFAR10_MEAN, CIFAR10_STD))
    with torch.inference_mode():
        scores = network((torch.from_numpy(images).permute(0, 3, 1, 2) / 255 - mean) / std)
    return int((scores.argmax(1).numpy() == labels).sum())


def test_private_images_are_the_pixels_in_one_other_order_or_none_of_them(data: Path, replays: Path) -> None:
    images = cifar10.load(data, "test")
    fixed, default = (
        stranger_images(_prepare(setting, replays, data), "test", images) for setting in SETTINGS.values()
    )
    orders = {_order(plain, private) for plain, private in zip(images.images, fixed.images, strict=True)}
    assert len(orders) == 1
    assert orders != {tuple(range(1024))}
    for plain, private in zip(images.images, default.images, strict=True):
        assert len(set(map(tuple, plain.reshape(-1, 3))) & set(map(tuple, private.reshape(-1, 3)))) < 10
    np.testing.assert_array_equal(fixed.labels, images.labels)
    np.testing.assert_array_equal(default.labels, images.labels)


def _order(plain: NDArray[np.uint8], private: NDArray[np.uint8]) -> tuple[int, ...]:
    """Where each private pixel was, of images without two equal pixels."""
    places = {tuple(pixel): at for at, pixel in enumerate(plain.reshape(-1, 3))}
    assert len(places) == 1024
    return tuple(places[tuple(pixel)] for pixel in private.reshape(-1, 3))


@pytest.mark.parametrize("setting", SETTINGS.values(), ids=SETTINGS)
def test_what_is_shown_of_true_order_is_the_image(setting: private_replays.Setting) -> None:
    image = np.random.default_rng(1).integers(0, 256, (32, 32, 3), np.uint8)
    scene = quad_scene(Item(image, None, "x"), setting.policy)
    np.testing.assert_array_equal(viewed(scene.dn[None])[0], image)


def test_it_goes_on_after_the_last_shard_of_an_interrupted_run(
    data: Path, replays: Path, whole: Path, tmp_path: Path, few: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def stop_in_the_third(bench: Any, split: Any, samples: Any, *more: Any) -> dict[str, Any]:
        seen.append(samples[0].info["source"])
        if len(seen) == 3:
            raise KeyboardInterrupt
        return count_shard(bench, split, samples, *more)

    monkeypatch.setattr("table1.measuring.count_shard", stop_in_the_third)
    stopped = invoke(data, replays, tmp_path)
    assert stopped.exit_code == 130
    assert stopped.stderr.strip().endswith("interrupted; the same command goes on from there")
    assert not list((tmp_path / "out").iterdir())
    assert invoke(data, replays, tmp_path).exit_code == 0
    assert seen[3:] == [seen[2], "test/0", "train/0", "train/8", "train/16", "test/0"]
    found, expected = (result_of(folder)["networks"][0]["columns"] for folder in (tmp_path, whole))
    assert {name: column["accuracy"] for name, column in found.items()} == {
        name: column["accuracy"] for name, column in expected.items()
    }


def test_results_of_other_options_or_weights_are_not_mixed(
    data: Path, replays: Path, whole: Path, tmp_path: Path, few: None
) -> None:
    shutil.copytree(whole, tmp_path, dirs_exist_ok=True)
    check_refusal(invoke(data, replays, tmp_path, "--seed", "2"), 3, "measured with seed 1, not 2")
    network = resnet20()
    load_weights(network, SHIPPED)
    save_file(network.state_dict(), tmp_path / "other.safetensors")
    check_refusal(
        invoke(data, replays, tmp_path, "--weights", f"resnet20={tmp_path / 'other.safetensors'}"), 3, "weights"
    )
    moved = shutil.copytree(data, tmp_path / "moved")
    check_refusal(invoke(moved, replays, tmp_path), 4, "moved")
    before = result_of(tmp_path)
    assert invoke(data, replays, tmp_path).exit_code == 0
    assert result_of(tmp_path)["networks"] == before["networks"]


def test_a_limit_keeps_to_itself(data: Path, replays: Path, whole: Path, tmp_path: Path, few: None) -> None:
    shutil.copytree(whole, tmp_path, dirs_exist_ok=True)
    assert invoke(data, replays, tmp_path, "--limit", "2").exit_code == 0
    found = result_of(tmp_path, "table1-resnet20-limit2-without-runs")
    assert result_name(["vgg16", "resnet20"], 2, runs=True) == "table1-vgg16-resnet20-limit2"
    assert (result_name([], None, runs=True), result_name([], None, runs=False)) == ("table1", "table1-without-runs")
    (network,) = found["networks"]
    assert [column["agreement"]["total"] for column in network["columns"].values()] == [4, 4]
    assert "--limit 2" in found["command"]
    assert result_of(tmp_path) == result_of(whole)
    kept = {path.name for path in (tmp_path / "work" / "resnet20").iterdir()}
    assert kept == {"stacked-fixed", "default", "stacked-fixed-first-2", "default-first-2"}


@pytest.mark.parametrize("content", ["junk", "{}", "[]"])
def test_what_is_no_result_in_the_work_folder_is_refused_and_kept(
    data: Path, replays: Path, tmp_path: Path, few: None, content: str
) -> None:
    path = tmp_path / "work" / "resnet20" / "default" / "test-000000.json"
    path.parent.mkdir(parents=True)
    path.write_text(content)
    place = _prepare(SETTINGS["default"], replays, data)
    job = Job(Candidate("resnet20", SHIPPED), place, {}, Effort(3, 1, 1), path.parent)
    with pytest.raises(InputError, match=r"test-000000\.json is not"):
        job.run()
    assert path.read_text() == content


def splits(data: Path) -> dict[str, cifar10.Cifar10]:
    return {split: cifar10.load(data, split) for split in ("train", "test")}


@pytest.mark.parametrize("member", ["images", "labels"])
def test_results_on_other_images_of_the_same_name_are_not_mixed(
    data: Path, replays: Path, whole: Path, member: str
) -> None:
    place, folder = _prepare(SETTINGS["default"], replays, data), whole / "work" / "resnet20" / "default"
    own = splits(data)
    assert len(Job(Candidate("resnet20", SHIPPED), place, own, Effort(3, 1, 1), folder).run()) == 4
    other = getattr(own["test"], member).copy()
    other.flat[-1] ^= 1
    changed = own | {"test": replace(own["test"], **{member: other})}
    with pytest.raises(InputError, match="was measured with data"):
        Job(Candidate("resnet20", SHIPPED), place, changed, Effort(3, 1, 1), folder).run()


def test_the_command_names_weights_without_their_folders() -> None:
    words = ["--data", "/a/cifar", "--weights", "resnet32=/b/c.th", "--imagenet-input", "resnet32", "--batch", "3"]
    words += ["--seed", "0"]
    context = main.make_context("reproduce_table1", words)
    expected = "--data cifar --weights resnet32=c.th --imagenet-input resnet32 --batch 3 --seed 0"
    assert command_line(context) == f"python tools/reproduce_table1.py {expected}"


def _set(*names: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def damage(content: dict[str, Any]) -> None:
        for name in names[:-1]:
            content = content[name]
        content[names[-1]] = value

    return damage


@pytest.mark.parametrize(
    "damage",
    [
        _set("options", value=3),
        _set("environment", value=None),
        _set("environment", "date", value=None),
        _set("counted", value={}),
        _set("counted", "split", value="train"),
        _set("counted", "indices", value=["0", "1", "2", "3"]),
        _set("counted", "labels", value="012"),
        _set("counted", "predictions", "keyed", value="0"),
        _set("counted", "predictions", value={"plain": "0123", "keyed": "0123"}),
        _set("counted", "predictions", value={}),
        _set("counted", "differing", value=[3]),
        _set("counted", "labels", value="0123456789"),
    ],
)
def test_damaged_results_of_a_shard_are_refused_by_name(
    data: Path, replays: Path, whole: Path, tmp_path: Path, few: None, damage: Callable[[dict[str, Any]], None]
) -> None:
    kept = Path("work", "resnet20", "default", "test-000000.json")
    content = json.loads((whole / kept).read_text())
    damage(content)
    path = tmp_path / kept.name
    path.write_text(json.dumps(content))
    place = _prepare(SETTINGS["default"], replays, data)
    with pytest.raises(InputError, match=r"test-000000\.json (is|was) ") as refused:
        Job(Candidate("resnet20", SHIPPED), place, splits(data), Effort(3, 1, 1), tmp_path).run()
    assert refused.value.hint == f"remove {path}"


def test_without_weights_nothing_is_measured_and_the_command_is_named(
    data: Path, replays: Path, tmp_path: Path
) -> None:
    options = ["--data", str(data), "--replays", str(tmp_path / "none"), "-o", str(tmp_path / "out")]
    assert CliRunner().invoke(main, [*options, "--network", "resnet32"]).exit_code == 0
    text = next((tmp_path / "out").glob("*.md")).read_text()
    assert "python tools/train_cifar10.py --model resnet32" in text
    assert "| keyed network, with the key | not trained | not trained |" in text
    assert not (tmp_path / "none").exists()
    (network,) = result_of(tmp_path, "table1-resnet32-without-runs")["networks"]
    assert (network["columns"], network["weights"]) == ({}, None)


def test_refusals_are_one_line(data: Path, replays: Path, tmp_path: Path) -> None:
    check_refusal(invoke(tmp_path / "none", replays, tmp_path), 3, "no CIFAR-10 train batches")
    check_refusal(invoke(data, replays, tmp_path, "--weights", "resnet20"), 3, "not NAME=FILE")
    check_refusal(invoke(data, replays, tmp_path, "--weights", "vgg16=x"), 3, "names: resnet20")
    check_refusal(invoke(data, replays, tmp_path, "--weights", f"resnet20={tmp_path / 'x'}"), 13, "cannot read weights")
    both = ["--weights", f"resnet20={SHIPPED}"] * 2
    check_refusal(invoke(data, replays, tmp_path, *both), 3, "--weights names resnet20 twice")
    check_refusal(invoke(data, replays, tmp_path, "--network", "resnet20"), 3, "--network names resnet20 twice")
    check_refusal(invoke(data, replays, tmp_path, "--imagenet-input", "vgg16"), 3, "vgg16, which is not measured")
    wrong = tmp_path / "wrong.safetensors"
    save_file({"linear.weight": torch.zeros(3, 3)}, wrong)
    check_refusal(invoke(data, replays, tmp_path, "--weights", f"resnet20={wrong}"), 13, "does not fit")
    odd = tmp_path / "odd"
    shutil.copytree(data, odd)
    (odd / "data_batch_2.bin").write_bytes(b"123")
    check_refusal(invoke(odd, replays, tmp_path), 3, "not a multiple")
    assert not (tmp_path / "out").exists()


def check_refusal(result: Result, code: int, words: str) -> None:
    assert result.exit_code == code, result.output
    assert result.stderr.count("\n") == 1
    assert words in result.stderr


def test_another_data_set_than_was_replayed_is_refused(
    data: Path, tmp_path: Path, few: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Bench, "make", lambda *_: None)
    own = tmp_path / "data"
    shutil.copytree(data, own)
    own_replays = tmp_path / "replays"
    for setting in SETTINGS.values():
        _prepare(setting, own_replays, own)
    records = np.fromfile(own / "data_batch_1.bin", np.uint8).reshape(COUNT, -1)
    records[:, 0] = (records[:, 0] + 1) % 10
    records.tofile(own / "data_batch_1.bin")
    check_refusal(invoke(own, own_replays, tmp_path), 3, "not of this data set")


def test_each_section_says_when_and_where_its_shards_were_measured_and_no_time(
    data: Path, replays: Path, whole: Path, tmp_path: Path, few: None
) -> None:
    shutil.copytree(whole / "work", tmp_path / "work")
    path = tmp_path / "work" / "resnet20" / "default" / "train-000001.json"
    kept = json.loads(path.read_text())
    assert kept["counted"].keys() == {"split", "indices", "labels", "predictions", "largest_difference", "differing"}
    kept["environment"] |= {"date": "2001-02-03T04:05:06+00:00", "processor": "another", "processors_usable": 7}
    path.write_text(json.dumps(kept))
    assert invoke(data, replays, tmp_path).exit_code == 0
    (network,) = result_of(tmp_path)["networks"]
    assert network["columns"]["default"].keys() == {"accuracy", "agreement", "options", "measured"}
    (day,) = network["columns"]["stacked-fixed"]["measured"]
    text = next((tmp_path / "out").glob("*.md")).read_text()
    assert f"Weights: 24 epochs, bfloat16, cpu. Measured 2001-02-03 on another, 7 cores; {day}.\n" in text
    assert "| time" not in text


def test_weights_of_protected_images_are_no_plain_networks(data: Path, replays: Path, tmp_path: Path) -> None:
    network = resnet20()
    load_weights(network, SHIPPED)
    path = tmp_path / "tuned.safetensors"
    save_file(network.state_dict(), path, weights_metadata("resnet20", holds_out=True, protection="stacked-fixed"))
    assert (weights_protection(path), weights_hold_out(path, "resnet20")) == ("stacked-fixed", True)
    refused = invoke(data, replays, tmp_path, "--weights", f"resnet20={path}")
    check_refusal(refused, 13, "trained on images protected by stacked-fixed")
    assert not (tmp_path / "out").exists()
    assert weights_protection(SHIPPED) == PLAIN  # of a file that does not say
    save_file(network.state_dict(), path, weights_metadata("resnet20", holds_out=True))
    assert weights_protection(path) == PLAIN
    Candidate("resnet20", path).load()


def test_a_result_says_by_which_mean_the_input_was_made() -> None:
    for imagenet in (False, True):
        candidate = Candidate("resnet20", SHIPPED, imagenet)
        assert measure_network(candidate, {}, [])["imagenet_input"] == imagenet
        assert (candidate.mean == IMAGENET_MEAN) == imagenet


@pytest.mark.parametrize("holds_out", [True, False])
def test_only_images_that_were_never_trained_on_count_as_unseen(holds_out: bool) -> None:
    shard = {
        "split": "train",
        "indices": [44_999, 45_000],
        "labels": "12",
        "predictions": {"plain": "12", "keyed": "13"},
        "largest_difference": 0.1,
        "differing": [{"index": 45_000, "margin": 0.01}],
    }
    test = {**shard, "split": "test", "indices": [0, 1], "predictions": {"plain": "11", "keyed": "11"}, "differing": []}
    environment = {"date": "2000-01-01T00:00", "processor": "p", "processors_usable": 1}
    results = [{"counted": one, "options": {}, "environment": environment} for one in (shard, test)]
    found = summary.summarise(results, holds_out=holds_out)
    plain, keyed = (found["accuracy"][name]["unseen"] for name in ("plain", "keyed"))
    assert (plain["correct"], plain["total"]) == ((2, 3) if holds_out else (1, 2))
    assert keyed["correct"] == 1
    assert (found["agreement"]["equal"], found["agreement"]["total"]) == (3, 4)
    assert found["agreement"]["differing"] == [{"split": "train", "index": 45_000, "margin": 0.01}]
