"""Table 2 from what has been measured: one row a peer, as JSON values and as Markdown.

What nobody has measured stays None and is printed as "not trained", "not measured" or "not audited".
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from audit.finding import Verdict
from cifar10 import TRAINED_IMAGES
from keyvault.errors import InputError
from peers.registry import AUDIT_PREFIX, PEERS, Peer
from recipe import PLAIN
from training_runs import budget, training_command, unseen

VERDICTS = tuple(map(str, Verdict))  # the worst first
HEADER = (
    "| | network | parameters, M | accuracy on unseen images | trained | transformation, us an image | x "
    "| inference, x | PNG, x | WebP, x | audit |\n| --- | --- | ---: | --- | --- | ---: | ---: | ---: | ---: | ---: "
    "| --- |"
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


def verdict_of(name: str, findings: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    """The worst verdict of an audit's findings for ``peer:NAME``, of how many; None if it has none.

    Raises:
        InputError: a finding has no known verdict.
    """
    own = [finding.get("verdict") for finding in findings if finding.get("policy") == f"{AUDIT_PREFIX}{name}"]
    unknown = [verdict for verdict in own if verdict not in VERDICTS]
    if unknown:
        raise InputError(f"{unknown[0]!r:.40} is not a verdict", hint=f"one of: {', '.join(VERDICTS)}")
    if not own:
        return None
    worst = min(own, key=VERDICTS.index)
    return {"verdict": worst, "attacks": len(own), "with_this_verdict": own.count(worst)}


def row(
    name: str, measured: dict[str, Any], runs: list[dict[str, Any]], verdict: dict[str, Any] | None
) -> dict[str, Any]:
    """One row as JSON values; ``measured`` holds the costs that are known."""
    peer = PEERS[name]
    published = peer.published
    return {
        "name": name,
        "title": peer.title,
        "network": peer.network,
        "published": None
        if published is None
        else {"parameters_M": published.parameters, "accuracy_percent": published.accuracy},
        "runs": runs_of(name, runs),
        **{cost: measured.get(cost) for cost in ("transformation", "compression", "inference")},
        "audit": verdict,
    }


def render(found: dict[str, Any]) -> str:
    """The table as Markdown, with what it compares below."""
    names = [one["name"] for one in found["rows"]]
    lines = [HEADER, *(_line(one, PEERS[one["name"]]) for one in found["rows"])]
    notes = [f"- {PEERS[name].title}: {PEERS[name].note}." for name in names if PEERS[name].note]
    if found["measured"]:
        notes.append(f"- Costs were measured {', '.join(found['measured'])}.")
    if found["audit"]:
        notes.append(f"- Audit: `{found['audit']['command']}` on {found['audit']['made']}.")
    return "\n".join([*lines, "", *notes, *_FOOTNOTES, *_training(names)]) + "\n"


def _training(names: Iterable[str]) -> list[str]:
    """The commands that train the networks of peers, those that there are."""
    commands = [f"  - {PEERS[name].title}: `{command}`" for name in names if (command := training_of(name))]
    return ["- Networks are trained by:", *commands] if commands else []


def training_of(name: str) -> str | None:
    """The command that trains a peer's own network; None if it has none."""
    peer = PEERS[name]
    if peer.network is None:
        return None
    if peer.keyed:
        return training_command(peer.network, peer.network, lr=peer.learning_rate)
    return training_command(peer.network, name, transform=name, lr=peer.learning_rate)


_FOOTNOTES = (
    "- Published figures are those of Table 2 of Perez et al., ICASSP 2024; nothing that is marked so was measured "
    "here.",
    f"- Accuracy: images that were never trained on, with its 95 % interval; trained on {TRAINED_IMAGES:,} images.",
    "- Of a keyed network, accuracy is that of the plain network on plain images: Table 1 holds the predictions of the "
    "two against each other, image by image, for the networks that it has.",
    "- Transformation: NumPy and OpenCV on one thread, 100 images at a time; all peers took turns, and x is their "
    "time divided by that of the pixel shuffle in the same round. PrivConv at 224 x 224 has 49 times the pixels.",
    "- Inference: time of the peer's own network divided by that of plain PreResNet-110 in the same round; in both, "
    "batch norms that follow a convolution are folded into it, and the plain ones run channels last.",
    "- PNG and WebP: bytes of the protected images under lossless compression divided by those of the plain colour "
    "images (scaled up, where the peer scales them); EtC's grey-based form is stored as the grey image that it is.",
    "- Audit: the worst verdict, and how many of the attacks have it.",
)


def _line(found: dict[str, Any], peer: Peer) -> str:
    run = found["runs"][0] if found["runs"] else None
    network = run["recipe"]["model"] if run else peer.network
    cells = [
        found["title"],
        network or "any",
        _parameters(found, run),
        _accuracy(found, run),
        budget(run) if run else "",
        *_transformation(found["transformation"]),
        _inference(found["inference"]) if network == peer.network and network else "",
        *_compression(found["compression"]),
        _verdict(found["audit"]),
    ]
    return f"| {' | '.join(cells)} |"


def _transformation(cost: dict[str, Any] | None) -> tuple[str, str]:
    return (f"{cost['microseconds']:.1f}", f"{cost['ratio']:.2f}") if cost else ("not measured", "")


def _inference(cost: dict[str, Any] | None) -> str:
    return f"{cost['ratio']:.2f}" if cost else "not measured"


def _compression(cost: dict[str, Any] | None) -> tuple[str, str]:
    if cost is None:
        return "not measured", "not measured"
    protected, plain = cost["protected"], cost["plain"]
    return f"{protected['png'] / plain['png']:.2f}", f"{protected['webp'] / plain['webp']:.2f}"


def _verdict(audit: dict[str, Any] | None) -> str:
    return f"{audit['verdict']} ({audit['with_this_verdict']} of {audit['attacks']})" if audit else "not audited"


def _parameters(found: dict[str, Any], run: dict[str, Any] | None) -> str:
    count = run["parameters"] if run else found["inference"]["parameters"] if found["inference"] else None
    own = "" if count is None else f"{count / 1e6:.2f}"
    published = found["published"]
    return f"{own} (published: {published['parameters_M']:.2f})" if published else own


def _accuracy(found: dict[str, Any], run: dict[str, Any] | None) -> str:
    measured = f"{unseen(run)}{'' if run['holds_out'] else ', test file'}" if run else "not trained"
    published = found["published"]
    return f"{measured}; published: {published['accuracy_percent']:.2f} %" if published else measured
