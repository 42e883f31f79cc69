"""The audit as one HTML page that needs nothing else, and as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from numpy.typing import NDArray

from audit.appearance import Appearance
from audit.bars import WIDTH, bar, number
from audit.finding import Finding, Stand, Verdict, worst_first
from audit.png import png_text

TEMPLATE = "report.html.j2"
MANY_COLUMNS = 7
PLACES = {
    Stand.FILE: "the file, which anyone may copy",
    Stand.MEMORY: "the host's memory: unmasked, still shuffled",
    Stand.ACTIVATIONS: "activations after the first layers",
}


@dataclass(frozen=True, slots=True)
class NotRun:
    """An attack that was left out, and why."""

    attack: str
    stand: Stand
    policy: str
    reason: str

    def to_json(self) -> dict[str, Any]:
        """What was left out as JSON values."""
        return {"attack": self.attack, "stand": str(self.stand), "policy": self.policy, "reason": self.reason}


@dataclass(frozen=True, slots=True, eq=False)
class Report:
    """Everything that the page says.

    Attributes:
        audited: what was audited, one line a thing.
        policies: names in the order of the table, with what each is in words.
        titles: of the attacks, by name.
        findings: in any order.
        not_run: what was left out.
        appearances: what proves nothing, one of each policy where there is any.
        environment: of ``measure.environment``, as the report is written.
        made_on: the same as each finding was made, in any order.
        command: that makes this report again.
        code: digest of the program that found all this, of ``audit.registry.code_digest``.
        seed: of the attacks' random numbers.
    """

    audited: Sequence[str]
    policies: Mapping[str, str]
    titles: Mapping[str, str]
    findings: Sequence[Finding]
    not_run: Sequence[NotRun]
    appearances: Sequence[Appearance]
    environment: Mapping[str, Any]
    made_on: Sequence[Mapping[str, Any]]
    command: str
    code: str
    seed: int

    @property
    def occasions(self) -> list[dict[str, Any]]:
        """On which days, machines and versions findings were made, each once."""
        found = [{name: one[name] for name in _OCCASION} | {"date": one["date"][:10]} for one in self.made_on]
        return sorted((one for number, one in enumerate(found) if one not in found[:number]), key=_when)

    def to_json(self) -> dict[str, Any]:
        """The report as JSON values, findings worst first, without pictures, which the page has."""
        return {
            "command": self.command,
            "code": self.code,
            "seed": self.seed,
            "environment": dict(self.environment),
            "made_on": self.occasions,
            "audited": list(self.audited),
            "policies": dict(self.policies),
            "titles": dict(self.titles),
            "findings": [replace(finding, pictures={}).to_json() for finding in worst_first(self.findings)],
            "not_run": [left_out.to_json() for left_out in self.not_run],
            "proves_nothing": [one.to_json() for one in self.appearances],
        }


_OCCASION = ("date", "processor", "processors_usable", "python", "versions")


def _when(occasion: Mapping[str, Any]) -> str:
    return str(occasion["date"])


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the summary: one attack at one place, and a cell for each policy; None where nothing was tried."""

    attack: str
    stand: Stand
    cells: Sequence[tuple[str, Finding | NotRun | None]]


@dataclass(frozen=True, slots=True)
class Standing:
    """How a policy did at one place: its worst verdict, None if nothing ran, and the attacks that had it."""

    stand: Stand
    verdict: Verdict | None
    attacks: Sequence[str]


def summary(report: Report) -> list[Row]:
    """A row for each attack and place that occurs, in the order of the report's titles."""
    cells: dict[tuple[str, Stand, str], Finding | NotRun] = {}
    cells |= {(one.attack, one.stand, one.policy): one for one in report.not_run}
    cells |= {(one.attack, one.stand, one.policy): one for one in report.findings}
    asked = [(attack, stand) for attack in report.titles for stand in Stand]
    rows = [Row(*at, [(policy, cells.get((*at, policy))) for policy in report.policies]) for at in asked]
    return [row for row in rows if any(cell for _, cell in row.cells)]


def standings(report: Report, policy: str) -> list[Standing]:
    """How a policy did at each place where it was attacked."""
    found = []
    for stand in Stand:
        own = worst_first(f for f in report.findings if (f.policy, f.stand) == (policy, stand))
        tried = own or any((left.policy, left.stand) == (policy, stand) for left in report.not_run)
        worst = own[0].verdict if own else None
        attacks = [report.titles.get(f.attack, f.attack) for f in own if f.verdict is worst]
        if tried:
            found.append(Standing(stand, worst, attacks))
    return found


@dataclass(frozen=True, slots=True)
class Entry:
    """What the page tells once: a finding, and all those that say the same of other policies."""

    finding: Finding
    alike: Sequence[Finding]

    @property
    def policies(self) -> str:
        """Names of all policies that it is of."""
        return ", ".join(one.policy for one in self.alike)


def entries(findings: Iterable[Finding]) -> list[Entry]:
    """Findings worst first; those of attacks to which the policy makes no difference are told together."""
    found: dict[str, list[Finding]] = {}
    for one in worst_first(findings):
        found.setdefault(json.dumps(replace(one, policy="").to_json()), []).append(one)
    return [Entry(alike[0], alike) for alike in found.values()]


def picture_uri(picture: NDArray[np.uint8]) -> str:
    """A picture, (h, w) grey or (h, w, 3) RGB, as a data URI of a PNG file; InputError if it has another shape."""
    return f"data:image/png;base64,{png_text(picture)}"


def anchor(finding: Finding) -> str:
    """The name of a finding's place on the page."""
    return f"{finding.attack}-{finding.stand}-{finding.policy}".replace(":", "-").replace(" ", "-")


def render(report: Report) -> str:
    """The page; everything on it is in it."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": number, "picture": picture_uri, "bar": bar, "anchor": anchor}
    return environment.get_template(TEMPLATE).render(
        report=report,
        rows=summary(report),
        standings={policy: standings(report, policy) for policy in report.policies},
        entries=entries(report.findings),
        places=PLACES,
        marks={"fail": "✗", "warn": "!", "inconclusive": "?", "pass": "✓"},
        many=len(report.policies) > MANY_COLUMNS,
        width=WIDTH,
    )
