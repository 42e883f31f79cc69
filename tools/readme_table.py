"""The tables in README and documents, from the newest files in docs/benchmarks and docs/results.

python tools/readme_table.py            # write them
python tools/readme_table.py --check    # fail if they are out of date
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import click

import benchmark_tables
import evidence_tables
from dated_results import newest
from keyvault.console import Command
from keyvault.errors import InputError
from keyvault.files import write_whole

ROOT = Path(__file__).parents[1]

#: Markdown of the newest files by name, with links relative to a folder.
Tables = Callable[[Mapping[str, Path], Path], str]


@dataclass(frozen=True, slots=True)
class Block:
    """A part of a document that is written from results.

    Attributes:
        document: where it is.
        name: in its markers.
        results: the folder with the result files.
        tables: what is written.
    """

    document: Path
    name: str
    results: Path
    tables: Tables

    @property
    def markers(self) -> tuple[str, str]:
        """The lines before and after it."""
        return f"<!-- {self.name}: written by tools/readme_table.py -->", f"<!-- end of {self.name} -->"

    def put_into(self, text: str) -> str:
        """The document's text with this block up to date; InputError if it has no markers for it."""
        begin, end = self.markers
        before, found, rest = text.partition(begin)
        _, ended, after = rest.partition(end)
        if not found or not ended:
            raise InputError(f"{self.document.name} has no place for the {self.name}", hint=f"put {begin} and {end} in")
        tables = self.tables(newest(self.results), self.document.parent)
        return f"{before}{begin}\n\n{tables}\n\n{end}{after}"


BLOCKS = (
    Block(ROOT / "README.md", "results", ROOT / "docs" / "results", evidence_tables.render),
    Block(ROOT / "README.md", "benchmarks", ROOT / "docs" / "benchmarks", benchmark_tables.render_networks),
    Block(
        ROOT / "docs" / "benchmarks" / "README.md", "benchmarks", ROOT / "docs" / "benchmarks", benchmark_tables.render
    ),
    Block(ROOT / "docs" / "privacy_audit.md", "verdicts", ROOT / "docs" / "results", evidence_tables.render_audit),
)


def renewed() -> dict[Path, str]:
    """The text that each document should have."""
    texts: dict[Path, str] = {}
    for block in BLOCKS:
        texts[block.document] = block.put_into(texts.get(block.document) or block.document.read_text())
    return texts


@click.command(cls=Command, name="readme_table")
@click.option("--check", is_flag=True, help="Change nothing; fail if a document is out of date.")
def main(check: bool) -> None:
    """Put the newest measurements and results into README and documents."""
    for document, text in renewed().items():
        if document.read_text() == text:
            continue
        if check:
            raise InputError(f"{document.name}'s tables are out of date", hint="run python tools/readme_table.py")
        write_whole(document, text.encode())


if __name__ == "__main__":
    sys.exit(main())
