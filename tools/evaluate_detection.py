"""Detection on private frames against plain images: python tools/evaluate_detection.py --help

The data set has COCO's layout.  Every image lies in the upper left corner of the sensor, scaled down if it
is larger, with black around it, and enters as DN: its private frame carries exactly what the plain
detector gets.  Boxes are brought back to the image's own pixels.  Also measured: the keyed detector with
a random permutation in place of the frame's, after the frame has been opened properly; and the plain
one on the opened frame as it lies in the host's memory, shuffled.  Boxes come and go with rounding where
scores and overlaps lie near a threshold; how many do, the plain detector in float64 shows.

With -o the figures are written as JSON, the detections of each image are kept on the way, and the same
command goes on with them after an interruption.
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from tqdm import tqdm

import inference
from both_sides import BothSides, both_sides, key_options, substituted, unkeyed
from box_agreement import Agreement, agreement
from coco import Coco, average_precision, open_coco
from fingerprint import file_digest, files_digest
from image_sources import Item
from inference.detection.detector import KeyedDetector
from inference.imaging import Demosaic, Gamma, IspSettings
from inference.models.torchvision_presets import DetectorPreset, detector_preset
from inference.session import ShuffledFrame
from kept_results import Keeper, command_line
from keyvault.console import Command, FiniteRange
from keyvault.errors import InputError
from keyvault.files import check_outputs
from keyvault.policy import Policy
from quad_scenes import quad_scene
from random_weights import CALIBRATION, calibrate

ROWS = {
    "plain": "plain detector, plain images",
    "keyed": "keyed detector, private frames",
    "substituted": "keyed, permutation substituted",
    "unkeyed": "plain detector, shuffled frames",
    "rounding": "plain detector in float64",
}
#: Detections of one image by row, and those of all images by id.
Rows = dict[str, list[list[float]]]
_MEMBERS = 6  # of a detection: four of the box, label and score
_DN = IspSettings(demosaic=Demosaic.QUAD, gamma=Gamma.NONE)


def image_size(policy: Policy) -> tuple[int, int]:
    """(height, width) of the images that a sensor takes: its photosites, or its quads."""
    factor = 1 if policy.samples_per_photosite == 3 else 2
    return policy.height // factor, policy.width // factor


def placed(image: NDArray[np.uint8], size: tuple[int, int]) -> tuple[NDArray[np.uint8], float]:
    """The image in the upper left corner of a black one of ``size``, and the factor that it was scaled by."""
    factor = min(1.0, size[0] / image.shape[0], size[1] / image.shape[1])
    height, width = (max(1, round(factor * side)) for side in image.shape[:2])
    if factor < 1:
        image = np.array(Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR))
    canvas = np.zeros((*size, 3), np.uint8)
    canvas[:height, :width] = image
    return canvas, factor


@dataclass(frozen=True)
class Bench:
    """A detector, plain and keyed, and where its frames come from.

    Attributes:
        sides: makes and opens the frames.
        network: in evaluation mode.
        double: the same in float64.
        keyed: made of it.
        seed: of the substituted permutations.
    """

    sides: BothSides
    network: nn.Module
    double: nn.Module
    keyed: KeyedDetector
    seed: int

    @classmethod
    def make(cls, sides: BothSides, network: nn.Module, seed: int, backend: str) -> Bench:
        """Convert the detector for the camera's frames; raises as inference.secure_detector does."""
        size = image_size(sides.camera.grant.policy)
        example = torch.zeros(1, 3, *size).contiguous(memory_format=torch.channels_last)
        keyed = inference.secure_detector(network, example, backend=backend)
        return cls(sides, network, copy.deepcopy(network).double(), keyed, seed)

    @torch.no_grad()
    def detect(self, image: NDArray[np.uint8], name: str, number: int) -> Rows:
        """What each of ROWS finds in an image whose number decides the wrong permutation."""
        policy = self.sides.camera.grant.policy
        canvas, factor = placed(image, image_size(policy))
        frame = self.sides.private(quad_scene(Item(canvas, None, name), policy), 0)
        wrong = substituted(frame, np.random.default_rng([self.seed, number]))
        plain = torch.from_numpy(canvas).permute(2, 0, 1).float() / 255
        found = {
            "plain": self.network([plain]),
            "keyed": self.keyed(inference.isp(frame, settings=_DN)),
            "substituted": self.keyed(inference.isp(wrong, settings=_DN)),
            "unkeyed": self.network(list(_stored(frame))),
            "rounding": self.double([plain.double()]),
        }
        return {row: _rows(found[row][0], factor, image.shape[:2]) for row in ROWS}


def _stored(frame: ShuffledFrame) -> Tensor:
    return inference.isp(unkeyed(frame), settings=_DN).reveal()


def _rows(found: Mapping[str, Tensor], factor: float, size: tuple[int, ...]) -> list[list[float]]:
    """(x1, y1, x2, y2, label, score) each, in pixels of an image of ``size`` that was scaled by ``factor``."""
    limits = torch.tensor([size[1], size[0]] * 2)
    boxes = torch.minimum(found["boxes"] / factor, limits)
    return torch.cat([boxes, found["labels"][:, None], found["scores"][:, None]], 1).double().tolist()


def measure(bench: Bench, coco: Coco, keeper: Keeper, limit: int | None) -> dict[int, Rows]:
    """Detections of the images, those of an interrupted run as they were kept.

    Raises:
        InputError: what was kept is damaged or of another run, or an image cannot be read.
    """
    numbers = list(coco.files)[:limit]
    done = _kept(keeper, numbers)
    with tqdm(total=len(numbers), initial=len(done), unit="image", disable=None) as progress:
        for number in numbers[len(done) :]:
            done[number] = bench.detect(coco.read(number), coco.files[number], number)
            keeper.append({"image": number, "rows": done[number]})
            progress.update(1)
    return done


def _kept(keeper: Keeper, numbers: list[int]) -> dict[int, Rows]:
    records = keeper.load()
    try:
        done = {int(record["image"]): {row: _boxes(record["rows"][row]) for row in ROWS} for record in records}
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{keeper.partial} does not hold detections", hint="remove it") from error
    if list(done) != numbers[: len(done)]:
        raise InputError(f"{keeper.partial} is of other images", hint="remove it")
    return done


def _boxes(found: list[list[float]]) -> list[list[float]]:
    boxes = [[float(value) for value in one] for one in found]
    if any(len(one) != _MEMBERS for one in boxes):
        raise ValueError("a detection is a box, a label and a score")
    return boxes


def figures(coco: Coco, done: Mapping[int, Rows], *, score: float, trained: bool) -> dict[str, Any]:
    """Average precision of each of ROWS, if the detector is trained, and its agreement with the plain one.

    Args:
        coco: the data set.
        done: detections.
        score: the lowest that boxes are compared from; precision is of all of them.
        trained: whether labels mean anything.
    """
    result: dict[str, Any] = {"images": len(done), "score": score, "rows": {}}
    for row in ROWS:
        agreed = Agreement()
        for rows in done.values():
            agreed += agreement(_above(rows["plain"], score), _above(rows[row], score))
        own = {"agreement": asdict(agreed)}
        if trained:
            own["precision"] = average_precision(coco, {number: rows[row] for number, rows in done.items()})
        result["rows"][row] = own
    return result


def _above(found: Sequence[Sequence[float]], score: float) -> list[Sequence[float]]:
    return [one for one in found if one[5] >= score]


def report(found: Mapping[str, Any]) -> str:
    """The figures, one a line."""
    lines = [f"{'images:':35}{found['images']}"]
    rows: Mapping[str, Any] = found["rows"]
    if "precision" in rows["plain"]:
        for row, title in ROWS.items():
            precision = rows[row]["precision"]
            lines.append(f"{title + ':':35}" + ", ".join(f"{k} {100 * v:.2f} %" for k, v in precision.items()))
    else:
        lines.append("random weights: labels mean nothing, only agreement does")
    lines.append(f"agreement with the plain detector, of boxes from score {found['score']}:")
    others = [row for row in ROWS if row != "plain"]
    lines += [f"  {ROWS[row] + ':':33}{Agreement(**rows[row]['agreement'])}" for row in others]
    return "\n".join(lines)


def _detector(
    chosen: DetectorPreset, coco: Coco, size: tuple[int, int], options: dict[str, Any]
) -> tuple[nn.Module, dict[str, Any]]:
    """The plain detector, and where its weights are from; WeightsError as inference.load_weights."""
    network = chosen.build().eval()
    if options["weights"]:
        inference.load_weights(network, options["weights"])
        return network, {"file": options["weights"].name, "sha256": file_digest(options["weights"])}
    numbers = list(coco.files)[:CALIBRATION]
    canvases = [placed(coco.read(number), size)[0] for number in numbers]
    images = [torch.from_numpy(canvas).permute(2, 0, 1).float() / 255 for canvas in canvases]
    calibrate(network, images, len(chosen.classes), options["seed"])
    return network, {"random": options["seed"], "calibrated_on": [coco.files[number] for number in numbers]}


def _check(options: dict[str, Any]) -> None:
    if (options["weights"] is None) == (not options["random_weights"]):
        raise click.UsageError("give --weights FILE, or --random-weights to measure agreement alone")
    needed = [path for path in (options["weights"], *options["keys"]) if path]
    check_outputs([options["output"]] if options["output"] else [], needed)


def _check_data(coco: Coco, chosen: DetectorPreset, options: dict[str, Any]) -> None:
    """Raise InputError for whatever would stop the run, or leave it without figures, after hours."""
    numbers = list(coco.files)
    looked_at = numbers[: options["limit"]]
    coco.check_classes(chosen.classes)
    coco.check_images(looked_at)
    if options["weights"]:
        coco.check_annotations(looked_at)
    else:
        coco.check_images(numbers[:CALIBRATION])


def _files(coco: Coco, options: dict[str, Any]) -> list[Path]:
    """Images that figures depend on: those looked at, and those that random weights are calibrated on."""
    numbers = list(coco.files)
    calibrated = [] if options["weights"] else numbers[:CALIBRATION]
    return [coco.folder / coco.files[number] for number in (*numbers[: options["limit"]], *calibrated)]


@click.command(
    cls=Command,
    name="evaluate_detection",
    goes_on="with -o, the same command goes on from there",
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.argument("instances", type=click.Path(path_type=Path))
@click.argument("images", type=click.Path(path_type=Path))
@key_options
@click.option("--model", default="torchvision:fasterrcnn_resnet50_fpn", show_default=True, help="torchvision:NAME.")
@click.option("--weights", type=click.Path(path_type=Path), help="Of the detector, for COCO's classes.")
@click.option("--random-weights", is_flag=True, help="In place of --weights: measures agreement, not precision.")
@click.option("--score", type=FiniteRange(0, 1), default=0.5, show_default=True, help="Boxes compared from it.")
@click.option("--limit", type=click.IntRange(min=1), help="Only the first so many images.")
@click.option("--backend", type=click.Choice(["gather", "reference"]), default="gather", show_default=True)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of wrong permutations and weights.")
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="JSON file of the figures.")
@click.pass_context
def main(context: click.Context, /, instances: Path, images: Path, **options: Any) -> None:
    """Compare a detector on private frames of IMAGES (COCO, described by INSTANCES) with itself on the images."""
    _check(options)
    chosen, coco = detector_preset(options["model"]), open_coco(instances, images)
    _check_data(coco, chosen, options)
    with both_sides(options) as sides:
        policy = sides.camera.grant.policy
        network, weights = _detector(chosen, coco, image_size(policy), options)
        described = {
            **{name: options[name] for name in ("limit", "backend", "seed")},
            "model": chosen.name,
            "weights": weights,
            "policy": policy.to_json(),
            "instances": file_digest(instances),
            "images": files_digest(_files(coco, options)),
        }
        keeper = Keeper(options["output"], described)
        done = measure(Bench.make(sides, network, options["seed"], options["backend"]), coco, keeper, options["limit"])
    found = figures(coco, done, score=options["score"], trained="file" in weights)
    print(report(found))
    keeper.finish(command_line(context), {"figures": found})


if __name__ == "__main__":
    sys.exit(main())
