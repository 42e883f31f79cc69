"""Result files by date, ``YYYY-MM-DD-name.json``: which is the newest, and what it was made with."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import click

from json_files import misfit, read_kept
from keyvault.files import write_whole
from measure import environment

_DATE = len("YYYY-MM-DD-")
#: Form of what :func:`occasion` reads.
OCCASION = {"date": str, "processor": str, "processors_usable": int}
_MADE = {"command": str, "environment": OCCASION}


def newest(folder: Path) -> dict[str, Path]:
    """The newest file of each name in a folder, by name."""
    found = {path.stem[_DATE:]: path for path in sorted(folder.glob("????-??-??-*.json"))}
    return dict(sorted(found.items()))


def read_result(path: Path) -> dict[str, Any]:
    """What a dated file holds; InputError if it does not say with what it was made."""
    return dict(read_kept(path, _MADE, "a result that says how it was made", _names_occasions))


def _names_occasions(result: dict[str, Any]) -> bool:
    return misfit(made_on(result), [OCCASION]) is None


def occasion(environment: Mapping[str, Any]) -> str:
    """Day and machine of a measurement, of what :func:`measure.environment` returned then."""
    return f"{environment['date'][:10]} on {environment['processor']}, {environment['processors_usable']} cores"


def occasions(environments: Iterable[Mapping[str, Any]]) -> str:
    """Days and machines of several measurements, each once."""
    return "; ".join(sorted({occasion(one) for one in environments}))


def heading(path: Path, result: dict[str, Any], folder: Path) -> str:
    """The line above a table: command, dates, machines, and a link to the file, relative to ``folder``."""
    link = path.relative_to(folder).as_posix()
    return f"`{result['command']}` on {occasions(made_on(result))} (all of it in [{path.name}]({link})):"


def made_on(result: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The environments in which a result was made: those that it names, or else that in which it was written."""
    return result.get("made_on") or [result["environment"]]


def write_dated(name: str, result: dict[str, Any], tables: str, folder: Path) -> None:
    """Write ``DATE-name.json``, which says with what it was made, and the same name's Markdown."""
    made = {"command": result["command"], "environment": environment()} | result
    path = folder / f"{made['environment']['date'][:10]}-{name}.json"
    write_whole(path, (json.dumps(made, indent=1) + "\n").encode("ascii"))
    write_whole(path.with_suffix(".md"), f"{heading(path, made, folder)}\n\n{tables}".encode())
    click.echo(f"written to {path} and {path.with_suffix('.md').name}")
