"""A classifier on private photographs against itself on plain ones: python tools/evaluate_agreement.py --help

Every image is a photograph in front of the simulated sensor.  The keyed network gets the private
frame, the plain network the frame that the same exposure gives without protection; both are
developed with the same settings.  Also measured: the keyed network with a random permutation in
place of the frame's, after the frame has been opened properly.
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
from image_sources import ImageSource, open_images
from inference.imaging import Demosaic, IspSettings
from inference.models import Task
from keyvault.console import Command, native_messages_off
from keyvault.errors import InputError
from sensor_sim import CameraSettings
from sensor_sim.photograph import from_image


@dataclass(frozen=True)
class Agreement:
    """What the images gave.

    Attributes:
        best: int64 (3, N): class with the highest score of the plain network, of the keyed one, and of
            the keyed one with a substituted permutation.
        largest_difference: of any keyed score from its plain one.
        spread: mean standard deviation of an image's plain scores, to compare with.
        labels: int64 (N,), or None.
    """

    best: Tensor
    largest_difference: float
    spread: float
    labels: Tensor | None

    def top1(self) -> tuple[Accuracy, Accuracy, Accuracy]:
        """Accuracy of the three; ValueError without labels."""
        if self.labels is None:
            raise ValueError("accuracy needs labels")
        plain, keyed, wrong = (Accuracy(int(hits), len(self.labels)) for hits in (self.best == self.labels).sum(1))
        return plain, keyed, wrong

    def equal(self) -> tuple[Accuracy, Accuracy]:
        """How many keyed predictions equal the plain ones, with the right and with a substituted permutation."""
        keyed, wrong = ((self.best[row] == self.best[0]).sum() for row in (1, 2))
        return Accuracy(int(keyed), self.best.shape[1]), Accuracy(int(wrong), self.best.shape[1])

    def report(self) -> str:
        """The figures, one a line."""
        lines = []
        if self.labels is not None:
            plain, keyed, wrong = self.top1()
            lines += [
                f"top-1, plain network, plain frames:     {plain}",
                f"top-1, keyed network, private frames:   {keyed}",
                f"top-1, keyed, permutation substituted:  {wrong}",
            ]
        equal, by_chance = self.equal()
        lines += [
            f"equal predictions:                      {equal.correct} of {equal.total}",
            f"equal, permutation substituted:         {by_chance.correct} of {by_chance.total}",
            f"largest difference of a score:          {self.largest_difference:.1e} (spread {self.spread:.1e})",
        ]
        return "\n".join(lines)


@torch.no_grad()
def evaluate(
    source: ImageSource, sides: BothSides, network: nn.Module, settings: IspSettings, **options: Any
) -> Agreement:
    """Compare both networks on every image.

    Args:
        source: of the photographs.
        sides: makes and opens the frames.
        network: in evaluation mode.
        settings: of the ISP, with a size.
        options: ``labels`` (int64 tensor), ``limit``, ``batch``, ``seed`` of the substituted permutations,
            ``backend``.
    """
    generator = np.random.default_rng(options.get("seed", 0))
    total = min(source.length, options.get("limit") or source.length)
    size, backend, batch = settings.size or (0, 0), options.get("backend", "gather"), options.get("batch", 8)
    example = torch.zeros(1, 3, *size).contiguous(memory_format=torch.channels_last)
    keyed = inference.secure(network, example, backend=backend)
    best, difference, spread = [], 0.0, 0.0
    with tqdm(total=total, unit="frame", disable=None) as progress:
        for first in range(0, total, batch):
            numbers = range(first, min(total, first + batch))
            pairs = [_pair(source, sides, number) for number in numbers]
            private = [pair[0] for pair in pairs]
            plain = network(inference.isp([pair[1] for pair in pairs], settings=settings).reveal())
            scores = keyed(inference.isp(private, settings=settings))
            wrong = keyed(inference.isp([substituted(frame, generator) for frame in private], settings=settings))
            best.append(torch.stack([found.argmax(1) for found in (plain, scores, wrong)]))
            difference = max(difference, float((plain - scores).abs().max()))
            spread += float(plain.std(1).sum())
            progress.update(len(numbers))
    labels: Tensor | None = options.get("labels")
    return Agreement(torch.cat(best, 1), difference, spread / total, None if labels is None else labels[:total])


def _pair(source: ImageSource, sides: BothSides, number: int) -> tuple[Any, Any]:
    """The private and the plain frame of one photograph."""
    with native_messages_off():
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


@click.command(cls=Command, name="evaluate_agreement", context_settings={"help_option_names": ["-h", "--help"]})
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
def main(images: tuple[Path, ...], **options: Any) -> None:
    """Compare a classifier on private photographs, IMAGES or folders of them, with itself on plain ones."""
    chosen = inference.preset(options["model"])
    if chosen.task is not Task.CLASSES:
        raise InputError(f"{chosen.name} is no classifier", hint="see evaluate_segmentation.py")
    network = inference.pretrained(chosen, options["weights"])
    source = open_images(images)
    labels = read_labels(options["labels"], source.length, len(chosen.classes)) if options["labels"] else None
    settings = chosen.isp_settings(demosaic=options["demosaic"])
    camera = CameraSettings(noise=options["noise"] == "on", seed=options["seed"])
    further = {name: options[name] for name in ("limit", "batch", "backend", "seed")}
    with both_sides(options, camera) as sides:
        print(evaluate(source, sides, network, settings, labels=labels, **further).report())


if __name__ == "__main__":
    sys.exit(main())
