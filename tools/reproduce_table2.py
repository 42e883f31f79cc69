"""Table 2, the peers: python tools/reproduce_table2.py --data DIR --runs runs --audit audit.json

Times every transformation and network, measures how well protected images compress, takes accuracies from finished
runs of train_cifar10 and verdicts from an audit, and writes docs/results/DATE-table2.json and .md; what lacks runs or
an audit, or takes another number of images, says so in its name.  A run counts if it began with drawn weights and is of
the images at hand.  Whatever was measured is kept in the work folder: stop it at any time, and the same command goes
on.  What has not been trained is printed as not trained.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import click
import cv2
import torch
from tqdm import tqdm

import bench_inference
import cifar10
import inference
import measure
import peers
from audit.finding import Finding
from audit.peer_subjects import ALL
from audit.registry import all_peer_attacks, code_digest
from counted_runs import AtHand, Run, counted_runs
from dated_results import OCCASION, made_on, occasion, occasions, write_dated
from fingerprint import files_digest
from json_files import read_kept
from kept_results import command_line
from keyvault.console import Command
from keyvault.errors import InputError
from keyvault.files import make_folder, write_whole
from measure import environment
from peers.block_cipher import Images
from peers.registry import AUDIT_PREFIX, PEERS
from recipe import PLAIN
from table2 import cost, inference_cost
from table2.cost import measure_peer, time_transformations
from table2.table import render, row, runs_of, verdict_of
from training_runs import find_runs

DEFAULT_FOLDER = Path(__file__).parents[1] / "docs" / "results"
#: What decides costs: the peers, and how they, our own network and its plain counterpart are timed.
COSTS_CODE = [
    *(Path(str(one.__file__)) for one in (bench_inference, measure, cost, inference_cost)),
    *(Path(str(one.__file__)).parent for one in (inference, peers)),
]
IMAGES, MOST_IMAGES = 500, 1000

_SIZES = {"png": int, "webp": int}
_TIME = {"microseconds": float, "ratio": float}
_OF_A_PEER = {
    "compression": {"protected": _SIZES, "plain": _SIZES, "images": int},
    "inference": ({"parameters": int, "ratio": float}, None),
    "environment": dict,
}
_OF_AN_ATTACK = {"policy": str, "attack": str}
_AUDIT = {
    "command": str,
    "code": str,
    "environment": OCCASION,
    "made_on": [OCCASION],
    "findings": [_OF_AN_ATTACK],
    "not_run": [_OF_AN_ATTACK],
}
TIMES = "transformations"  # name of the file with the times of all peers


@dataclass(frozen=True)
class Effort:
    """What is measured and how thoroughly; results of another effort are not mixed with these.

    Attributes:
        code: SHA-256 of the code that decides costs.
        scenes: SHA-256 of the images that are protected.
        images: how many they are.
        batch: of inference.
        rounds: timed, paired.
        seed: of every key.
        threads: of PyTorch.
    """

    code: str
    scenes: str
    images: int
    batch: int
    rounds: int
    seed: int
    threads: int


@dataclass(frozen=True)
class Work:
    """A folder that keeps what was measured with one effort."""

    folder: Path
    effort: Effort

    def kept(self, name: str, form: dict[str, Any], measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """What an earlier run has kept under a name, or else what ``measure`` returns, which is then kept.

        Raises:
            InputError: it was measured with another effort, or is damaged.
        """
        path = self.folder / f"{name}.json"
        if path.exists():
            found = read_kept(path, {"effort": dict, "measured": form}, "what was measured of peers", _comparable)
            if found["effort"] != asdict(self.effort):
                hint = "remove it, or give another work folder"
                raise InputError(f"{path} was measured by other code, with other options or of other images", hint=hint)
            return dict(found["measured"])
        measured = {**measure(), "environment": environment()}
        write_whole(path, json.dumps({"effort": asdict(self.effort), "measured": measured}, indent=1).encode("ascii"))
        return measured

    def times(self, images: Images) -> dict[str, Any]:
        """Times of all transformations, as JSON values by name of the peer."""

        def measure() -> dict[str, Any]:
            found = time_transformations(PEERS, images, seed=self.effort.seed, rounds=self.effort.rounds)
            return {"transformations": {name: asdict(one) for name, one in found.items()}}

        of_peers: dict[Any, Any] = {str: _TIME, **dict.fromkeys(PEERS, _TIME)}
        return self.kept(TIMES, {"transformations": of_peers, "environment": dict}, measure)

    def peer(self, name: str, images: Images) -> dict[str, Any]:
        """What one peer costs besides, as JSON values."""
        options = {option: getattr(self.effort, option) for option in ("seed", "batch", "rounds")}
        return self.kept(name, _OF_A_PEER, partial(measure_peer, PEERS[name], images, **options))


def _comparable(found: dict[str, Any]) -> bool:
    measured = found["measured"]
    return "compression" not in measured or min(measured["compression"]["plain"].values()) > 0


def read_audit(path: Path | None) -> dict[str, Any]:
    """Report of an audit as JSON values; without findings if there is none.

    Raises:
        InputError: it is not what this state of privacy_audit writes, or not of every peer and attack.
    """
    if path is None:
        return {"findings": []}
    hint = f"give findings.json of privacy_audit --policy {ALL}"
    found = dict(read_kept(path, _AUDIT, "a report of this program's privacy_audit", hint=hint))
    if found["code"] != code_digest():
        raise InputError(
            f"{path} is of another state of the peers, or of the attacks on them",
            hint=f"audit again; {hint}",
        )
    tried = {(one["policy"], one["attack"]) for one in (*found["findings"], *found["not_run"])}
    lacking = {(f"{AUDIT_PREFIX}{name}", attack) for name in PEERS for attack in all_peer_attacks()} - tried
    if lacking:
        raise InputError(
            f"{path} lacks {' of '.join(reversed(min(lacking)))}",
            hint=f"audit --policy {ALL} with all attacks",
        )
    of_peers = {Finding.from_json(one).policy for one in found["findings"]}
    empty = [name for name in PEERS if f"{AUDIT_PREFIX}{name}" not in of_peers]
    if empty:
        raise InputError(f"{path} has no finding on {empty[0]}", hint="audit with more scenes")
    return found


def _source(audit: dict[str, Any]) -> dict[str, str]:
    """Where verdicts are from."""
    return {"command": audit["command"], "made": occasions(made_on(audit)), "code": audit["code"]}


def result_name(images: int, *, runs: bool, audit: bool) -> str:
    """Of the result: what lacks something does not take the place of the whole table."""
    parts = ["table2", *([f"images{images}"] if images != IMAGES else [])]
    return "-".join([*parts, *(f"without-{what}" for what, given in (("runs", runs), ("audit", audit)) if not given)])


def costs_digest() -> str:
    """SHA-256 of the code that decides costs, hexadecimal."""
    return files_digest(path for place in COSTS_CODE for path in sorted(place.rglob("*.py")) or [place])


def costs_measured(measured: Iterable[dict[str, Any]]) -> list[str]:
    """On which days and machines costs were measured."""
    return sorted({f"on {occasion(one['environment'])}" for one in measured})


def objection_to(run: Run, at_hand: AtHand) -> str | None:
    """Why a run does not count, or None if it does: rows are of networks that were trained from the beginning."""
    return at_hand.objection(run) if run["recipe"]["init"] == PLAIN else "it began with weights of another training"


@click.command(
    cls=Command,
    name="reproduce_table2",
    goes_on="the same command goes on from there",
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.option("--data", type=click.Path(path_type=Path), required=True, help="CIFAR-10, binary or python layout.")
@click.option("--runs", type=click.Path(path_type=Path, exists=True, file_okay=False), help="Runs of train_cifar10.")
@click.option("--audit", type=click.Path(path_type=Path), help="Findings of privacy_audit --policy peer:all.")
@click.option("--work", type=click.Path(path_type=Path), default=Path("runs/table2"), show_default=True)
@click.option("--images", default=IMAGES, show_default=True, type=click.IntRange(1, MOST_IMAGES), help="Test images.")
@click.option("--batch", default=16, show_default=True, type=click.IntRange(1), help="Of inference.")
@click.option("--rounds", default=9, show_default=True, type=click.IntRange(1), help="Timed; medians are kept.")
@click.option("--seed", default=1, show_default=True, type=click.IntRange(0), help="Of every key.")
@click.option("--threads", default=1, show_default=True, type=click.IntRange(1), help="CPU threads of PyTorch.")
@click.option("-o", "--output", type=click.Path(path_type=Path), default=DEFAULT_FOLDER, show_default="docs/results")
@click.pass_context
def main(context: click.Context, /, **options: Any) -> None:
    """Assemble Table 2 from what is measured here, what was trained and what was audited."""
    torch.set_num_threads(options["threads"])
    cv2.setNumThreads(1)
    torch.manual_seed(options["seed"])
    trained = counted_runs(
        find_runs(options["runs"]) if options["runs"] else {},
        lambda run: any(runs_of(name, [run]) for name in PEERS),
        partial(objection_to, at_hand=AtHand(partial(cifar10.load, options["data"]), {})),
    )
    audit = read_audit(options["audit"])
    scenes = cifar10.load(options["data"], "test").images[: options["images"]]
    given = {name: options[name] for name in ("images", "batch", "rounds", "seed", "threads")}
    work = Work(options["work"], Effort(costs_digest(), sha256(scenes.tobytes()).hexdigest(), **given))
    make_folder(work.folder)
    make_folder(options["output"])
    times = work.times(scenes)
    costs = {name: work.peer(name, scenes) for name in tqdm(PEERS, desc="peers", disable=None)}
    rows = [
        row(
            name,
            found | {"transformation": times["transformations"][name]},
            trained,
            verdict_of(name, audit["findings"]),
        )
        for name, found in costs.items()
    ]
    result = {
        "command": command_line(context),
        "effort": asdict(work.effort),
        "measured": costs_measured([times, *costs.values()]),
        "audit": _source(audit) if options["audit"] else None,
        "rows": rows,
    }
    name = result_name(options["images"], runs=bool(trained), audit=bool(options["audit"]))
    write_dated(name, result, render(result), options["output"])


if __name__ == "__main__":
    sys.exit(main())
