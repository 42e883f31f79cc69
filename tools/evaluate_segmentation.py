"""Segmentation of private frames against plain images: python tools/evaluate_segmentation.py --help

Every image is resized to the network's input and enters the sensor as DN, so that its private frame
carries exactly what the plain network gets.  The label maps of both are scaled to the masks' own
size, by nearest neighbour, and compared with them where the masks are not void.  Also measured: the
keyed network with a random permutation in place of the frame's, after the frame has been opened
properly.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from tqdm import tqdm

import inference
from both_sides import BothSides, both_sides, key_options, substituted
from image_sources import Item
from inference import Preset
from inference.imaging import Demosaic, Gamma
from inference.layout import KeyedTensor
from inference.models import VOC_CLASSES
from keyvault.console import Command, native_messages_off
from keyvault.errors import InputError
from replay_dataset import quad_scene
from sensor_sim.photograph import decode

VOID = 255
#: Where a folder keeps images, masks and the list of names: a subset's way, and that of VOC itself.
LAYOUTS = (
    ("images", "masks", "val_subset.txt"),
    ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation/val.txt"),
)


@dataclass(frozen=True, slots=True)
class Example:
    """An image, uint8 RGB (h, w, 3), and the class of each pixel, uint8 (h, w), 255 for void."""

    name: str
    image: NDArray[np.uint8]
    mask: NDArray[np.uint8]


@dataclass(frozen=True)
class Voc:
    """A folder of images with masks.

    Attributes:
        images, masks: folders; files are NAME.jpg and NAME.png.
        names: of the examples, in the list's order.
    """

    images: Path
    masks: Path
    names: tuple[str, ...]

    def read(self, name: str) -> Example:
        """One example; InputError if a file cannot be read or the two differ in size."""
        path = self.masks / f"{name}.png"
        with native_messages_off():
            image = decode(self.images / f"{name}.jpg")
        try:
            with Image.open(path) as file:
                mask = np.array(file)
        except OSError as error:
            raise InputError(
                f"cannot read mask {path}: {error.strerror or error}", hint="check the data set"
            ) from error
        if image.dtype != np.uint8 or mask.dtype != np.uint8 or mask.shape != image.shape[:2]:
            raise InputError(f"{path} is not a mask of its image: one class number a pixel", hint="check the data set")
        if ((mask >= len(VOC_CLASSES)) & (mask != VOID)).any():
            raise InputError(f"{path} has classes above {len(VOC_CLASSES) - 1}", hint="check the data set")
        return Example(name, image.astype(np.uint8, copy=False), mask)


def open_voc(folder: Path) -> Voc:
    """Find images, masks and list of a folder; InputError if they are not there."""
    for images, masks, listed in LAYOUTS:
        if (folder / listed).is_file():
            names = (folder / listed).read_text().split()
            if not names:
                raise InputError(f"{folder / listed} is empty", hint="one name a line")
            return Voc(folder / images, folder / masks, tuple(names))
    known = " or ".join(layout[2] for layout in LAYOUTS)
    raise InputError(f"{folder} is no VOC folder", hint=f"it has a list of names, {known}")


@dataclass(frozen=True)
class Confusion:
    """Pixels by true and by predicted class, int64 (classes, classes)."""

    counts: NDArray[np.int64] = field(default_factory=lambda: np.zeros((len(VOC_CLASSES),) * 2, np.int64))

    def add(self, mask: NDArray[np.uint8], labels: NDArray[np.uint8]) -> None:
        """Count a label map, scaled to the mask by nearest neighbour, where the mask is not void."""
        classes = len(self.counts)
        resized = cv2.resize(labels, mask.shape[::-1], interpolation=cv2.INTER_NEAREST_EXACT)
        known = mask != VOID
        pairs = classes * mask[known].astype(np.int64) + resized[known]
        self.counts[...] += np.bincount(pairs, minlength=classes**2).reshape(classes, classes)

    @property
    def mean_iou(self) -> float:
        """Intersection over union, the mean of all classes that are in a mask or a label map."""
        hits = np.diag(self.counts)
        union = self.counts.sum(0) + self.counts.sum(1) - hits
        return float(np.mean(hits[union > 0] / union[union > 0]))

    @property
    def pixel_accuracy(self) -> float:
        """Share of pixels with the right class."""
        return float(np.trace(self.counts) / self.counts.sum())

    def __str__(self) -> str:
        return f"mIoU {100 * self.mean_iou:.2f} %, pixel accuracy {100 * self.pixel_accuracy:.2f} %"


@dataclass
class Evaluation:
    """What the images gave: against their masks, and keyed against plain at the network's positions."""

    plain: Confusion = field(default_factory=Confusion)
    keyed: Confusion = field(default_factory=Confusion)
    substituted: Confusion = field(default_factory=Confusion)
    images: int = 0
    positions: int = 0
    agreeing: int = 0
    largest_difference: float = 0.0

    def add(self, examples: list[Example], plain: Tensor, keyed: Tensor, wrong: Tensor) -> None:
        """Count a batch from its scores (N, classes, h, w)."""
        maps = [scores.argmax(1).byte().numpy() for scores in (plain, keyed, wrong)]
        for confusion, labels in zip((self.plain, self.keyed, self.substituted), maps, strict=True):
            for example, one in zip(examples, labels, strict=True):
                confusion.add(example.mask, one)
        self.images += len(examples)
        self.positions += maps[0].size
        self.agreeing += int((maps[0] == maps[1]).sum())
        self.largest_difference = max(self.largest_difference, float((plain - keyed).abs().max()))

    def report(self) -> str:
        """The figures, one a line."""
        return (
            f"images:                           {self.images}\n"
            f"plain network, plain images:      {self.plain}\n"
            f"keyed network, private frames:    {self.keyed}\n"
            f"keyed, permutation substituted:   {self.substituted}\n"
            f"positions of equal label:         {self.agreeing} of {self.positions}\n"
            f"largest difference of a score:    {self.largest_difference:.1e}"
        )


@torch.no_grad()
def evaluate(voc: Voc, sides: BothSides, chosen: Preset, network: nn.Module, **options: Any) -> Evaluation:
    """Compare both networks on the images of a folder.

    Args:
        voc: images and masks.
        sides: makes and opens the frames.
        chosen: the network's preset.
        network: in evaluation mode.
        options: ``limit``, ``batch``, ``seed`` of the substituted permutations, ``backend``.
    """
    generator = np.random.default_rng(options.get("seed", 0))
    settings = chosen.isp_settings(demosaic=Demosaic.QUAD, gamma=Gamma.NONE)
    example = torch.zeros(1, 3, *chosen.size).contiguous(memory_format=torch.channels_last)
    keyed = inference.secure(network, example, backend=options.get("backend", "gather"))
    names = voc.names[: options.get("limit")]
    result = Evaluation()
    with tqdm(total=len(names), unit="image", disable=None) as progress:
        for part in _parts(names, options.get("batch", 2)):
            examples = [voc.read(name) for name in part]
            images = [_resized(one.image, chosen.size) for one in examples]
            frames = [_private(sides, image, one.name) for image, one in zip(images, examples, strict=True)]
            private = keyed(inference.isp(frames, settings=settings))
            wrong = keyed(inference.isp([substituted(frame, generator) for frame in frames], settings=settings))
            result.add(examples, network(_normalised(images, chosen)), _revealed(private), _revealed(wrong))
            progress.update(len(part))
    return result


def _parts(names: tuple[str, ...], size: int) -> Iterator[tuple[str, ...]]:
    for first in range(0, len(names), size):
        yield names[first : first + size]


def _resized(image: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Scaled to (height, width), bilinearly with antialiasing."""
    return np.array(Image.fromarray(image).resize(size[::-1], Image.Resampling.BILINEAR))


def _private(sides: BothSides, image: NDArray[np.uint8], name: str) -> Any:
    return sides.private(quad_scene(Item(image, None, name), sides.camera.grant.policy), 0)


def _normalised(images: list[NDArray[np.uint8]], chosen: Preset) -> Tensor:
    """The plain network's input, without the keyed ISP."""
    x = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float() / 255
    return (x - torch.tensor(chosen.mean).view(1, 3, 1, 1)) / torch.tensor(chosen.std).view(1, 3, 1, 1)


def _revealed(scores: Tensor | KeyedTensor) -> Tensor:
    return scores.reveal() if isinstance(scores, KeyedTensor) else scores


@click.command(cls=Command, name="evaluate_segmentation", context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("folder", type=click.Path(path_type=Path))
@key_options
@click.option("--weights", required=True, type=click.Path(path_type=Path), help="Of ESPNetv2, width 2.0, 21 classes.")
@click.option("--limit", type=click.IntRange(min=1), help="Only the first so many images.")
@click.option("--batch", type=click.IntRange(1), default=2, show_default=True)
@click.option("--backend", type=click.Choice(["gather", "reference"]), default="gather", show_default=True)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the substituted permutations.")
def main(folder: Path, **options: Any) -> None:
    """Compare ESPNetv2 on private frames of FOLDER's images (VOC) with the plain network on the images."""
    voc = open_voc(folder)
    chosen = inference.preset("espnetv2")
    network = inference.pretrained(chosen, options["weights"])
    further = {name: options[name] for name in ("limit", "batch", "seed", "backend")}
    with both_sides(options) as sides:
        print(evaluate(voc, sides, chosen, network, **further).report())


if __name__ == "__main__":
    sys.exit(main())
