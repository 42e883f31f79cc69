"""Table 2: what is measured and kept, and what is taken from trainings and audits."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from small_table2 import run_of

import cifar10
import reproduce_table2
from audit.finding import Finding, Interval, Stand, Verdict
from audit.registry import all_peer_attacks, code_digest
from audit.report import NotRun
from keyvault.errors import InputError
from peers.block_cipher import Images
from peers.registry import PEERS, Peer
from reproduce_table2 import main
from training_runs import find_runs, unseen


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Ten test images in the binary layout."""
    folder = tmp_path / "data"
    folder.mkdir()
    records = np.random.default_rng(0).integers(0, 256, (10, cifar10.RECORD_BYTES), np.uint8)
    records[:, 0] %= 10
    records.tofile(folder / "test_batch.bin")
    return folder


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Two peers of a table that is quick to make; the list says whose costs were measured."""
    measured: list[str] = []
    measure = reproduce_table2.measure_peer

    def count(peer: Peer, images: Images, **options: int) -> dict[str, Any]:
        measured.extend(name for name, one in PEERS.items() if one is peer)
        return measure(peer, images, **options)

    monkeypatch.setattr(reproduce_table2, "measure_peer", count)
    monkeypatch.setattr(reproduce_table2, "PEERS", {name: PEERS[name] for name in ("etc-grey", "key-nets")})
    return measured


def invoke(data: Path, folder: Path, *more: str) -> Result:
    options = ["--data", str(data), "--work", str(folder / "work"), "-o", str(folder / "out"), "--rounds", "1"]
    return CliRunner().invoke(main, [*options, *more])


def test_it_resumes_and_mixes_no_efforts(data: Path, tmp_path: Path, counted: list[str]) -> None:
    assert invoke(data, tmp_path).exit_code == 0
    (tmp_path / "work" / "key-nets.json").unlink()
    assert invoke(data, tmp_path).exit_code == 0
    assert counted == ["etc-grey", "key-nets", "key-nets"]
    refused = invoke(data, tmp_path, "--images", "3")
    assert (refused.exit_code, refused.stderr.count("\n")) == (3, 1)
    assert "other options or of other images" in refused.stderr
    records = np.fromfile(data / "test_batch.bin", np.uint8)
    records[-1] ^= 1
    records.tofile(data / "test_batch.bin")
    refused = invoke(data, tmp_path)
    assert (refused.exit_code, refused.stderr.count("\n")) == (3, 1)
    assert "of other images" in refused.stderr


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("etc-grey", lambda content: content.pop("measured")),
        ("etc-grey", lambda content: content["measured"].update(inference=3)),
        ("etc-grey", lambda content: content["measured"].update(compression=None)),
        ("etc-grey", lambda content: content["measured"]["compression"]["plain"].update(png=0)),
        ("transformations", lambda content: content["measured"].update(transformations={"etc-grey": 3})),
        ("transformations", lambda content: content["measured"].pop("environment")),
        ("transformations", lambda content: content["measured"]["transformations"].pop("key-nets")),
    ],
)
def test_what_was_kept_and_is_damaged_is_refused_by_name(
    data: Path, tmp_path: Path, counted: list[str], name: str, damage: Callable[[dict[str, Any]], Any]
) -> None:
    assert invoke(data, tmp_path).exit_code == 0
    kept = tmp_path / "work" / f"{name}.json"
    content = json.loads(kept.read_text())
    damage(content)
    kept.write_text(json.dumps(content))
    refused = invoke(data, tmp_path)
    assert (refused.exit_code, refused.stderr.count("\n")) == (3, 1)
    assert f"remove {kept}" in refused.stderr


def test_the_result_names_machine_command_and_seed(data: Path, tmp_path: Path, counted: list[str]) -> None:
    assert invoke(data, tmp_path, "--seed", "5").exit_code == 0
    (path,) = (tmp_path / "out").glob("????-??-??-table2-without-runs-without-audit.json")
    result = json.loads(path.read_text())
    assert "--seed 5" in result["command"]
    assert {"processor", "versions", "date"} <= result["environment"].keys()
    (measured,) = result["measured"]
    assert result["environment"]["processor"] in measured
    assert [found["name"] for found in result["rows"]] == ["etc-grey", "key-nets"]
    assert result["rows"][0]["transformation"]["images"] == 10
    assert path.with_suffix(".md").read_text().count("not trained") == 2


def test_a_smaller_effort_does_not_take_the_place_of_the_whole(data: Path, tmp_path: Path, counted: list[str]) -> None:
    audit = write_audit(tmp_path)
    write_run(tmp_path / "runs")
    (tmp_path / "none").mkdir()
    whole = ["--audit", str(audit), "--runs", str(tmp_path / "runs")]
    assert invoke(data, tmp_path, *whole).exit_code == 0
    assert {path.stem[11:] for path in (tmp_path / "out").iterdir()} == {"table2"}
    assert invoke(data, tmp_path, *whole[:2], "--runs", str(tmp_path / "none")).exit_code == 0
    small = tmp_path / "small"
    assert invoke(data, small, *whole, "--images", "2").exit_code == 0
    assert {path.stem[11:] for path in (tmp_path / "out").iterdir()} == {"table2", "table2-without-runs"}
    assert {path.stem[11:] for path in (small / "out").iterdir()} == {"table2-images2"}


def write_run(folder: Path, **members: Any) -> None:
    """A finished run on a peer's images, of the ten test images."""
    run = run_of("resnet20", "key-nets") | members
    run["accuracy"]["test"] = {"correct": 5, "total": 10}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "result.json").write_text(json.dumps(run))


def test_runs_count_if_they_are_of_the_images_at_hand_and_began_with_none(
    data: Path, tmp_path: Path, counted: list[str]
) -> None:
    records = np.random.default_rng(1).integers(0, 256, (2, cifar10.RECORD_BYTES), np.uint8)
    records[:, 0] %= 10
    for name in cifar10.TRAIN_FILES:
        records.tofile(data / f"{name}.bin")
    recipe = run_of("resnet20", "key-nets")["recipe"]
    runs = tmp_path / "runs"
    write_run(runs / "own", recipe=recipe | {"data": cifar10.load(data, "train").digest})
    write_run(runs / "other", recipe=recipe | {"data": "ab", "epochs": 9})
    write_run(runs / "later", recipe=recipe | {"init": "ab", "epochs": 9})
    write_run(runs / "nowhere", recipe=recipe | {"private": "default"})  # has no place in the table
    larger = run_of("resnet20", "key-nets", epochs=9)
    (runs / "result.json").write_text(json.dumps(larger))
    result = invoke(data, tmp_path, "--runs", str(runs))
    assert result.exit_code == 0
    assert result.stderr.splitlines() == [
        f"{runs / 'later' / 'result.json'} does not count: it began with weights of another training",
        f"{runs / 'other' / 'result.json'} does not count: it was trained on other images than those at hand",
        f"{runs / 'result.json'} does not count: its accuracy is of 1,000 images test, not of 10",
    ]
    (path,) = (tmp_path / "out").glob("????-??-??-table2-without-audit.json")
    found = {row["name"]: row["runs"] for row in json.loads(path.read_text())["rows"]}
    assert [run["recipe"]["epochs"] for run in found["key-nets"]] == [3]
    (runs / "own" / "result.json").unlink()
    assert invoke(data, tmp_path, "--runs", str(runs)).exit_code == 0
    assert list((tmp_path / "out").glob("*-table2-without-runs-without-audit.json"))


def test_costs_of_other_code_are_not_gone_on_with(
    data: Path, tmp_path: Path, counted: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    code = tmp_path / "code" / "networks"
    code.mkdir(parents=True)
    (code / "one.py").write_text("a = 1")
    monkeypatch.setattr(reproduce_table2, "COSTS_CODE", [code.parent])
    assert invoke(data, tmp_path).exit_code == 0
    (code / "one.py").write_text("a = 2")
    refused = invoke(data, tmp_path)
    assert (refused.exit_code, refused.stderr.count("\n")) == (3, 1)
    assert "measured by other code" in refused.stderr


def test_all_code_of_the_project_that_costs_depend_on_decides_them() -> None:
    tools = Path(reproduce_table2.__file__).parent
    script = "import sys, table2.cost; print(*(getattr(m, '__file__', None) for m in sys.modules.values()), sep='\\n')"
    told = subprocess.run([sys.executable, "-c", script], cwd=tools, capture_output=True, text=True, check=True)
    used = {Path(line) for line in told.stdout.splitlines() if Path(line).is_relative_to(tools.parent)}
    used = {path for path in used if ".venv" not in path.parts}
    unused = {tools / f"{name}.py" for name in ("bench_keys", "bench_video", "cifar10", "table2/__init__")}
    of_frames = {tools.parent / name for name in ("adc_firmware", "keyvault", "sensor_sim")}  # costs are of pictures
    decisive = {*reproduce_table2.COSTS_CODE, *unused, *of_frames}
    assert used
    assert {path for path in used if not decisive & {path, *path.parents}} == set()


def write_audit(folder: Path) -> Path:
    """A report of two peers, with two findings on one of them and one on the other."""
    path = folder / "audit.json"
    figures = {
        "correlation": (Interval(0.6, 0.9, 0.5), True, Verdict.FAIL),
        "known_plaintext": (Interval(0.0, 0.1, 0.0), True, Verdict.PASS),
    }
    findings = [
        Finding(name, Stand.FILE, f"peer:{peer}", 0.1, "share", 0.0, 0.5, *figures[name], 9)
        for peer, name in (("key-nets", "correlation"), ("key-nets", "known_plaintext"), ("etc-grey", "correlation"))
    ]
    tried = [(f"peer:{peer}", name) for peer in ("etc-grey", "key-nets") for name in all_peer_attacks()]
    left = [one for one in tried if one not in {(f.policy, f.attack) for f in findings}]
    environment = {"date": "2000-01-02T03:04:05+00:00", "processor": "A", "processors_usable": 2}
    report = {
        "command": "python tools/some.py",
        "code": code_digest(),
        "environment": environment | {"date": "2000-01-09T00:00:00+00:00"},
        "made_on": [environment],
        "findings": [one.to_json() for one in findings],
        "not_run": [NotRun(name, Stand.FILE, policy, "no").to_json() for policy, name in left],
    }
    path.write_text(json.dumps(report))
    return path


def test_finished_runs_and_findings_enter_the_table(data: Path, tmp_path: Path, counted: list[str]) -> None:
    write_run(tmp_path / "runs" / "a")
    audit = write_audit(tmp_path)
    assert invoke(data, tmp_path, "--runs", str(tmp_path / "runs"), "--audit", str(audit)).exit_code == 0
    (path,) = (tmp_path / "out").glob("*.md")
    text = path.read_text()
    (line,) = (line for line in text.splitlines() if "| Key-Nets" in line)
    assert "| resnet20 | 1.23 | 50.00 % (2505 of 5010; 95 % interval 48.62 to 51.38) | 3 epochs, float32, cpu |" in line
    assert line.endswith("| fail (1 of 2) |")
    assert "`python tools/some.py` on 2000-01-02 on A, 2 cores." in text


def without_findings(report: dict[str, Any]) -> None:
    """Of the last peer: as if there had been too few pictures for all attacks."""
    one = report["findings"].pop()
    report["not_run"].append(NotRun(one["attack"], Stand.FILE, one["policy"], "it needs more pictures").to_json())


def unlike_its_figures(report: dict[str, Any]) -> None:
    report["findings"][0]["verdict"] = "pass"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda report: report["not_run"].pop(), "audit.json lacks single_frame of peer:key-nets"),
        (lambda report: report["findings"].pop(0), "audit.json lacks correlation of peer:key-nets"),
        (without_findings, "audit.json has no finding on etc-grey"),
        (unlike_its_figures, "does not follow from its figures"),
        (lambda report: report.update(code="ab"), "audit.json is of another state of the peers"),
        (
            lambda report: report.pop("code"),
            "this program's privacy_audit: see code; give findings.json",
        ),
        (lambda report: report["not_run"][0].update(policy=["a"]), "see not_run.0.policy"),
        (lambda report: report.update(made_on=[1]), "see made_on.0"),
        (lambda report: report["environment"].pop("processor"), "see environment.processor"),
    ],
)
def test_a_part_of_an_audit_is_refused_and_so_is_a_verdict_that_does_not_follow(
    data: Path, tmp_path: Path, counted: list[str], change: Callable[[dict[str, Any]], Any], said: str
) -> None:
    audit = write_audit(tmp_path)
    report = json.loads(audit.read_text())
    change(report)
    audit.write_text(json.dumps(report))
    refused = invoke(data, tmp_path, "--audit", str(audit))
    assert (refused.exit_code, refused.stderr.count("\n")) == (3, 1)
    assert said in refused.stderr
    assert counted == []


@pytest.mark.parametrize("content", ["[]", '{"findings": []}', '{"findings": 3, "command": "", "environment": {}}'])
def test_what_is_no_audit_is_refused(data: Path, tmp_path: Path, counted: list[str], content: str) -> None:
    (tmp_path / "audit.json").write_text(content)
    refused = invoke(data, tmp_path, "--audit", str(tmp_path / "audit.json"))
    assert (refused.exit_code, refused.stderr.count("\n")) == (3, 1)
    assert counted == []


@pytest.mark.parametrize(
    "damage",
    [
        lambda run: run.update(recipe=3),
        lambda run: run["recipe"].pop("epochs"),
        lambda run: run["recipe"].update(epochs="3"),
        lambda run: run.update(accuracy={}),
        lambda run: run.update(accuracy=[]),
        lambda run: run["accuracy"]["test"].update(total=0, correct=0),
        lambda run: run["accuracy"]["test"].update(correct=1001),
        lambda run: run.update(parameters=None),
    ],
)
def test_damaged_results_of_trainings_are_refused_by_name(
    tmp_path: Path, damage: Callable[[dict[str, Any]], Any]
) -> None:
    path, run = tmp_path / "result.json", run_of("vgg16", "none")
    path.write_text(json.dumps(run))
    assert find_runs(tmp_path) == {path: run}
    damage(run)
    path.write_text(json.dumps(run))
    with pytest.raises(InputError, match=r"result\.json") as refused:
        find_runs(tmp_path)
    assert refused.value.hint == f"remove {path}"


@pytest.mark.parametrize(("init", "total"), [("none", 6000), ("ab", 1000)])
def test_of_older_results_only_those_of_drawn_weights_held_out_the_last_images(
    tmp_path: Path, init: str, total: int
) -> None:
    run = run_of("vgg16", "none")
    run["recipe"]["init"] = init
    del run["holds_out"], run["recipe"]["replays"]
    (tmp_path / "result.json").write_text(json.dumps(run))
    (found,) = find_runs(tmp_path).values()
    assert unseen(found).total == total


@pytest.mark.parametrize("content", ["[]", "{}", "3", '{"command": "python tools/evaluate_detection.py"}'])
def test_results_of_other_tools_are_left_alone(tmp_path: Path, content: str) -> None:
    for name, text in (("other", content), ("run", json.dumps(run_of("vgg16", "none")))):
        (tmp_path / name).mkdir()
        (tmp_path / name / "result.json").write_text(text)
    assert find_runs(tmp_path) == {tmp_path / "run" / "result.json": run_of("vgg16", "none")}


@pytest.mark.parametrize("content", ["junk", '{"recipe": {"model": "vgg16"}}'])
def test_damaged_results_of_trainings_stop_the_table(
    data: Path, tmp_path: Path, counted: list[str], content: str
) -> None:
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "result.json").write_text(content)
    refused = invoke(data, tmp_path, "--runs", str(tmp_path / "runs"))
    assert (refused.exit_code, refused.stderr.count("\n")) == (3, 1)
    assert counted == []


@pytest.mark.full
def test_every_network_of_the_table_is_timed(data: Path, tmp_path: Path) -> None:
    assert invoke(data, tmp_path, "--batch", "2").exit_code == 0
    (path,) = (tmp_path / "out").glob("*.json")
    for found in json.loads(path.read_text())["rows"]:
        assert (found["inference"] is not None) == (found["network"] is not None)
