"""The tables in README and documents are those of the newest result files."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import benchmark_tables
import evaluate_detection
import evidence_tables
import label_maps
from audit.finding import Finding, Interval, Stand, Verdict
from audit.report import NotRun, Report
from dated_results import newest, read_result
from keyvault.errors import InputError
from readme_table import BLOCKS, Block, renewed

MADE: dict[str, Any] = {
    "command": "python tools/some.py",
    "environment": {"processor": "a processor", "processors_usable": 2, "date": "2026-11-21T00:00:00+00:00"},
}


def _write(path: Path, **members: Any) -> Path:
    path.write_text(json.dumps({**MADE, **members}))
    return path


def test_documents_state_the_newest_measurements() -> None:
    for block in BLOCKS:
        assert newest(block.results), f"there is nothing in {block.results}"
    for document, text in renewed().items():
        assert document.read_text() == text, "run python tools/readme_table.py"


def test_table_2_has_its_verdicts_from_the_audit_beside_it() -> None:
    paths = newest(Path(__file__).resolve().parents[2] / "docs" / "results")
    assert read_result(paths["table2"])["audit"]["code"] == read_result(paths["audit-peers"])["code"]


def test_the_newest_file_of_each_section_counts(tmp_path: Path) -> None:
    for name in ("2026-01-02-camera", "2026-11-01-camera", "2025-12-31-inference"):
        (tmp_path / f"{name}.json").write_text("{}")
    found = newest(tmp_path)
    assert {name: path.stem for name, path in found.items()} == {
        "camera": "2026-11-01-camera",
        "inference": "2025-12-31-inference",
    }


@pytest.mark.parametrize("content", ["{}", "[]", '{"command": "c", "environment": {}}'])
def test_a_file_that_does_not_say_how_it_was_made_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "2026-11-21-camera.json"
    path.write_text(content)
    with pytest.raises(InputError, match="is not a result that says how it was made"):
        benchmark_tables.render({"camera": path}, tmp_path)


def test_a_row_says_time_ratio_and_speed(tmp_path: Path) -> None:
    timing = {"name": "expand", "median_s": 0.0321, "best_s": 0.03, "ratio": 0.0625, "megapixels_per_s": 373.8}
    comparison = {"title": "key expansion", "timings": [timing]}
    path = _write(tmp_path / "2026-11-21-camera.json", comparisons=[comparison])
    text = benchmark_tables.render({"camera": path}, tmp_path)
    assert "| expand | 32.1 ms | 0.0625 | 374 Mpx/s |" in text
    assert "[2026-11-21-camera.json](2026-11-21-camera.json)" in text
    assert benchmark_tables.render_networks({"camera": path}, tmp_path) == ""
    assert benchmark_tables.render_networks({"camera": path, "inference": path}, tmp_path) == text


def test_a_document_without_markers_is_refused(tmp_path: Path) -> None:
    block = Block(tmp_path / "text.md", "figures", tmp_path, lambda _paths, _folder: "new")
    begin, end = block.markers
    with pytest.raises(InputError, match="no place for the figures"):
        block.put_into("text")
    assert block.put_into(f"a{begin}old{end}b") == f"a{begin}\n\nnew\n\n{end}b"


def test_label_maps_and_boxes_have_a_row_for_each_network(tmp_path: Path) -> None:
    labels = {name: {"equal_to_plain": 0.5, "mean_iou": 0.25} for name in label_maps.ROWS}
    own = {"options": {"weights": {"file": "some.pth"}}, "figures": {"images": 3, "rows": labels}}
    boxes = {name: {"agreement": {"equal": 7, "boxes": 1500, "others": 1207}} for name in evaluate_detection.ROWS}
    drawn = {"options": {"weights": {"random": 0}}, "figures": {"images": 2, "rows": boxes}}
    paths = {
        "segmentation-fcn": _write(tmp_path / "2026-01-01-segmentation-fcn.json", **own),
        "detection-ssd": _write(tmp_path / "2026-01-01-detection-ssd.json", **drawn),
    }
    counts = {"right": 3, "equal_to_plain": 4}
    named = {"options": {"weights": {"file": "a.npz"}, "noise": "off"}, "figures": {"images": 4}}
    named["figures"]["rows"] = dict.fromkeys(("plain", "keyed", "substituted"), counts)
    paths["agreement-net"] = _write(tmp_path / "2026-01-01-agreement-net.json", **named)
    text = evidence_tables.render(paths, tmp_path)
    assert "| net, a.npz, noise off | 4 | 3, 4 | 3, 4 | 3, 4 |" in text
    assert "| fcn, some.pth | 3 | 25.00 %, 50.00000 % |" in text
    assert "| ssd, random weights | 2 |" + " 7 of 1,500, 1,200 more |" * 4 in text


def _report() -> Report:
    weak = Finding(
        attack="peek",
        stand=Stand.FILE,
        policy="fixed",
        score=0.9,
        unit="share",
        chance=0.1,
        level=0.5,
        interval=Interval(0.8, 1.0, 0.7),
        control_broke=True,
        verdict=Verdict.FAIL,
        frames=10,
        smallest_breaking=2,
        pictures={"a": np.zeros((2, 2), np.uint8)},
    )
    made = {**MADE["environment"], "python": "3.11", "versions": {"numpy": "2"}}
    nothing = Interval(0, 0.2, 0)
    holds = replace(weak, policy="default", score=0.1, interval=nothing, verdict=Verdict.PASS, smallest_breaking=None)
    return Report(
        audited=["two policies"],
        policies={"fixed": "one key", "default": "a key for each frame"},
        titles={"peek": "Looking", "other": "Not tried"},
        findings=[holds, weak],
        not_run=[NotRun("other", Stand.FILE, "default", "why")],
        appearances=[],
        environment=MADE["environment"],
        made_on=[made, made | {"date": "2020-02-20T20:20:20+00:00", "processor": "other"}, made],
        command="python tools/privacy_audit.py",
        code="ab",
        seed=1,
    )


def test_the_audit_names_what_broke_and_how_many_frames_it_took(tmp_path: Path) -> None:
    path = tmp_path / "2026-01-01-audit.json"
    path.write_text(json.dumps(_report().to_json()))
    short = evidence_tables.render({"audit": path}, tmp_path)
    assert "| fixed | **fail**: peek | not attacked | not attacked |" in short
    assert "| default | pass (1 attack) |" in short
    assert "audit.py` on 2020-02-20 on other, 2 cores; 2026-11-21 on a processor, 2 cores (all of it in" in short
    whole = evidence_tables.render_audit({"audit": path}, tmp_path)
    assert "| Looking (`peek`) | **fail: 0.9 (chance 0.1)**, from 2 frames on | pass: 0.1 (chance 0.1) |" in whole
    assert "| Not tried (`other`) |  | not run |" in whole
    assert whole.count("Not tried") == 1
    assert "No audit" in evidence_tables.render_audit({}, tmp_path)
