"""The README's measurements are those of the newest result files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from keyvault.errors import InputError
from readme_table import BEGIN, END, README, RESULTS, inserted, newest, render


def test_the_readme_states_the_newest_measurements() -> None:
    text = README.read_text()
    assert newest(RESULTS), "there are no measurements"
    assert inserted(text, render(newest(RESULTS))) == text


def test_the_newest_file_of_each_section_counts(tmp_path: Path) -> None:
    for name in ("2026-01-02-camera", "2026-11-01-camera", "2025-12-31-inference"):
        (tmp_path / f"{name}.json").write_text("{}")
    assert [path.stem for path in newest(tmp_path)] == ["2026-11-01-camera", "2025-12-31-inference"]


def test_a_row_says_time_ratio_and_speed(tmp_path: Path) -> None:
    timing = {"name": "expand", "median_s": 0.0321, "best_s": 0.03, "ratio": 0.0625, "megapixels_per_s": 373.8}
    comparison = {"title": "key expansion", "timings": [timing]}
    environment = {"processor": "a processor", "processors_usable": 2, "date": "2026-11-21T00:00:00+00:00"}
    path = tmp_path / "2026-11-21-camera.json"
    path.write_text(json.dumps({"command": "bench", "environment": environment, "comparisons": [comparison]}))
    assert "| expand | 32.1 ms | 0.0625 | 374 Mpx/s |" in render([path])


def test_a_readme_without_markers_is_refused() -> None:
    with pytest.raises(InputError, match="no place"):
        inserted("text", "tables")
    assert inserted(f"a{BEGIN}old{END}b", "new") == f"a{BEGIN}\n\nnew\n\n{END}b"
