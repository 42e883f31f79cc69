"""What docs/results holds, as Markdown: Table 1, label maps, boxes, the audit's verdicts, Table 2."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import table1.table
import table2.table
from audit.verdict_tables import full_tables, summary_table
from box_agreement import Agreement
from dated_results import heading, read_result

Found = Mapping[str, Any]
_RANDOM = "random weights"
AUDITS = ("audit", "audit-peers")


def render(paths: Mapping[str, Path], folder: Path) -> str:
    """All tables, of the newest files by name; links to them are relative to ``folder``."""
    blocks = [
        _whole("Table 1 of the paper", paths.get("table1"), folder, _table1),
        CLASSES.render(paths, folder),
        LABELS.render(paths, folder),
        BOXES.render(paths, folder),
        _whole("The privacy audit", paths.get("audit"), folder, summary_table),
        _whole("Table 2 of the paper", paths.get("table2"), folder, lambda found: table2.table.render(dict(found))),
    ]
    return "\n\n".join(block.strip() for block in blocks if block)


def render_audit(paths: Mapping[str, Path], folder: Path) -> str:
    """Every finding of the newest audits, of policies and of peers; a sentence if there is none."""
    found = {paths[name]: read_result(paths[name]) for name in AUDITS if name in paths}
    if not found:
        return "No audit of all policies is recorded here yet."
    return "\n\n".join(f"{heading(path, one, folder)}\n\n{full_tables(one)}" for path, one in found.items())


def _whole(title: str, path: Path | None, folder: Path, table: Callable[[Found], str]) -> str:
    if path is None:
        return ""
    found = read_result(path)
    return f"**{title}.** {heading(path, found, folder)}\n\n{table(found)}"


def _table1(found: Found) -> str:
    """The networks that were measured, and the names of the others."""
    measured = [one for one in found["networks"] if one["columns"]]
    others = [one["network"] for one in found["networks"] if not one["columns"]]
    left = f"Without trained weights when this was measured: {', '.join(others)}.\n\n" if others else ""
    return left + table1.table.render(measured).replace("### ", "#### ")


@dataclass(frozen=True, slots=True)
class Comparison:
    """A table with a row for each network.

    Attributes:
        kind: how the names of its result files begin.
        title: what a cell holds.
        columns: titles, by the name of what was measured.
        cell: of one network's figures of one column.
    """

    kind: str
    title: str
    columns: Mapping[str, str]
    cell: Callable[[Found], str]

    def render(self, paths: Mapping[str, Path], folder: Path) -> str:
        """The table, and below it where each row is from; empty if there is no result."""
        results = {path: read_result(path) for name, path in paths.items() if name.startswith(self.kind)}
        if not results:
            return ""
        lines = [self.title, "", f"| | images | {' | '.join(self.columns.values())} |"]
        lines.append(f"| --- | ---: |{' --- |' * len(self.columns)}")
        for path, found in results.items():
            figures, name = found["figures"], path.stem.partition(self.kind)[2]
            cells = [self.cell(figures["rows"][column]) for column in self.columns]
            lines.append(f"| {name}, {_weights(found)}{_noise(found)} | {figures['images']} | {' | '.join(cells)} |")
        return "\n".join([*lines, "", *(f"- {heading(*one, folder).rstrip(':')}" for one in results.items())])


def _weights(found: Found) -> str:
    weights = found["options"]["weights"]
    return _RANDOM if "random" in weights else str(weights["file"])


def _noise(found: Found) -> str:
    """Of the sensor, where the tool can turn it on."""
    return f", noise {found['options']['noise']}" if "noise" in found["options"] else ""


def _named(row: Found) -> str:
    return f"{row['right']}, {row['equal_to_plain']}" if "right" in row else str(row["equal_to_plain"])


def _labelled(row: Found) -> str:
    score = f"{100 * row['mean_iou']:.2f} %, " if "mean_iou" in row else ""
    return f"{score}{100 * row['equal_to_plain']:.5f} %"


def _boxed(row: Found) -> str:
    score = f"AP {100 * row['precision']['ap']:.2f} %, " if "precision" in row else ""
    found = Agreement(**row["agreement"])
    return f"{score}{found.equal:,} of {found.boxes:,}, {found.more:,} more"


CLASSES = Comparison(
    "agreement-",
    "**Photographs**, private frames; a cell: named right, named as by the plain network.",
    {"plain": "plain", "keyed": "keyed", "substituted": "permutation substituted"},
    _named,
)
LABELS = Comparison(
    "segmentation-",
    "**Label maps**, VOC 2012, private frames; a cell: mean IoU, positions labelled as by the plain network.",
    {
        "plain": "plain",
        "keyed": "keyed",
        "substituted": "permutation substituted",
        "unkeyed": "plain network, shuffled frames",
        "rounding": "plain, float64 for float32",
    },
    _labelled,
)
BOXES = Comparison(
    "detection-",
    "**Boxes**, private frames; a cell: boxes that equal one of the plain detector's, of its boxes, and "
    "how many others were found.",
    {
        "keyed": "keyed",
        "substituted": "permutation substituted",
        "unkeyed": "plain, shuffled frames",
        "rounding": "plain, float64 for float32",
    },
    _boxed,
)
