"""Table 1: python tools/reproduce_table1.py --data DIR --weights vgg16=runs/vgg16/vgg16.safetensors

Replays both splits of CIFAR-10 to private frames, under the paper's setting and under the default policy, and counts
for every image what the plain and the keyed network say.  Writes docs/results/DATE-table1.json and .md; of some
networks, of the first images of each split or without fine-tuned networks the name says so, as in
DATE-table1-vgg16-limitN-without-runs.  Results are kept for each network, setting and shard: stop it at any time, and
the same command goes on.  Networks without weights are printed as not trained; fine-tuned networks are read from
finished runs of train_cifar10 --private, of which those count that saw the images and private frames at hand.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click
import torch

import cifar10
from counted_runs import AtHand, counted_runs
from dated_results import write_dated
from kept_results import command_line
from keyvault.console import Command
from keyvault.files import make_folder
from private_replays import DEFAULT_REPLAYS, SETTINGS, SPLITS, place_of, prepare
from recipe import PLAIN
from table1.measuring import Effort, Job
from table1.networks import NETWORKS, Candidate, GivenWeights, candidates
from table1.summary import summarise
from table1.table import render, render_missing
from training_runs import find_runs

DEFAULT_FOLDER = Path(__file__).parents[1] / "docs" / "results"


def fine_tunes(run: dict[str, Any], candidate: Candidate, setting: str) -> bool:
    """Whether a run fine-tuned a network on private images of a setting.

    One that began with no weights trained from scratch.  A network with ImageNet's input has none, since train_cifar10
    normalises by CIFAR-10's mean.
    """
    recipe = run["recipe"]
    of_this = (recipe["model"], recipe["private"]) == (candidate.name, setting)
    return of_this and recipe["init"] != PLAIN and not candidate.imagenet_input


def tuned_run(candidate: Candidate, setting: str, runs: Iterable[dict[str, Any]]) -> dict[str, Any] | None:
    """The finished run that fine-tuned a network on private images of a setting.

    A run that began with the weights that are measured comes before one that began with others, a longer one before
    a shorter one.
    """
    own = [run for run in runs if fine_tunes(run, candidate, setting)]
    start = candidate.digest
    return max(own, key=lambda run: (run["recipe"]["init"] == start, run["recipe"]["epochs"]), default=None)


def measure_network(candidate: Candidate, jobs: dict[str, Job], runs: list[dict[str, Any]]) -> dict[str, Any]:
    """All figures of one network as JSON values; without weights, no columns."""
    return {
        "network": candidate.name,
        "weights": {"file": candidate.weights.name, "sha256": candidate.digest} if candidate.weights else None,
        "training": candidate.training,
        "imagenet_input": candidate.imagenet_input,
        "tuned": {setting: tuned_run(candidate, setting, runs) for setting in SETTINGS},
        "columns": {setting: summarise(job.run(), holds_out=candidate.holds_out) for setting, job in jobs.items()},
    }


def result_name(networks: Iterable[str], limit: int | None, *, runs: bool) -> str:
    """Of the result: a part, or what has no runs, does not take the place of the whole table."""
    part = [] if limit is None else [f"limit{limit}"]
    return "-".join(["table1", *networks, *part, *([] if runs else ["without-runs"])])


def keys_at_hand(replays: Path) -> dict[str, str]:
    """Of each setting whose replays are here, what recipes of fine-tuned networks call them."""
    places = {name: place_of(setting, replays) for name, setting in SETTINGS.items()}
    return {name: place.recorded for name, place in places.items() if place.home.exists()}


def _given(_context: click.Context, _parameter: click.Parameter, texts: tuple[str, ...]) -> tuple[GivenWeights, ...]:
    return tuple(map(GivenWeights.parse, texts))


@click.command(
    cls=Command,
    name="reproduce_table1",
    goes_on="the same command goes on from there",
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.option("--data", type=click.Path(path_type=Path), required=True, help="CIFAR-10, binary or python layout.")
@click.option(
    "--network", "networks", type=click.Choice(NETWORKS), multiple=True, help="One of the table's.  [default: all]"
)
@click.option(
    "--weights",
    multiple=True,
    callback=_given,
    metavar="NAME=FILE",
    help="Of a network.  [default: those that ship]",
)
@click.option(
    "--imagenet-input", type=click.Choice(NETWORKS), multiple=True, help="Its input has ImageNet's mean and deviation."
)
@click.option("--runs", type=click.Path(path_type=Path, exists=True, file_okay=False), help="Runs of train_cifar10.")
@click.option("--limit", type=click.IntRange(1), help="Only the first so many images of each split.")
@click.option("--batch", default=64, show_default=True, type=click.IntRange(1))
@click.option("--seed", default=1, show_default=True, type=click.IntRange(0), help="Of the substituted permutations.")
@click.option("--threads", default=1, show_default=True, type=click.IntRange(1), help="CPU threads of the networks.")
@click.option("--replays", type=click.Path(path_type=Path), default=DEFAULT_REPLAYS, show_default=True)
@click.option("--work", type=click.Path(path_type=Path), default=Path("runs/table1"), show_default=True)
@click.option("-o", "--output", type=click.Path(path_type=Path), default=DEFAULT_FOLDER, show_default="docs/results")
@click.pass_context
def main(context: click.Context, /, **options: Any) -> None:
    """Assemble Table 1 from every image of CIFAR-10, or the first few of each split."""
    torch.set_num_threads(options["threads"])
    effort = Effort(options["batch"], options["seed"], options["threads"])
    chosen = candidates(options["networks"] or NETWORKS, options["weights"], options["imagenet_input"])
    for candidate in chosen:
        if candidate.weights:
            candidate.load()  # refuse before anything is written
    found_runs = find_runs(options["runs"]) if options["runs"] else {}
    data = {split: cifar10.load(options["data"], split) for split in SPLITS}
    make_folder(options["output"])
    trained = any(candidate.weights for candidate in chosen)
    places = [
        prepare(setting, options["replays"], options["data"], limit=options["limit"])
        for setting in SETTINGS.values()
        if trained
    ]
    runs = counted_runs(
        found_runs,
        lambda run: any(fine_tunes(run, candidate, setting) for candidate in chosen for setting in SETTINGS),
        AtHand(data.__getitem__, keys_at_hand(options["replays"])).objection,
    )
    found = []
    for candidate in chosen:
        folder = options["work"] / candidate.name
        jobs = {
            place.setting.name: Job(candidate, place, data, effort, folder / place.folder.name)
            for place in places
            if candidate.weights
        }
        found.append(measure_network(candidate, jobs, runs))
    result = {"command": command_line(context), "networks": found}
    name = result_name(options["networks"], options["limit"], runs=bool(runs))
    write_dated(name, result, f"{render(found)}\n{render_missing(found)}", options["output"])


if __name__ == "__main__":
    sys.exit(main())
