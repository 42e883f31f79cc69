"""The benchmark command: dated files, and refusals before anything is measured."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from click.testing import CliRunner, Result

import benchmark
from measure import Comparison, compare


@pytest.fixture
def section(monkeypatch: pytest.MonkeyPatch) -> None:
    """A section that measures nothing worth knowing."""

    def run(rounds: int) -> Iterator[Comparison]:
        yield compare("nothing", {"one": int, "two": float}, rounds=rounds)

    module = ModuleType("bench_nothing")
    monkeypatch.setattr(module, "run", run, raising=False)
    monkeypatch.setitem(sys.modules, "bench_nothing", module)
    monkeypatch.setattr(benchmark, "SECTIONS", {"camera": "bench_nothing"})


def _run(*arguments: str) -> Result:
    return CliRunner().invoke(benchmark.main, [*arguments])


@pytest.mark.usefixtures("section")
def test_a_section_becomes_a_dated_file(tmp_path: Path) -> None:
    result = _run("--section", "camera", "--rounds", "3", "-o", str(tmp_path))
    assert result.exit_code == 0, result.output
    (path,) = tmp_path.iterdir()
    found = json.loads(path.read_text())
    assert path.name == f"{found['environment']['date'][:10]}-camera.json"
    assert found["command"] == "python tools/benchmark.py --section camera --rounds 3"
    (comparison,) = found["comparisons"]
    assert [timing["name"] for timing in comparison["timings"]] == ["one", "two"]
    assert comparison["baseline"] == "one"


@pytest.mark.usefixtures("section")
def test_a_folder_that_is_missing(tmp_path: Path) -> None:
    result = _run("-o", str(tmp_path / "none"))
    assert result.exit_code == 4
    assert "none is not a folder" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_section_whose_packages_are_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(benchmark, "SECTIONS", {"inference": "bench_of_a_module_that_is_not_there"})
    result = _run("-o", str(tmp_path))
    assert result.exit_code == 3
    assert "bench_of_a_module_that_is_not_there" in result.stderr
    assert not list(tmp_path.iterdir())
