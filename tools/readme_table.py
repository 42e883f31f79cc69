"""The README's table of measurements, from the newest files in docs/benchmarks.

python tools/readme_table.py            # write it
python tools/readme_table.py --check    # fail if it is out of date
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from statistics import geometric_mean
from typing import Any

import click

from keyvault.console import Command
from keyvault.errors import InputError
from keyvault.files import write_whole

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
RESULTS = ROOT / "docs" / "benchmarks"
GATHER = "keyed, gather"
BEGIN, END = "<!-- benchmarks: written by tools/readme_table.py -->", "<!-- end of benchmarks -->"


def newest(folder: Path) -> list[Path]:
    """The newest dated file of each section, ``YYYY-MM-DD-section.json``, by section."""
    found: dict[str, Path] = {}
    for path in sorted(folder.glob("????-??-??-*.json")):
        found[path.stem[11:]] = path
    return [found[section] for section in sorted(found)]


def render(paths: list[Path]) -> str:
    """The tables of some result files as Markdown."""
    return "\n\n".join(_section(path, json.loads(path.read_text())) for path in paths)


def _section(path: Path, result: dict[str, Any]) -> str:
    found = result["environment"]
    machine = f"{found['processor']}, {found['processors_usable']} cores"
    lines = [
        f"`{result['command']}` on {found['date'][:10]} ({machine}; all of it in "
        f"[{path.name}](docs/benchmarks/{path.name})):",
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


def inserted(readme: str, tables: str) -> str:
    """The README with these tables between its markers; InputError if it has none."""
    before, begin, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise InputError("README.md has no place for the measurements", hint=f"put {BEGIN} and {END} into it")
    return f"{before}{begin}\n\n{tables}\n\n{end}{after}"


@click.command(cls=Command, name="readme_table")
@click.option("--check", is_flag=True, help="Change nothing; fail if the README is out of date.")
def main(check: bool) -> None:
    """Put the newest measurements into the README."""
    current = README.read_text()
    wanted = inserted(current, render(newest(RESULTS)))
    if current == wanted:
        return
    if check:
        raise InputError("the README's measurements are out of date", hint="run python tools/readme_table.py")
    write_whole(README, wanted.encode())


if __name__ == "__main__":
    sys.exit(main())
