"""A classifier on private photographs and on plain ones, with a small sensor and random images."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from key_home import make_home

import evaluate_agreement
from evaluate_agreement import Agreement, main
from keyvault.policy import Policy

COUNT = 5


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home of a camera and its host, with one sealed key."""
    return make_home(tmp_path_factory.mktemp("keys"), {"sealed": Policy(80, 64)})


@pytest.fixture
def place(keys: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with images of different sizes and their labels."""
    monkeypatch.setenv("PRIVCAM_HOME", str(keys))
    monkeypatch.chdir(tmp_path)
    generator = np.random.default_rng(0)
    Path("images").mkdir()
    for index in range(COUNT):
        coarse = generator.integers(0, 256, (4, 5, 3), np.uint8)
        cv2.imwrite(f"images/{index}.png", cv2.resize(coarse, (90 + 10 * index, 100)))
    Path("labels.txt").write_text("\n".join(map(str, range(COUNT))))
    return keys / "sealed.bin"


def run(key: Path, *options: str) -> Result:
    return CliRunner().invoke(main, ["images", "--key", str(key), "--model", "resnet20", *options])


@pytest.mark.parametrize("noise", ["on", "off"])
def test_private_and_plain_frames_of_one_exposure_give_equal_predictions(place: Path, noise: str) -> None:
    result = run(place, "--noise", noise, "--batch", "2")
    assert result.exit_code == 0, result.output
    lines = dict(line.split(":", 1) for line in result.stdout.splitlines())
    assert lines["equal predictions"].strip() == f"{COUNT} of {COUNT}"
    assert float(lines["largest difference of a score"].split()[0]) < 1e-4
    assert not any(name.startswith("top-1") for name in lines)


def test_labels_give_accuracies(place: Path) -> None:
    result = run(place, "--labels", "labels.txt", "--limit", "3", "--demosaic", "malvar")
    assert result.exit_code == 0, result.output
    top1 = [line.split(":")[1].strip() for line in result.stdout.splitlines() if line.startswith("top-1")]
    assert len(top1) == 3
    assert top1[0] == top1[1]
    assert "of 3;" in top1[0]


def test_figures_counted_by_hand() -> None:
    best, labels = torch.tensor([[1, 2, 3, 4], [1, 2, 3, 0], [4, 2, 0, 0]]), torch.tensor([1, 2, 0, 0])
    result = Agreement(best[:, :1], 0.2, 1.0) + Agreement(best[:, 1:], 0.5, 3.0)
    assert [accuracy.correct for accuracy in result.top1(labels).values()] == [2, 3, 3]
    assert [accuracy.correct for accuracy in result.equal().values()] == [4, 3, 1]
    assert "top-1" not in result.report(None)
    assert result.figures(labels) == {
        "images": 4,
        "rows": {
            "plain": {"equal_to_plain": 4, "right": 2},
            "keyed": {"equal_to_plain": 3, "right": 3},
            "substituted": {"equal_to_plain": 1, "right": 3},
        },
        "largest_difference": 0.5,
        "spread": 1.0,
    }


def test_an_interrupted_run_goes_on_and_gives_the_same(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = ("--labels", "labels.txt", "--batch", "2", "--noise", "on")
    assert run(place, *options, "-o", "whole.json").exit_code == 0
    taken: list[int] = []

    def stopped(*given: Any) -> Any:
        taken.append(1)
        if len(taken) == 4:
            raise KeyboardInterrupt
        return pair(*given)

    pair = evaluate_agreement._pair
    monkeypatch.setattr(evaluate_agreement, "_pair", stopped)
    assert run(place, *options, "-o", "part.json").exit_code == 130
    monkeypatch.setattr(evaluate_agreement, "_pair", pair)
    assert "other options: batch" in run(place, *options[:2], "--noise", "on", "-o", "part.json").stderr
    kept = Path("part.json.partial").read_text()
    assert len(kept.splitlines()) == 2
    assert run(place, *options, "-o", "part.json").exit_code == 0
    whole, part = (json.loads(Path(name).read_text()) for name in ("whole.json", "part.json"))
    for row in ("plain", "keyed"):  # the order in which frames are stored, which the third row has wrong, is new
        assert whole["figures"]["rows"][row] == part["figures"]["rows"][row]
    assert part["figures"]["images"] == COUNT
    assert whole["figures"]["spread"] == pytest.approx(part["figures"]["spread"])
    assert part["resumed_from"]
    assert whole["options"]["weights"]["file"] == "resnet20-cifar10.safetensors"
    assert not Path("part.json.partial").exists()
    Path("part.json.partial").write_text(kept.replace('"best": [[', '"best": [[0, '))
    assert "does not hold counts of predictions" in run(place, *options, "-o", "part.json").stderr
    Path("part.json.partial").write_text(kept)
    (Path("images") / "0.png").write_bytes((Path("images") / "1.png").read_bytes())
    assert "other options: images" in run(place, *options, "-o", "part.json").stderr


@pytest.mark.parametrize(
    ("labels", "words"), [("1 2 3", "3 labels for 5"), ("0 1 2 3 10", "outside 0 to 9"), ("a b", "no list")]
)
def test_other_labels_are_refused(place: Path, labels: str, words: str) -> None:
    Path("labels.txt").write_text(labels)
    refused = run(place, "--labels", "labels.txt")
    assert (refused.exit_code, refused.stderr.count("\n")) == (3, 1)
    assert words in refused.stderr


def test_a_network_that_labels_positions_is_refused(place: Path) -> None:
    refused = run(place, "--model", "espnetv2")
    assert refused.exit_code == 3
    assert "evaluate_segmentation.py" in refused.stderr
