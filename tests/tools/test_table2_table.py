"""What the table makes of runs, findings and published figures."""

from __future__ import annotations

import shlex

import pytest
from small_table2 import run_of

import train_cifar10
from audit.finding import Verdict
from keyvault.errors import InputError
from peers.registry import PEERS, Published
from recipe import PLAIN
from table2.table import render, row, runs_of, verdict_of
from training import input_side


def test_the_accuracy_of_the_test_file_alone_is_called_so() -> None:
    run = run_of("shakedrop-le", "le")
    own = render({"rows": [row("le", {}, [run], None)], "measured": [], "audit": None})
    assert "(3000 of 6000; 95 % interval 48.74 to 51.26) | 3 epochs" in own
    of_others = render({"rows": [row("le", {}, [run | {"holds_out": False}], None)], "measured": [], "audit": None})
    assert "(500 of 1000; 95 % interval 46.91 to 53.09), test file | 3 epochs" in of_others
    assert "Of a keyed network, accuracy is that of the plain network on plain images" in of_others


def test_published_figures_are_marked_and_stand_in_for_nothing() -> None:
    text = render({"rows": [row(name, {}, [], None) for name in PEERS], "measured": [], "audit": None})
    lines = [line for line in text.splitlines() if line.startswith("| ") and "---" not in line][1:]
    assert len(lines) == len(PEERS)
    for line, peer in zip(lines, PEERS.values(), strict=True):
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        assert cells[3].startswith("not trained")
        assert cells[-1] == "not audited"
        if peer.published:
            assert cells[3] == f"not trained; published: {peer.published.accuracy:.2f} %"
            assert cells[2] == f"(published: {peer.published.parameters:.2f})"
        else:
            assert "published" not in line


def test_a_peers_own_network_comes_first_then_the_longer_run() -> None:
    runs = [
        run_of("resnet20", "ele", 90),
        run_of("shakedrop-ele", "ele", 2),
        run_of("shakedrop-ele", "ele", 5),
        run_of("shakedrop-ele", "etc", 9),
    ]
    chosen = [(run["recipe"]["model"], run["recipe"]["epochs"]) for run in runs_of("ele", runs)]
    assert chosen == [("shakedrop-ele", 5), ("shakedrop-ele", 2), ("resnet20", 90)]


def test_inference_is_that_of_the_network_which_was_trained() -> None:
    costs = {"inference": {"parameters": 28_500_000, "ratio": 16.86}}
    table = [
        row("le", costs, [run_of(model, "le")] if model else [], None) for model in ("", "shakedrop-le", "resnet20")
    ]
    text = render({"rows": table, "measured": [], "audit": None})
    lines = [line for line in text.splitlines() if line.startswith("| LE")]
    assert ["16.86" in line for line in lines] == [True, True, False]


def test_a_keyed_networks_runs_are_those_on_plain_images() -> None:
    plain, shuffled, other = (
        run_of("preresnet110", "none"),
        run_of("preresnet110", "pixel-shuffle"),
        run_of("vgg16", "none"),
    )
    assert runs_of("pixel-shuffle", [shuffled, other, plain]) == [plain]


def test_the_worst_verdict_counts() -> None:
    def worst(found: list[dict[str, str]], name: str = "le") -> str:
        verdict = verdict_of(name, found)
        return f"{verdict['verdict']} {verdict['with_this_verdict']}/{verdict['attacks']}" if verdict else ""

    findings = [{"policy": "peer:le", "verdict": verdict} for verdict in ("pass", "warn", "inconclusive")]
    fail = {"policy": "peer:le", "verdict": "fail"}
    assert worst(findings) == "warn 1/3"
    assert worst([*findings, fail, fail]) == "fail 2/5"
    assert worst([*findings, {**fail, "policy": "le"}]) == "warn 1/3"  # a policy's name
    assert worst(findings, "ele") == ""


def test_verdicts_have_one_order() -> None:
    order = [str(verdict) for verdict in Verdict]
    for number in range(len(order)):
        told = verdict_of("le", [{"policy": "peer:le", "verdict": verdict} for verdict in reversed(order[number:])])
        assert told == {"verdict": order[number], "attacks": len(order) - number, "with_this_verdict": 1}
    with pytest.raises(InputError, match="'broken' is not a verdict"):
        verdict_of("le", [{"policy": "peer:le", "verdict": "broken"}])


def test_a_peer_says_where_its_published_figures_are() -> None:
    text = render({"rows": [row(name, {}, [], None) for name in PEERS], "measured": [], "audit": None})
    note = "the published figures are of 224 x 224 in 16 x 16 blocks, in the next row."
    assert [line for line in text.splitlines() if line.endswith(note)] == [f"- {PEERS['privconv'].title}: {note}"]
    names = list(PEERS)
    assert PEERS[names[names.index("privconv") + 1]].published == Published(5.35, 92.65)
    assert f"- {PEERS['etc'].title}: 5.35 M is what the paper prints" in text


def test_every_network_of_a_peer_has_the_command_that_trains_it() -> None:
    text = render({"rows": [row(name, {}, [], None) for name in PEERS], "measured": [], "audit": None})
    commands = [line.partition("`")[2].rstrip("`") for line in text.splitlines() if "tools/train_cifar10.py" in line]
    own = {name: peer for name, peer in PEERS.items() if peer.network}
    assert len(commands) == len(own)
    for command, (name, peer) in zip(commands, own.items(), strict=True):
        given = train_cifar10.main.make_context("train_cifar10", shlex.split(command)[2:]).params
        assert (given["model"], given["private"]) == (peer.network, PLAIN)
        assert given["transform"] == (PLAIN if peer.keyed else name)
        assert input_side(given["model"], given["transform"]) == peer.side
        assert given["lr"] == (0.02 if name.startswith("privconv") else 0.2)
