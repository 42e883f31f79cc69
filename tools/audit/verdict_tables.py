"""An audit's findings as Markdown: the worst verdict of each policy at each place, and every finding."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from audit.bars import number
from audit.finding import Finding, Stand, Verdict, worst_first

_PLACES = {
    Stand.FILE: "At the file",
    Stand.MEMORY: "In the host's memory: unmasked, still shuffled",
    Stand.ACTIVATIONS: "At the activations",
}
_NAMED = 3  # attacks in a cell of the summary


def summary_table(report: Mapping[str, Any]) -> str:
    """A row for each policy, a column for each place: the worst verdict, and which attacks had it.

    Args:
        report: what ``privacy_audit.py`` wrote as findings.json.
    """
    findings = _findings(report)
    lines = [
        "| | the file | the host's memory, mask off | activations |",
        "| --- | --- | --- | --- |",
    ]
    for policy in report["policies"]:
        cells = [_worst([one for one in findings if (one.policy, one.stand) == (policy, stand)]) for stand in Stand]
        lines.append(f"| {policy} | {' | '.join(cells)} |")
    return "\n".join(lines)


def full_tables(report: Mapping[str, Any]) -> str:
    """A table for each place: a row for each attack, a column for each policy, and what each finding reached."""
    cells = {(one.stand, one.attack, one.policy): _cell(one) for one in _findings(report)}
    cells |= {(one["stand"], one["attack"], one["policy"]): "not run" for one in report["not_run"]}
    policies, parts = list(report["policies"]), []
    for stand in Stand:
        attacks = [name for name in report["titles"] if any((stand, name, policy) in cells for policy in policies)]
        if not attacks:
            continue
        lines = [f"### {_PLACES[stand]}", "", f"| | {' | '.join(policies)} |", f"| --- |{' --- |' * len(policies)}"]
        for name in attacks:
            row = [cells.get((stand, name, policy), "") for policy in policies]
            lines.append(f"| {report['titles'][name]} (`{name}`) | {' | '.join(row)} |")
        parts.append("\n".join(lines))
    about = [f"- {name}: {words}" for name, words in report["policies"].items()]
    return "\n\n".join([*parts, "\n".join(about)])


def _findings(report: Mapping[str, Any]) -> list[Finding]:
    return [Finding.from_json(one) for one in report["findings"]]


def _worst(findings: list[Finding]) -> str:
    if not findings:
        return "not attacked"
    worst = worst_first(findings)[0].verdict
    names = [one.attack for one in worst_first(findings) if one.verdict is worst]
    if worst is Verdict.PASS:
        return f"pass ({len(names)} attack{'s' * (len(names) != 1)})"
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"**{worst}**: {', '.join(names[:_NAMED])}{more}"


def _cell(finding: Finding) -> str:
    reached = f"{finding.verdict}: {number(finding.score)} (chance {number(finding.chance)})"
    if finding.verdict is Verdict.FAIL:
        reached = f"**{reached}**"
    if finding.smallest_breaking is None:
        return reached
    return f"{reached}, from {finding.smallest_breaking} frame{'s' * (finding.smallest_breaking != 1)} on"
