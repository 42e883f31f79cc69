"""Table 2, the peers: python tools/reproduce_table2.py --data DIR --runs runs

Times every transformation and network, measures how well protected images compress, takes accuracies from finished
runs of train_cifar10 and verdicts from an audit, and writes docs/results/DATE-table2.json and .md, or
DATE-table2-imagesN of another number of images.  Whatever was
measured is kept in the work folder: stop it at any time, and the same command goes on.  What has not been trained is
printed as not trained.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import click
import torch
from tqdm import tqdm

import cifar10
from dated_results import write_dated
from json_files import read_json, read_kept
from kept_results import command_line
from keyvault.console import Command
from keyvault.errors import InputError
from keyvault.files import make_folder, write_whole
from measure import environment
from peers.block_cipher import Images
from peers.cost import measure_cost
from peers.inference_cost import measure_inference
from peers.registry import PEERS
from peers.table import render, row, verdict_of
from training_runs import find_runs

DEFAULT_FOLDER = Path(__file__).parents[1] / "docs" / "results"
IMAGES, MOST_IMAGES = 500, 1000

_SIZES = {"png": int, "webp": int}
_KEPT = {
    "effort": dict,
    "measured": {
        "transformation": {"sizes": _SIZES, "plain": _SIZES, "images": int, "microseconds": float},
        "inference": ({"parameters": int, "ratio": float}, None),
        "environment": dict,
    },
}


@dataclass(frozen=True)
class Effort:
    """How much is measured; results of another effort are not mixed with these."""

    images: int
    batch: int
    rounds: int
    seed: int
    threads: int


def kept(path: Path, effort: Effort, measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What PATH holds of an earlier run, or else what ``measure`` returns, which is then put there.

    Raises:
        InputError: it was measured with another effort, or is damaged.
    """
    if path.exists():
        found = read_kept(path, _KEPT, "what was measured of a peer", _comparable)
        if found["effort"] != asdict(effort):
            raise InputError(f"{path} was measured with other options", hint="remove it, or give another work folder")
        return dict(found["measured"])
    measured = measure()
    write_whole(path, json.dumps({"effort": asdict(effort), "measured": measured}, indent=1).encode("ascii"))
    return measured


def _comparable(found: dict[str, Any]) -> bool:
    return min(found["measured"]["transformation"]["plain"].values()) > 0


def measure_peer(name: str, images: Images, effort: Effort) -> dict[str, Any]:
    """Costs of one peer as JSON values."""
    peer = PEERS[name]
    cost = measure_cost(peer.protection(effort.seed).transform, peer.scale(images), effort.rounds)
    inference = measure_inference(peer, batch=effort.batch, rounds=effort.rounds)
    return {
        "transformation": asdict(cost),
        "inference": asdict(inference) if inference else None,
        "environment": environment(),
    }


def read_findings(path: Path | None) -> list[dict[str, Any]]:
    """Findings of an audit: a JSON list of objects, or an object that holds it as ``findings``."""
    if path is None:
        return []
    content = read_json(path)
    findings = content.get("findings") if isinstance(content, dict) else content
    if not isinstance(findings, list) or not all(isinstance(finding, dict) for finding in findings):
        raise InputError(f"{path} holds no findings", hint="give the JSON file that privacy_audit wrote")
    return findings


@click.command(cls=Command, name="reproduce_table2", context_settings={"help_option_names": ["-h", "--help"]})
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
    effort = Effort(**{name: options[name] for name in Effort.__dataclass_fields__})
    torch.set_num_threads(effort.threads)
    torch.manual_seed(effort.seed)
    trained = find_runs(options["runs"]) if options["runs"] else []
    findings = read_findings(options["audit"])
    scenes = cifar10.load(options["data"], "test").images[: effort.images]
    make_folder(options["work"])
    make_folder(options["output"])
    rows = []
    for name in tqdm(PEERS, desc="peers", disable=None):
        measured = kept(options["work"] / f"{name}.json", effort, partial(measure_peer, name, scenes, effort))
        rows.append(row(name, measured, trained, verdict_of(name, findings)))
    result = {"command": command_line(context), "effort": asdict(effort), "rows": rows}
    name = "table2" if effort.images == IMAGES else f"table2-images{effort.images}"
    write_dated(name, result, render(rows), options["output"])


if __name__ == "__main__":
    sys.exit(main())
