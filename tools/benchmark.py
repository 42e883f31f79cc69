"""Measure, print and keep: python tools/benchmark.py [--section camera ...]

Each section becomes one dated JSON file in docs/benchmarks with the machine, the versions and
every figure.  Run it on a machine that does nothing else; the load average is written down.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import click
from tqdm import tqdm

from keyvault.console import Command
from keyvault.errors import InputError, OutputError
from keyvault.files import write_whole
from measure import Comparison, environment

SECTIONS = {"camera": "bench_camera", "inference": "bench_inference", "vault": "bench_vault", "video": "bench_video"}
DEFAULT_FOLDER = Path(__file__).parents[1] / "docs" / "benchmarks"


def _comparisons(section: str, rounds: int) -> Iterator[Comparison]:
    """What a section's module yields; modules are imported only when asked for."""
    try:
        module = importlib.import_module(SECTIONS[section])
    except ModuleNotFoundError as error:
        raise InputError(
            f"section {section} needs {error.name}, which is not installed", hint="pip install '.[host]'"
        ) from error
    return cast(Iterator[Comparison], module.run(rounds))


def measure_section(name: str, rounds: int) -> dict[str, Any]:
    """Run one section, printing each comparison as it is done; returns what its file holds."""
    found = environment()
    comparisons = []
    for comparison in tqdm(_comparisons(name, rounds), desc=name, disable=None):
        tqdm.write(comparison.table() + "\n")
        comparisons.append(comparison.to_json())
    return {"command": f"python tools/benchmark.py --section {name} --rounds {rounds}", "environment": found} | {
        "comparisons": comparisons
    }


@click.command(cls=Command)
@click.option("--section", "sections", type=click.Choice(list(SECTIONS)), multiple=True, help="What; all by default.")
@click.option("--rounds", type=click.IntRange(1), default=15, show_default=True, help="Paired rounds a comparison.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    default=DEFAULT_FOLDER,
    show_default="docs/benchmarks",
    help="Folder for the dated files.",
)
def main(sections: tuple[str, ...], rounds: int, output: Path) -> None:
    """Measure what the README claims, beside what one would use otherwise."""
    if not output.is_dir():
        raise OutputError(f"{output} is not a folder", hint="make it first")
    for name in sections or SECTIONS:
        result = measure_section(name, rounds)
        path = output / f"{result['environment']['date'][:10]}-{name}.json"
        write_whole(path, (json.dumps(result, indent=1) + "\n").encode("ascii"))
        click.echo(f"written to {path}")


if __name__ == "__main__":
    main()
