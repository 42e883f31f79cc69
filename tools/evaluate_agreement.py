"""A classifier on private photographs against itself on plain ones: python tools/evaluate_agreement.py --help

Every image is a photograph in front of the simulated sensor.  The keyed network gets the private
frame, the plain network the frame that the same exposure gives without protection; both are
developed with the same settings.  Also measured: the keyed network with a random permutation in
place of the frame's, after the frame has been opened properly.

With -o every batch is kept in OUTPUT.partial as soon as it is counted: stop it at any time, and the same command goes
on.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

import inference
from accuracy import Accuracy
from both_sides import BothSides, both_sides, key_options, substituted
from fingerprint import file_digest, files_digest
from image_sources import ImageSource, image_files, open_images
from inference.imaging import Demosaic, IspSettings
from inference.models import Task
from inference.session import ShuffledFrame
from json_files import misfit
from kept_results import Keeper, command_line
from keyvault.console import Command
from keyvault.errors import InputError
from keyvault.files import check_outputs
from sensor_sim import CameraSettings
from sensor_sim.photograph import from_image

ROWS = ("plain", "keyed", "substituted")
_FORM = {"best": [[int]], "largest_difference": float, "spread": float}


@dataclass(frozen=True)
class Agreement:
    """What images gave.

    Attributes:
        best: int64 (3, N): class with the highest score of the plain network, of the keyed one, and of
            the keyed one with a substituted permutation.
        largest_difference: of any keyed score from its plain one.
        spread: sum over images of the standard deviation of their plain scores, to compare with.
    """

    best: Tensor
    largest_difference: float
    spread: float

    def __add__(self, other: Agreement) -> Agreement:
        largest = max(self.largest_difference, other.largest_difference)
        return Agreement(torch.cat([self.best, other.best], 1), largest, self.spread + other.spread)

    @property
    def images(self) -> int:
        """How many there were."""
        return self.best.shape[1]

    def top1(self, labels: Tensor) -> dict[str, Accuracy]:
        """Accuracy of each row, from classes (N,) of all images, of which the first are counted."""
        hits = (self.best == labels[: self.images]).sum(1)
        return {row: Accuracy(int(count), self.images) for row, count in zip(ROWS, hits, strict=True)}

    def equal(self) -> dict[str, Accuracy]:
        """How many predictions equal the plain ones, of each row."""
        counts = (self.best == self.best[0]).sum(1)
        return {row: Accuracy(int(count), self.images) for row, count in zip(ROWS, counts, strict=True)}

    def report(self, labels: Tensor | None) -> str:
        """The figures, one a line."""
        lines = []
        if labels is not None:
            top1 = self.top1(labels)
            lines += [
                f"top-1, plain network, plain frames:     {top1['plain']}",
                f"top-1, keyed network, private frames:   {top1['keyed']}",
                f"top-1, keyed, permutation substituted:  {top1['substituted']}",
            ]
        keyed, by_chance = (self.equal()[row] for row in ("keyed", "substituted"))
        spread = self.spread / self.images
        lines += [
            f"equal predictions:                      {keyed.correct} of {keyed.total}",
            f"equal, permutation substituted:         {by_chance.correct} of {by_chance.total}",
            f"largest difference of a score:          {self.largest_difference:.1e} (spread {spread:.1e})",
        ]
        return "\n".join(lines)

    def figures(self, labels: Tensor | None) -> dict[str, Any]:
        """The same as JSON values."""
        rows: dict[str, dict[str, int]] = {row: {"equal_to_plain": one.correct} for row, one in self.equal().items()}
        for row, one in self.top1(labels).items() if labels is not None else ():
            rows[row]["right"] = one.correct
        difference = {"largest_difference": self.largest_difference, "spread": self.spread / self.images}
        return {"images": self.images, "rows": rows, **difference}

    def to_json(self) -> dict[str, Any]:
        """What is kept of a batch."""
        numbers = {"largest_difference": self.largest_difference, "spread": self.spread}
        return {"best": self.best.tolist(), **numbers}


@torch.no_grad()
def evaluate(
    source: ImageSource, sides: BothSides, network: nn.Module, settings: IspSettings, keeper: Keeper, **options: Any
) -> Agreement:
    """Compare both networks on every image, from where an interrupted run was.

    Args:
        source: of the photographs.
        sides: makes and opens the frames.
        network: in evaluation mode.
        settings: of the ISP, with a size.
        keeper: of what each batch gave.
        options: ``limit``, ``batch``, ``seed`` of the substituted permutations, ``backend``.

    Raises InputError if what was kept is damaged or of another run.
    """
    total = min(source.length, options.get("limit") or source.length)
    size, backend, batch = settings.size or (0, 0), options.get("backend", "gather"), options.get("batch", 8)
    example = torch.zeros(1, 3, *size).contiguous(memory_format=torch.channels_last)
    keyed = inference.secure(network, example, backend=backend)
    found = _kept(keeper, total)
    with tqdm(total=total, initial=found.images, unit="frame", disable=None) as progress:
        for first in range(found.images, total, batch):
            numbers = range(first, min(total, first + batch))
            pairs = [_pair(source, sides, number) for number in numbers]
            private = [pair[0] for pair in pairs]
            others = [_substituted(frame, options.get("seed", 0), first + n) for n, frame in enumerate(private)]
            plain = network(inference.isp([pair[1] for pair in pairs], settings=settings).reveal())
            scores = keyed(inference.isp(private, settings=settings))
            wrong = keyed(inference.isp(others, settings=settings))
            best = torch.stack([one.argmax(1) for one in (plain, scores, wrong)])
            part = Agreement(best, float((plain - scores).abs().max()), float(plain.std(1).sum()))
            keeper.append(part.to_json())
            found += part
            progress.update(len(numbers))
    return found


def _kept(keeper: Keeper, total: int) -> Agreement:
    """What an interrupted run has counted; InputError if it cannot be that."""
    found = Agreement(torch.empty(len(ROWS), 0, dtype=torch.int64), 0.0, 0.0)
    for record in keeper.load():
        lengths = {len(row) for row in record["best"]} if misfit(record, _FORM) is None else set()
        if len(lengths) != 1 or len(record["best"]) != len(ROWS):
            raise InputError(f"{keeper.partial} does not hold counts of predictions", hint="remove it")
        found += Agreement(torch.tensor(record["best"]), record["largest_difference"], record["spread"])
    if found.images > total:
        raise InputError(f"{keeper.partial} is of {found.images} images, not up to {total}", hint="remove it")
    return found


def _substituted(frame: ShuffledFrame, seed: int, number: int) -> ShuffledFrame:
    """The frame with a permutation that depends on seed and image alone."""
    return substituted(frame, np.random.default_rng([seed, number]))


def _pair(source: ImageSource, sides: BothSides, number: int) -> tuple[Any, Any]:
    """The private and the plain frame of one photograph."""
    item = source.read(number)
    policy = sides.camera.grant.policy
    scene = from_image(item.image, policy.width, policy.height, item.name)
    private = sides.private(scene, number)
    return private, sides.plain(scene, number, private.header)


def read_labels(path: Path, count: int, classes: int) -> Tensor:
    """Class numbers from a text file, one a line; InputError unless there are ``count``, of 0 .. classes - 1."""
    try:
        labels = [int(line) for line in path.read_text().split()]
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is no list of class numbers: {error}", hint="one number a line") from error
    if not all(0 <= label < classes for label in labels):
        raise InputError(f"{path} has labels outside 0 to {classes - 1}", hint="give the network's class numbers")
    if len(labels) != count:
        raise InputError(f"{path} has {len(labels)} labels for {count} images", hint="one number a line, by file name")
    return torch.tensor(labels)


@click.command(
    cls=Command,
    name="evaluate_agreement",
    goes_on="with -o, the same command goes on from there",
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.argument("images", nargs=-1, required=True, type=click.Path(path_type=Path))
@key_options
@click.option("--model", required=True, help="As for keyed-infer run.")
@click.option("--weights", type=click.Path(path_type=Path), help="[default: those that come with the model]")
@click.option("--labels", type=click.Path(path_type=Path), help="Class number of each image, one a line.")
@click.option(
    "--demosaic", type=click.Choice([way.value for way in Demosaic]), help="Way to RGB.  [default: the model's]"
)
@click.option("--noise", type=click.Choice(["on", "off"]), default="off", show_default=True, help="Of the sensor.")
@click.option("--limit", type=click.IntRange(min=1), help="Only the first so many images.")
@click.option("--batch", type=click.IntRange(1), default=8, show_default=True)
@click.option("--backend", type=click.Choice(["gather", "reference"]), default="gather", show_default=True)
@click.option(
    "--seed",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="Of the noise and the substituted permutations.",
)
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="JSON file of the figures.")
@click.pass_context
def main(context: click.Context, /, images: tuple[Path, ...], **options: Any) -> None:
    """Compare a classifier on private photographs, IMAGES or folders of them, with itself on plain ones."""
    chosen = inference.preset(options["model"])
    if chosen.task is not Task.CLASSES:
        raise InputError(f"{chosen.name} is no classifier", hint="see evaluate_segmentation.py")
    network = inference.pretrained(chosen, options["weights"])
    source = open_images(images)
    labels = read_labels(options["labels"], source.length, len(chosen.classes)) if options["labels"] else None
    settings = chosen.isp_settings(demosaic=options["demosaic"])
    camera = CameraSettings(noise=options["noise"] == "on", seed=options["seed"])
    if options["output"]:
        check_outputs([options["output"]], [*images, *options["keys"]])
    with both_sides(options, camera) as sides:
        described = {
            **{name: options[name] for name in ("limit", "batch", "backend", "seed", "noise", "demosaic")},
            "model": chosen.name,
            "weights": _weights(options["weights"] or chosen.weights),
            "policy": sides.camera.grant.policy.to_json(),
            "images": files_digest(image_files(images)),
        }
        keeper = Keeper(options["output"], described)
        further = {name: options[name] for name in ("limit", "batch", "backend", "seed")}
        found = evaluate(source, sides, network, settings, keeper, **further)
        print(found.report(labels))
        figures = found.figures(labels) | ({"labels": file_digest(options["labels"])} if options["labels"] else {})
        keeper.finish(command_line(context), {"figures": figures})


def _weights(path: Path | None) -> dict[str, str]:
    return {"file": path.name, "sha256": file_digest(path)} if path else {}


if __name__ == "__main__":
    sys.exit(main())
