"""Which trainings enter Table 1: of networks that are measured, and of those that were fine-tuned on private images."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

from click.testing import CliRunner
from small_table1 import COUNT, result_of, write_cifar

from accuracy import Accuracy
from fingerprint import file_digest
from inference.models.presets import WEIGHTS_FOLDER
from private_replays import SETTINGS, prepare
from recipe import PLAIN, Recipe
from reproduce_table1 import main, tuned_run
from table1 import table
from table1.networks import Candidate

SHIPPED = WEIGHTS_FOLDER / "resnet20-cifar10.safetensors"


def test_fine_tuned_networks_count_if_they_are_of_the_frames_and_images_at_hand(tmp_path: Path) -> None:
    (tmp_path / "cifar").mkdir()
    data, replays = write_cifar(tmp_path / "cifar"), tmp_path / "replays"
    keys = prepare(SETTINGS["default"], replays, data).recorded

    def write(name: str, replayed: str = keys, test: int = COUNT, **members: Any) -> None:
        recipe = Recipe("resnet32", 2, 128, 0.2, 1, "float32", private="default", init="ab", replays=replayed)
        parts = {"held out": {"correct": 1, "total": 5000}, "test": {"correct": 1, "total": test}}
        run = {"recipe": asdict(recipe) | members, "parameters": 3, "accuracy": parts, "device": "cpu"}
        (tmp_path / "runs" / name).mkdir(parents=True)
        (tmp_path / "runs" / name / "result.json").write_text(json.dumps(run))

    def run() -> list[str]:
        options = ["--data", str(data), "--replays", str(replays), "-o", str(tmp_path / "out")]
        result = CliRunner().invoke(main, [*options, "--network", "resnet32", "--runs", str(tmp_path / "runs")])
        assert result.exit_code == 0, result.output
        return result.stderr.splitlines()

    write("other-key", replayed="ff", epochs=90)
    write("other-images", test=10_000, epochs=80)
    write("plain", private="none", test=7)  # has no place in the table
    paths = {name: tmp_path / "runs" / name / "result.json" for name in ("other-images", "other-key")}
    expected = [
        f"{paths['other-images']} does not count: its accuracy is of 10,000 images test, not of 4",
        f"{paths['other-key']} does not count: it was trained on private frames under another key than those at hand",
    ]
    assert run() == expected
    assert result_of(tmp_path, "table1-resnet32-without-runs")["networks"][0]["tuned"]["default"] is None
    write("own")
    assert run() == expected
    assert result_of(tmp_path, "table1-resnet32")["networks"][0]["tuned"]["default"]["recipe"]["epochs"] == 2


def test_a_budget_has_one_form_wherever_it_is_from(tmp_path: Path) -> None:
    shipped = Candidate("vgg16", WEIGHTS_FOLDER / "vgg16-cifar10.safetensors")
    assert shipped.training == "30 epochs, bfloat16, cpu"
    own = tmp_path / "resnet20.safetensors"
    shutil.copy(SHIPPED, own)
    assert Candidate("resnet20", own).training == "by others (resnet20.safetensors)"
    own.with_suffix(".md").write_text("- epochs: 7\n\nof another tool")
    assert Candidate("resnet20", own).training == "by others (resnet20.safetensors)"
    shutil.copy(SHIPPED.with_suffix(".md"), own.with_suffix(".md"))
    result = tmp_path / "result.json"
    result.write_text("{}")  # of another tool
    assert Candidate("resnet20", own).training == "24 epochs, bfloat16, cpu"
    recipe = asdict(Recipe("resnet20", 9, 128, 0.2, 1, "float32"))
    accuracy = {"held out": {"correct": 1, "total": 2}, "test": {"correct": 1, "total": 2}}
    run = {"recipe": recipe, "parameters": 3, "accuracy": accuracy, "device": "cuda"}
    result.write_text(json.dumps(run))
    assert Candidate("resnet20", own).training == "9 epochs, float32, cuda"
    renamed = shutil.copy(own, tmp_path / "other.safetensors")
    assert Candidate("resnet20", renamed).training == "by others (other.safetensors)"
    result.write_text(json.dumps(run | {"weights": file_digest(own)}))
    assert Candidate("resnet20", renamed).training == "9 epochs, float32, cuda"
    result.write_text(json.dumps(run | {"weights": "ab"}))
    assert Candidate("resnet20", own).training == "24 epochs, bfloat16, cpu"


def test_the_run_that_fine_tuned_these_weights_enters_the_table_or_else_the_longest() -> None:
    accuracy = {"held out": {"correct": 2500, "total": 5000}, "test": {"correct": 600, "total": 1000}}

    def run(epochs: int, private: str = "stacked-fixed", model: str = "vgg16", init: str = "ab") -> dict[str, Any]:
        recipe = {"model": model, "private": private, "epochs": epochs, "precision": "float32", "init": init}
        return {"recipe": recipe, "accuracy": accuracy, "device": "cpu", "holds_out": True}

    scratch = run(30, init=PLAIN)
    runs = [run(2), run(5), scratch, run(9, "default"), run(9, model="resnet20"), run(9, "none")]
    untrained = Candidate("vgg16", None)
    chosen = {setting: tuned_run(untrained, setting, runs) for setting in SETTINGS}
    assert chosen["stacked-fixed"] == run(5)
    own = run(1, model="resnet20", init=file_digest(SHIPPED))
    longer = run(9, model="resnet20")
    assert tuned_run(Candidate("resnet20", SHIPPED), "stacked-fixed", [own, longer, scratch]) == own
    assert tuned_run(Candidate("resnet20", SHIPPED), "default", [own, scratch]) is None
    assert tuned_run(Candidate("resnet20", SHIPPED, imagenet_input=True), "stacked-fixed", [own, longer]) is None
    found = {"network": "vgg16", "weights": None, "training": "", "tuned": chosen, "columns": {}}
    found["imagenet_input"] = False
    text = table.render([found])
    (line,) = (line for line in text.splitlines() if line.startswith("| fine-tuned"))
    assert (
        f"| {Accuracy(3100, 6000)}; test file 60.00 % (5 epochs, float32, cpu, from other weights); published" in line
    )
    assert "published" not in line.split("|")[3]
    assert "vgg16 --data DIR -o" in table.render_missing([found])  # its weights, and nothing of what was fine-tuned
    assert "--private" not in table.render_missing([found])
    assert "--private default" in table.render_missing([{**found, "tuned": chosen | {"default": None}}])
    assert table.render_missing([{**found, "columns": {"default": {}}}]) == ""
    lacking = {**found, "columns": {"default": {}}, "tuned": dict.fromkeys(SETTINGS)}
    assert table.render_missing([lacking]).count("--init WEIGHTS") == len(SETTINGS)
    assert table.render_missing([{**lacking, "imagenet_input": True}]) == ""  # training normalises otherwise
    of_others = {setting: run and {**run, "holds_out": False} for setting, run in chosen.items()}
    text = table.render([{**found, "tuned": of_others}])
    assert f"| {Accuracy(600, 1000)}, test file (5 epochs, float32, cpu, from other weights); published" in text
