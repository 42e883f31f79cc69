"""The audit as a command: what it keeps, what it refuses, and that what it could not run is no pass."""

from __future__ import annotations

import ast
import json
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from click.testing import CliRunner, Result

import cifar10
import inference
import privacy_audit
from adc_firmware import PrivateFrame, read, write
from audit import registry
from audit.attack import Attack, Evidence
from audit.finding import Finding, Interval, Stand, Verdict
from audit.material import scene_of
from audit.policy_jobs import frames_audit
from audit.registry import all_attacks
from audit.scenes import Source
from audit.subjects import COMPARED, _check_different, subject
from keyvault.errors import InputError, PolicyError
from keyvault.policy import Cfa, FrameKeys, Policy, Protection
from sensor_sim import Camera, DnScene
from tests.key_home import make_home

SCENES = np.random.default_rng(0).integers(0, 256, (12, 32, 32, 3), np.uint8)
PLENTY = 100


class Counted:
    """An attack that says how often it was run; it fails what shows the plain values."""

    def __init__(self) -> None:
        self.runs: list[tuple[str, Stand]] = []
        self.stop_at: int | None = None

    def run(self, evidence: Evidence, stand: Stand, generator: np.random.Generator) -> Finding:
        if len(self.runs) == self.stop_at:
            raise KeyboardInterrupt
        self.runs.append((evidence.name, stand))
        seen = evidence.material.file if stand is Stand.FILE else evidence.material.memory
        bare = np.array_equal(np.sort(seen, axis=None), np.sort(evidence.material.plain, axis=None))
        figures = (Interval(0.8, 1, 0.7), True, Verdict.FAIL) if bare else (Interval(0, 0.2, 0), True, Verdict.PASS)
        score = float(generator.random())
        return Finding("counted", stand, evidence.name, score, "x", 0, 0.5, *figures, len(seen))


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Counted:
    """The audit at a small size, with two attacks: one that counts, and one that never has enough frames."""
    attack = Counted()
    attacks = [
        Attack("counted", "Counted", (Stand.FILE, Stand.MEMORY), 3, attack.run),
        Attack("greedy", "Greedy", (Stand.FILE,), PLENTY, attack.run),
    ]
    monkeypatch.setattr(privacy_audit, "chosen_attacks", lambda names: attacks)
    monkeypatch.setattr(privacy_audit, "FULL", (4, 8))
    return attack


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Twelve test images of CIFAR-10's binary layout."""
    folder = tmp_path / "cifar"
    folder.mkdir()
    records = [bytes([i % 10]) + image.transpose(2, 0, 1).tobytes() for i, image in enumerate(SCENES)]
    (folder / f"{cifar10.TEST_FILES[0]}.bin").write_bytes(b"".join(records))
    return folder


def audit(data: Path, *more: str) -> Result:
    arguments = ["--scenes", str(data), "-o", str(data.parent / "out"), *more]
    return CliRunner().invoke(privacy_audit.main, arguments, prog_name="privacy_audit.py")


def findings(data: Path) -> dict[str, Any]:
    return json.loads((data.parent / "out" / "findings.json").read_text())


def test_verdicts_are_results_and_what_was_not_run_is_no_pass(data: Path, counted: Counted) -> None:
    result = audit(data, "--policy", "per-frame", "--policy", "default")
    assert result.exit_code == 0, result.output
    found = findings(data)
    verdicts = {(one["policy"], one["stand"]): one["verdict"] for one in found["findings"]}
    assert verdicts == {
        ("per-frame", "file"): "fail",
        ("per-frame", "memory"): "fail",
        ("default", "file"): "pass",
        ("default", "memory"): "fail",
    }
    assert [one["verdict"] for one in found["findings"]][-1] == "pass"
    assert {(one["attack"], one["policy"]) for one in found["not_run"]} == {
        ("greedy", "per-frame"),
        ("greedy", "default"),
    }
    assert f"it needs {PLENTY} frames, there are 4" in found["not_run"][0]["reason"]
    assert found["seed"] == 1
    assert found["environment"]["python"]
    assert "Privacy audit" in (data.parent / "out" / "index.html").read_text()


def test_an_interrupted_audit_goes_on_where_it_was(data: Path, counted: Counted) -> None:
    whole = audit(data, "--policy", "default", "-o", str(data.parent / "whole"))
    assert whole.exit_code == 0, whole.output
    counted.stop_at = 3
    stopped = audit(data, "--policy", "default")
    assert stopped.exit_code == 130
    assert not (data.parent / "out" / "index.html").exists()
    counted.stop_at = None
    assert audit(data, "--policy", "default").exit_code == 0
    assert counted.runs == 2 * [("default", Stand.FILE), ("default", Stand.MEMORY)]
    assert findings(data)["findings"] == json.loads((data.parent / "whole" / "findings.json").read_text())["findings"]


@pytest.mark.parametrize("more", [("--seed", "2"), ("--quick",), ("--count", "3")])
def test_results_of_other_options_are_not_mixed(
    data: Path, counted: Counted, monkeypatch: pytest.MonkeyPatch, more: tuple[str, ...]
) -> None:
    monkeypatch.setattr(privacy_audit, "QUICK", (3, 8))
    assert audit(data, "--policy", "default").exit_code == 0
    refused = audit(data, "--policy", "default", *more)
    assert refused.exit_code == 4
    assert "was made with" in refused.output
    assert audit(data, "--policy", "fixed", "--policy", "default").exit_code == 0
    assert {one["policy"] for one in findings(data)["findings"]} == {"fixed", "default"}


def test_damaged_results_are_refused(data: Path, counted: Counted) -> None:
    assert audit(data, "--policy", "default").exit_code == 0
    kept = data.parent / "out" / "work" / "default" / "counted-file.json"
    kept.write_text(kept.read_text()[:50])
    refused = audit(data, "--policy", "default")
    assert refused.exit_code == 3
    assert "counted-file.json is damaged" in refused.output


@pytest.mark.parametrize(
    ("more", "said", "code"),
    [
        ((), "nothing to audit", 3),
        (("--policy", "default", "--scenes", "nowhere"), "there is no nowhere", 3),
        (("--policy", "1920x1080,RGGB"), "1920x1080 photosites; the audit takes 16384", 3),
        (("--policy", "64x6,stacked"), "scenes of 6 pixels a side; the audit takes 8 and more", 3),
        (("--policy", "64x14,RGGB"), "scenes of 7 pixels a side", 3),
        (("--policy", "sideways"), "neither a sealed key's file nor a word", 3),
        (("frames",), "go together", 2),
        (("frames", "--key", "k.bin"), "there is no folder frames", 3),
        (("frames", "--key", "k.bin", "--policy", "row"), "not both", 2),
        (("frames", "--key", "k.bin", "--count", "3"), "--count is of frames that are made", 2),
        (("--policy", "default", "--stand", "activations"), "nothing to audit", 3),
    ],
)
def test_refusals(data: Path, counted: Counted, more: tuple[str, ...], said: str, code: int) -> None:
    result = audit(data, *more)
    assert (result.exit_code, result.output.count("\n")) == (code, 1)
    assert said in result.output
    assert not counted.runs


def test_a_report_among_the_scenes_is_refused(data: Path, counted: Counted) -> None:
    result = audit(data, "--policy", "default", "-o", str(data / "out"))
    assert (result.exit_code, result.output.count("\n")) == (3, 1)
    assert "lies among the scenes" in result.output


def test_too_few_scenes_are_refused_as_such(data: Path, counted: Counted, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(privacy_audit, "FULL", (50, 8))
    result = audit(data, "--policy", "default")
    assert result.exit_code == 3
    assert "has 12 images; 50 frames" in result.output


def capture(home: Path, name: str, policy: Policy, folder: Path, count: int) -> None:
    folder.mkdir(exist_ok=True)
    with Camera(home / f"{name}.bin", device=home / "devices" / f"{name}.json") as camera:
        for number in range(count):
            frame = camera.capture(scene_of(SCENES[number], policy, "scene"), number=number)
            write(frame, folder / f"{name}-{number}.dng")


def test_frames_that_exist_are_audited_as_their_key_opens_them(
    data: Path, counted: Counted, home: Path, tmp_path: Path
) -> None:
    policy = Policy(64, 64, bits=8)
    make_home(home, {"a": policy, "b": replace(policy, scope="row")})
    frames = tmp_path / "frames"
    capture(home, "a", policy, frames, 3)
    result = audit(data, str(frames), "--key", str(home / "a.bin"))
    assert result.exit_code == 0, result.output
    verdicts = {(one["policy"], one["stand"], one["verdict"], one["frames"]) for one in findings(data)["findings"]}
    assert verdicts == {("frames", "file", "pass", 3), ("frames", "memory", "fail", 3)}
    assert str(tmp_path) not in json.dumps(findings(data)["command"])
    capture(home, "a", policy, frames, 3)
    assert "was made with" in audit(data, str(frames), "--key", str(home / "a.bin")).output
    capture(home, "b", replace(policy, scope="row"), frames, 1)
    mixed = audit(data, str(frames), "--key", str(home / "a.bin"))
    assert mixed.exit_code == 3
    assert "mixed policies: a-0.dng and b-0.dng differ" in mixed.output


def test_frames_that_exist_may_be_more_than_there_are_scenes_and_their_control_shows_the_same(
    data: Path, home: Path, tmp_path: Path
) -> None:
    policy = Policy(64, 64, bits=8)
    make_home(home, {"a": policy})
    capture(home, "a", policy, tmp_path / "frames", len(SCENES))
    source = Source.of(data, 4, 8)
    evidence = frames_audit(tmp_path / "frames", home / "a.bin", source, 1).evidence()
    assert len(evidence.material) == len(SCENES)
    assert len(evidence.scenes) == 8
    assert np.array_equal(evidence.control.plain, evidence.material.plain)
    assert (evidence.control.tables == evidence.control.tables[0]).all()


def test_one_frame_in_two_files_is_refused_and_two_frames_of_one_number_are_not(
    data: Path, counted: Counted, home: Path, tmp_path: Path
) -> None:
    policy = Policy(64, 64, bits=8)
    make_home(home, {"a": policy})
    frames, key = tmp_path / "frames", str(home / "a.bin")
    capture(home, "a", policy, frames, 3)
    (frames / "b.dng").write_bytes((frames / "a-1.dng").read_bytes())
    refused = audit(data, str(frames), "--key", key)
    assert (refused.exit_code, refused.output.count("\n")) == (3, 1)
    assert "a-1.dng and b.dng are the same frame" in refused.output
    (frames / "b.dng").unlink()
    grants = inference.open_session(home / "a.bin").grants
    first, second, *_ = (read(path, grants) for path in sorted(frames.iterdir()))
    numbered_alike = cast("PrivateFrame", SimpleNamespace(header=first.header, samples=second.samples))
    _check_different([first, numbered_alike], [Path("a"), Path("b")])


def test_frames_without_colours_are_refused(data: Path, counted: Counted, home: Path, tmp_path: Path) -> None:
    policy = Policy(32, 32, Cfa.NONE, bits=8)
    make_home(home, {"a": policy})
    with Camera(home / "a.bin", device=home / "devices" / "a.json") as camera:
        (tmp_path / "frames").mkdir()
        write(camera.capture(DnScene(np.zeros((32, 32), np.uint16), 0, 255, name="dark")), tmp_path / "frames/a.dng")
    refused = audit(data, str(tmp_path / "frames"), "--key", str(home / "a.bin"))
    assert (refused.exit_code, refused.output.count("\n")) == (5, 1)
    assert "this sensor has none" in refused.output


def test_sealed_keys_of_one_name_are_not_taken_for_each_other(
    data: Path, counted: Counted, home: Path, tmp_path: Path
) -> None:
    policy = Policy(32, 32, bits=8)
    make_home(home, {"one": policy, "other": replace(policy, scope="row")})
    keys: list[str] = []
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        keys += ["--policy", str((home / f"{name}.bin").rename(tmp_path / name / "sealed.bin"))]
    refused = audit(data, *keys)
    assert refused.exit_code == 3
    assert "two policies are called sealed" in refused.output
    assert audit(data, *keys[:2], *keys[:2]).exit_code == 0


def test_scenes_that_were_added_or_changed_are_other_scenes(data: Path, counted: Counted) -> None:
    (data / "more.bin").write_bytes(b"x")
    assert audit(data, "--policy", "default").exit_code == 0
    (data / "more.bin").write_bytes(b"y")
    assert "was made with files" in audit(data, "--policy", "default").output
    (data / "more.bin").write_bytes(b"x")
    assert audit(data, "--policy", "default").exit_code == 0
    (data / "another.bin").write_bytes(b"")
    assert "was made with files" in audit(data, "--policy", "default").output


def test_what_other_code_has_found_is_not_taken_over(
    data: Path, counted: Counted, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert audit(data, "--policy", "default").exit_code == 0
    (tmp_path / "attacked.py").write_text("KEYS = 1")
    attacked = ModuleType("attacked")
    attacked.__file__ = str(tmp_path / "attacked.py")
    monkeypatch.setattr(registry, "DECISIVE", (*registry.DECISIVE, attacked))
    before = registry.code_digest()
    assert "made by another state of this program; name another folder" in audit(data, "--policy", "default").output
    (tmp_path / "attacked.py").write_text("KEYS = 2")
    assert registry.code_digest() != before


def test_every_module_that_the_audit_imports_is_among_those_that_decide() -> None:
    tools = Path(privacy_audit.__file__).parent
    found, wanted = {module.__name__ for module in registry.DECISIVE}, [*(tools / "audit").rglob("*.py")]
    seen: set[str] = set()
    while wanted:
        for name in _imported(wanted.pop()) - seen:
            seen.add(name)
            if (tools / f"{name}.py").exists():
                wanted.append(tools / f"{name}.py")
    own = {name for name in seen if (tools / f"{name}.py").exists() or (tools.parent / name).is_dir()}
    own -= {"measure"}  # says where and when it was
    assert own | {"audit", "peers"} == found


def test_what_only_tells_of_an_audit_does_not_decide_it(monkeypatch: pytest.MonkeyPatch) -> None:
    told = registry.code_digest()
    monkeypatch.setattr(registry, "TOLD", frozenset())
    assert registry.code_digest() != told


@pytest.mark.parametrize("name", ["weights.safetensors", "profiles/one.toml", "one.py"])
def test_all_files_of_a_package_that_decides_count(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    package = ModuleType("package")
    package.__path__ = [str(tmp_path)]
    monkeypatch.setattr(registry, "DECISIVE", (package,))
    (tmp_path / "profiles").mkdir()
    digests = []
    for content in ("1", "2"):
        (tmp_path / name).write_text(content)
        digests.append(registry.code_digest())
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "one.pyc").write_text("3")
    assert digests == [digests[0], registry.code_digest()]
    assert digests[0] != digests[1]


@pytest.mark.parametrize("text", ["", " ", "default,,64x64"])
def test_a_policy_without_a_word_is_refused(data: Path, counted: Counted, text: str) -> None:
    refused = audit(data, "--policy", text)
    assert (refused.exit_code, refused.output.count("\n")) == (3, 1)
    assert "empty word" in refused.output


def test_findings_are_not_written_without_their_page(
    data: Path, counted: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(report: object) -> str:
        raise InputError("no page")

    monkeypatch.setattr(privacy_audit, "render", broken)
    assert audit(data, "--policy", "default").exit_code == 3
    assert not (data.parent / "out" / "findings.json").exists()


def _imported(path: Path) -> set[str]:
    """The first part of every name that a module imports."""
    nodes = list(ast.walk(ast.parse(path.read_text())))
    names = [node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)]
    names += [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    return {name.partition(".")[0] for name in names}


def test_policies_by_name_and_in_words() -> None:
    named = {name: subject(name).policy for name in COMPARED}
    assert len({policy.digest() for policy in named.values()}) == len(COMPARED)
    assert named["fixed"].frame_keys is FrameKeys.FIXED
    assert named["default"].protection is Protection.SHUFFLE_MASK
    assert subject("fixed,RGGB,row").policy == Policy(
        64, 64, bits=8, scope="row", protection=Protection.SHUFFLE, frame_keys=FrameKeys.FIXED
    )
    with pytest.raises(InputError):
        subject("fixed,default")
    with pytest.raises(PolicyError):
        subject("none")


def test_attacks_are_found_by_the_names_of_their_modules() -> None:
    assert "single_frame" in all_attacks()
    assert all(name == attack.name for name, attack in all_attacks().items())
