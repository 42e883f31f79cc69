"""Measurements of tools/benchmark.py as Markdown: a table for each section."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from statistics import geometric_mean
from typing import Any

from dated_results import heading, read_result

GATHER = "keyed, gather"


def render(paths: Mapping[str, Path], folder: Path) -> str:
    """The tables of some result files by name; links to them are relative to ``folder``."""
    return "\n\n".join(_section(path, read_result(path), folder) for path in paths.values())


def render_networks(paths: Mapping[str, Path], folder: Path) -> str:
    """The table of keyed networks alone."""
    return render({name: path for name, path in paths.items() if name == "inference"}, folder)


def _section(path: Path, result: dict[str, Any], folder: Path) -> str:
    lines = [
        heading(path, result, folder),
        "",
        "| | median | ratio | |",
        "| --- | ---: | ---: | ---: |",
    ]
    for comparison in result["comparisons"]:
        lines.append(f"| **{comparison['title']}** | | | |")
        lines += [_row(timing) for timing in comparison["timings"]]
    ratios = [t["ratio"] for c in result["comparisons"] for t in c["timings"] if t["name"] == GATHER]
    if ratios:
        lines.append(f"| **geometric mean of the ratios of {GATHER}** | | {geometric_mean(ratios):.3g} | |")
    return "\n".join(lines)


def _row(timing: dict[str, Any]) -> str:
    units = {"sensors_per_s": "sensors/s", "frames_per_s": "frames/s", "megapixels_per_s": "Mpx/s"}
    rate = next((f"{timing[name]:.0f} {unit}" for name, unit in units.items() if timing.get(name)), "")
    return f"| {timing['name']} | {_duration(timing['median_s'])} | {timing['ratio']:.3g} | {rate} |"


def _duration(seconds: float) -> str:
    for unit, factor in (("s", 1.0), ("ms", 1e3)):
        if seconds * factor >= 1:
            return f"{seconds * factor:.3g} {unit}"
    return f"{seconds * 1e6:.3g} us"
