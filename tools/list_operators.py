"""Write docs/supported_operators.md from the table of rules, or check that it is up to date."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from torch._ops import OpOverload

from inference.passes.cleanup import NO_OPS, SAME_VALUES
from inference.passes.decompose import ALIASES, DECOMPOSITIONS
from inference.rules import RULES

TARGET = Path(__file__).resolve().parent.parent / "docs" / "supported_operators.md"
HEAD = """# Supported operators

Written by `tools/list_operators.py` from the table of rules; do not edit it.

An operator has to be listed here only where one of its inputs is shuffled. Behind the last shuffled
value, and on parameters alone, any operator may be used. What a rule cannot do is refused with the
reason, before anything is converted.
"""


def page() -> str:
    """The whole page."""
    removed = "Removed: without effect in evaluation mode, or on values."
    sections = [
        ("Rules", "How each runs on shuffled values.", _rows(RULES)),
        (
            "Written as other operators",
            "Replaced by operators above before rules are looked up.",
            _rows(DECOMPOSITIONS),
        ),
        ("Other names", "Treated as the operator on the right.", _pairs({**ALIASES, **SAME_VALUES})),
        ("Removed", removed, [f"- `{name}`" for name in sorted(map(_name, NO_OPS))]),
    ]
    body = [f"## {title}\n\n{text}\n\n" + "\n".join(rows) + "\n" for title, text, rows in sections]
    return "\n".join([HEAD, *body])


def _rows(table: dict[OpOverload, Callable[..., Any]]) -> list[str]:
    rows = sorted((_name(operator), _first_line(function)) for operator, function in table.items())
    return ["| operator | how |", "| --- | --- |", *(f"| `{name}` | {line} |" for name, line in rows)]


def _pairs(table: dict[OpOverload, OpOverload]) -> list[str]:
    rows = sorted((_name(one), _name(other)) for one, other in table.items())
    return ["| name | operator |", "| --- | --- |", *(f"| `{one}` | `{other}` |" for one, other in rows)]


def _name(operator: OpOverload) -> str:
    return str(operator).removeprefix("aten.")


def _first_line(function: Callable[..., Any]) -> str:
    return (inspect.getdoc(function) or "").partition("\n")[0]


@click.command()
@click.option("--check", is_flag=True, help="Only say whether the page is up to date.")
def main(check: bool) -> None:
    """Write docs/supported_operators.md."""
    if not check:
        TARGET.write_text(page(), encoding="utf-8")
    elif TARGET.read_text(encoding="utf-8") != page():
        click.echo("docs/supported_operators.md is out of date; run python tools/list_operators.py", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
