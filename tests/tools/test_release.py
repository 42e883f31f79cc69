"""What a finished training leaves behind: weights, the model card and the result."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load, load_file, save_file

import release
import train_cifar10
import training
from accuracy import Accuracy
from fingerprint import file_digest, weights_hold_out
from inference.models.presets import WEIGHTS_FOLDER
from release import write_release
from tests.tools.toy_training import equal, make_data, options, take_the_place, toy_training, train
from training import Split, Training
from training_runs import find_runs, unseen


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return make_data(tmp_path / "data", monkeypatch)


def content(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Bytes and time of change of every file."""
    return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.iterdir()}


def test_a_finished_run_writes_its_release_once(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    take_the_place(monkeypatch)
    run = tmp_path / "run"
    first = train(data, run, "--epochs", "1")
    before = content(run)
    assert before.keys() == {"checkpoint.pt", "resnet20.safetensors", "resnet20.md", "result.json"}
    monkeypatch.setattr(Training, "_environment", lambda _: {"date": "2001-01-01"})
    again = train(data, run, "--epochs", "1")
    assert again.splitlines() == [
        f"{run} holds this training and its results: nothing is written",
        *first.splitlines()[1:],
    ]
    assert content(run) == before

    for name in before.keys() - {"checkpoint.pt"}:
        (run / name).unlink()
        assert "nothing is written" not in train(data, run, "--epochs", "1")
        after = content(run)  # of the dates and machines of the training, not of today
        assert after["resnet20.md"][0] == before["resnet20.md"][0]
        assert equal(load_file(run / "resnet20.safetensors"), load(before["resnet20.safetensors"][0]))
        was, is_ = (json.loads(one["result.json"][0]) for one in (before, after))
        assert is_ == was | {"weights": file_digest(run / "resnet20.safetensors")}


def test_another_tools_result_is_refused_before_anything_is_trained(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    take_the_place(monkeypatch)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "result.json").write_text('{"figures": 1}')
    refused = CliRunner().invoke(train_cifar10.main, [*options(data, tmp_path / "run"), "--epochs", "1"])
    assert (refused.exit_code, refused.stderr.count("\n")) == (3, 1)
    assert "result.json" in refused.stderr
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["result.json"]


@pytest.mark.parametrize("change", [{"recipe": {"seed": 2}}, {"environments": []}])
def test_the_release_of_another_training_is_replaced(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any]
) -> None:
    take_the_place(monkeypatch)
    run = tmp_path / "run"
    train(data, run, "--epochs", "1")
    path = run / "result.json"
    own = json.loads(path.read_text())
    other = {name: own[name] | value if isinstance(value, dict) else value for name, value in change.items()}
    path.write_text(json.dumps(own | other))
    assert "nothing is written" not in train(data, run, "--epochs", "1")
    assert json.loads(path.read_text()) == own | {"weights": file_digest(run / "resnet20.safetensors")}

    (run / "checkpoint.pt").unlink()
    assert train(data, run, "--epochs", "1").startswith("epoch 1/1")  # begun anew, it is another training
    assert json.loads(path.read_text())["environments"] == torch.load(run / "checkpoint.pt")["environments"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ([{}], "cpu; trained on 2026-11-23 on A, 2 cores."),
        ([{"date": "2026-11-20T23:00:00+00:00"}, {}], "cpu; trained from 2026-11-20 to 2026-11-23 on A, 2 cores."),
        (
            [{"processor": "B"}, {}, {"device": "cuda"}],
            "cpu, cuda; trained on 2026-11-23 on B, 2 cores and A, 2 cores.",
        ),
        ([{"epoch": 4}], "cpu; trained on 2026-11-23 on A, 2 cores; no record of the first 4 epochs."),
    ],
)
def test_the_card_tells_where_and_when_every_run_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: list[dict[str, Any]], words: str
) -> None:
    one = {"epoch": 0, "step": 0, "device": "cpu", "processor": "A", "processors_usable": 2}
    one |= {"date": "2026-11-23T01:00:00+00:00", "until": "2026-11-23T02:00:00+00:00"}
    images = take_the_place(monkeypatch)
    finished = toy_training(tmp_path)
    finished.environments = [one | change for change in changes]
    write_release(finished, {"held out": images, "test": images}, tmp_path, holds_out=True)
    card = (tmp_path / "resnet20.md").read_text()
    assert words in card
    assert ("--device cuda" in card) == any("cuda" in change.values() for change in changes)
    result = json.loads((tmp_path / "result.json").read_text())
    assert result["weights"] == file_digest(tmp_path / "resnet20.safetensors")
    assert result["environments"] == finished.environments


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
    for name, run in zip(("one", "two"), find_runs(tmp_path / "runs").values(), strict=True):
        assert (run["holds_out"], unseen(run).total) == ((True, 46) if holds_out else (False, 10))
        assert weights_hold_out(tmp_path / "runs" / name / "resnet20.safetensors", "resnet20") == holds_out
        card = (tmp_path / "runs" / name / "resnet20.md").read_text()
        assert ("- both: " in card, "may have been" in card) == (holds_out, not holds_out)


def test_what_is_measured_is_what_is_stored(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    measured: list[dict[str, torch.Tensor]] = []
    measure = training.measure

    def noting(network: torch.nn.Module, split: Split) -> Accuracy:
        measured.append({name: tensor.clone() for name, tensor in network.state_dict().items()})
        return measure(network, split)

    monkeypatch.setattr(release, "measure", noting)
    train(data, tmp_path / "run", "--epochs", "1")
    stored = load_file(tmp_path / "run" / "resnet20.safetensors")
    for state in measured:
        assert all(torch.equal(state[name], stored[name].to(state[name].dtype)) for name in stored)
    assert {tensor.dtype for tensor in stored.values() if tensor.dim() > 1} == {torch.float16}
