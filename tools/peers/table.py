"""Table 2 from what has been measured: one row a peer, as JSON values and as Markdown.

What nobody has measured stays None and is printed as "not trained", "not measured" or "not audited".
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from cifar10 import TRAINED_IMAGES
from keyvault.errors import InputError
from peers.registry import AUDIT_PREFIX, PEERS, Peer
from recipe import PLAIN
from training_runs import budget, unseen

#: Verdicts of an audit, the worst first.
VERDICTS = ("fail", "inconclusive", "warn", "pass")
HEADER = (
    "| | network | parameters, M | accuracy on unseen images | trained | transformation, us an image | inference, x "
    "| PNG, x | WebP, x | audit |\n| --- | --- | ---: | --- | --- | ---: | ---: | ---: | ---: | --- |"
)


def runs_of(name: str, runs: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The runs that count for a peer: its own network before others, longer ones before shorter ones.

    The predictions of a keyed network are those of the plain one, so its runs are those on plain images.
    """
    peer = PEERS[name]
    transform = PLAIN if peer.keyed else name
    own = [run for run in runs if (run["recipe"]["transform"], run["recipe"]["private"]) == (transform, PLAIN)]
    if peer.keyed:
        own = [run for run in own if run["recipe"]["model"] == peer.network]
    return sorted(own, key=lambda run: (run["recipe"]["model"] != peer.network, -run["recipe"]["epochs"]))


def verdict_of(name: str, findings: Sequence[dict[str, Any]]) -> str | None:
    """The worst verdict of an audit's findings for ``peer:NAME``, or None if it has none.

    Raises:
        InputError: a finding has no known verdict.
    """
    own = [finding.get("verdict") for finding in findings if finding.get("policy") == f"{AUDIT_PREFIX}{name}"]
    unknown = [verdict for verdict in own if verdict not in VERDICTS]
    if unknown:
        raise InputError(f"{unknown[0]!r:.40} is not a verdict", hint=f"one of: {', '.join(VERDICTS)}")
    return min(own, key=VERDICTS.index) if own else None


def row(name: str, measured: dict[str, Any], runs: list[dict[str, Any]], verdict: str | None) -> dict[str, Any]:
    """One row as JSON values; ``measured`` holds the costs that are known."""
    peer = PEERS[name]
    published = peer.published
    return {
        "name": name,
        "title": peer.title,
        "network": peer.network,
        "published": None
        if published is None
        else {"parameters_M": published.parameters, "accuracy_percent": published.accuracy, "note": published.note},
        "runs": runs_of(name, runs),
        "transformation": measured.get("transformation"),
        "inference": measured.get("inference"),
        "environment": measured.get("environment"),
        "audit": verdict,
    }


def render(rows: Iterable[dict[str, Any]]) -> str:
    """The table as Markdown, with what it compares below."""
    lines = [HEADER]
    notes = []
    for found in rows:
        lines.append(_line(found, PEERS[found["name"]]))
        if found["published"] and found["published"]["note"]:
            notes.append(f"- {found['title']}: {found['published']['note']}.")
    return "\n".join([*lines, "", *notes, *_FOOTNOTES]) + "\n"


_FOOTNOTES = (
    "- Published figures are those of Table 2 of Perez et al., ICASSP 2024; nothing that is marked so was measured "
    "here.",
    f"- Accuracy: images that were never trained on, with its 95 % interval; trained on {TRAINED_IMAGES:,} images.",
    "- Inference: time of the network divided by that of plain PreResNet-110 in the same round.",
    "- PNG and WebP: bytes of the protected images under lossless compression divided by those of the plain images "
    "(scaled up, where the peer scales them).",
)


def _line(found: dict[str, Any], peer: Peer) -> str:
    run = found["runs"][0] if found["runs"] else None
    cost, inference = found["transformation"], found["inference"]
    cells = [
        found["title"],
        (run["recipe"]["model"] if run else peer.network) or "any",
        _parameters(found, run),
        _accuracy(found, run),
        budget(run) if run else "",
        f"{cost['microseconds']:.1f}" if cost else "not measured",
        f"{inference['ratio']:.2f}" if inference else "not measured" if peer.network else "",
        f"{cost['sizes']['png'] / cost['plain']['png']:.2f}" if cost else "not measured",
        f"{cost['sizes']['webp'] / cost['plain']['webp']:.2f}" if cost else "not measured",
        found["audit"] or "not audited",
    ]
    return f"| {' | '.join(cells)} |"


def _parameters(found: dict[str, Any], run: dict[str, Any] | None) -> str:
    count = run["parameters"] if run else found["inference"]["parameters"] if found["inference"] else None
    own = "" if count is None else f"{count / 1e6:.2f}"
    published = found["published"]
    return f"{own} (published: {published['parameters_M']:.2f})" if published else own


def _accuracy(found: dict[str, Any], run: dict[str, Any] | None) -> str:
    measured = str(unseen(run)) if run else "not trained"
    published = found["published"]
    return f"{measured}; published: {published['accuracy_percent']:.2f} %" if published else measured
