"""Table 1: python tools/reproduce_table1.py --data DIR --weights vgg16=runs/vgg16/vgg16.safetensors

Replays both splits of CIFAR-10 to private frames, under the paper's setting and under the default policy, and counts
for every image what the plain and the keyed network say.  Writes docs/results/DATE-table1.json and .md; of some
networks or the first images of each split the name says so, DATE-table1-vgg16-limitN.  Results are kept for each
network, setting and shard: stop it at any time, and the same command goes on.  Networks without weights
are printed as not trained; fine-tuned networks are read from finished runs of train_cifar10 --private.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click
import torch

import cifar10
from dated_results import write_dated
from keyvault.console import Command
from keyvault.files import make_folder
from private_replays import DEFAULT_REPLAYS, SETTINGS, SPLITS, prepare
from recipe import PLAIN
from table1.measuring import Effort, Job
from table1.networks import NETWORKS, Candidate, candidates
from table1.summary import summarise
from table1.table import render, render_missing
from training_runs import find_runs

DEFAULT_FOLDER = Path(__file__).parents[1] / "docs" / "results"


def tuned_run(candidate: Candidate, setting: str, runs: Iterable[dict[str, Any]]) -> dict[str, Any] | None:
    """The finished run that fine-tuned a network on private images of a setting.

    A run that began with the weights that are measured comes before one that began with others, a longer one before
    a shorter one; one that began with none trained from scratch and fine-tuned nothing.
    """
    own = [
        run
        for run in runs
        if (run["recipe"]["model"], run["recipe"]["private"]) == (candidate.name, setting)
        and run["recipe"]["init"] != PLAIN
    ]
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


def result_name(networks: Iterable[str], limit: int | None) -> str:
    """Of the result: a part does not take the place of the whole table."""
    return "-".join(["table1", *networks, *([] if limit is None else [f"limit{limit}"])])


def command_line(context: click.Context) -> str:
    """What was asked for, with names of weights and without folders of this machine."""
    given = context.params
    words = ["--data", "DIR"]
    words += [word for name in given["networks"] for word in ("--network", name)]
    for text in given["weights"]:
        name, _, path = text.partition("=")
        words += ["--weights", f"{name}={Path(path).name}"]
    words += [word for name in given["imagenet_input"] for word in ("--imagenet-input", name)]
    words += ["--runs", "DIR"] if given["runs"] else []
    words += ["--limit", str(given["limit"])] if given["limit"] else []
    words += [word for name in ("batch", "seed", "threads") for word in (f"--{name}", str(given[name]))]
    return shlex.join(["python", "tools/reproduce_table1.py", *words])


@click.command(cls=Command, name="reproduce_table1", context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--data", type=click.Path(path_type=Path), required=True, help="CIFAR-10, binary or python layout.")
@click.option(
    "--network", "networks", type=click.Choice(NETWORKS), multiple=True, help="One of the table's.  [default: all]"
)
@click.option("--weights", multiple=True, metavar="NAME=FILE", help="Of a network.  [default: those that ship]")
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
    runs = find_runs(options["runs"]) if options["runs"] else []
    data = {split: cifar10.load(options["data"], split) for split in SPLITS}
    make_folder(options["output"])
    trained = any(candidate.weights for candidate in chosen)
    places = [
        prepare(setting, options["replays"], options["data"], limit=options["limit"])
        for setting in SETTINGS.values()
        if trained
    ]
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
    name = result_name(options["networks"], options["limit"])
    write_dated(name, result, f"{render(found)}\n{render_missing(found)}", options["output"])


if __name__ == "__main__":
    sys.exit(main())
