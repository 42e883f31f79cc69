"""Segmentation of private frames against plain images: python tools/evaluate_segmentation.py --help

Every image is resized to the network's input and enters the sensor as DN, so that its private frame
carries exactly what the plain network gets.  The label maps of both are scaled to the masks' own
size, by nearest neighbour, and compared with them where the masks are not void.  Also measured: the
keyed network with a random permutation in place of the frame's, after the frame has been opened
properly; and the plain network on the opened frame as it lies in the host's memory, shuffled.  Where two
scores are nearly equal, rounding decides the label; how often it does, the plain network in float64 shows.

With -o the figures are written as JSON, counts are kept after every batch, and the same command goes
on with them after an interruption.  --figure draws input, private frame and predictions side by side.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
from torch import nn
from tqdm import tqdm

import inference
from both_sides import BothSides, both_sides, key_options
from fingerprint import file_digest, files_digest
from inference import Preset
from inference.models import Task
from kept_results import Keeper, command_line
from keyvault.console import Command
from keyvault.errors import InputError
from keyvault.files import check_outputs
from label_maps import Evaluation
from random_weights import CALIBRATION, calibrate
from segmentation_bench import Bench, network_input, resized
from segmentation_figure import choose, draw, rows
from voc import Voc, open_voc

FIGURE_ROWS = 4


def evaluate(voc: Voc, sides: BothSides, chosen: Preset, network: nn.Module, **options: Any) -> Evaluation:
    """Compare both networks on the images of a folder.

    Args:
        voc: images and masks.
        sides: makes and opens the frames.
        chosen: the network's preset.
        network: in evaluation mode.
        options: ``limit``, ``batch``, ``seed`` of the substituted permutations, ``backend``.
    """
    bench = Bench.make(sides, chosen, network, options.get("seed", 0), options.get("backend", "gather"))
    return measure(bench, voc, Keeper(None, {}), limit=options.get("limit"), batch=options.get("batch", 2))


def measure(bench: Bench, voc: Voc, keeper: Keeper, *, limit: int | None, batch: int) -> Evaluation:
    """Count the images that the keeper has no counts of.

    Raises:
        InputError: what was kept is damaged or of another run, or an image or mask cannot be read.
        PolicyError: the key is for another size.
    """
    names = voc.names[:limit]
    result = _kept(keeper, len(names))
    with tqdm(total=len(names), initial=result.images, unit="image", disable=None) as progress:
        for first, part in _parts(names, result.images, batch):
            examples = [voc.read(name) for name in part]
            result.add(examples, bench.of_examples(examples, first))
            keeper.append(result.to_json())
            progress.update(len(part))
    return result


def _kept(keeper: Keeper, total: int) -> Evaluation:
    records = keeper.load()  # each has all counts so far
    if not records:
        return Evaluation()
    try:
        found = Evaluation.from_json(records[-1])
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{keeper.partial} does not hold counts of label maps", hint="remove it") from error
    if not 0 < found.images <= total:
        raise InputError(f"{keeper.partial} is of {found.images} images, not up to {total}", hint="remove it")
    return found


def _parts(names: tuple[str, ...], done: int, size: int) -> Iterator[tuple[int, tuple[str, ...]]]:
    for first in range(done, len(names), size):
        yield first, names[first : first + size]


def chosen_network(voc: Voc, options: dict[str, Any]) -> tuple[Preset, nn.Module, dict[str, Any]]:
    """Preset, network, and where its weights are from.

    Raises:
        UnknownModelError, WeightsError: as inference.preset and inference.pretrained.
        InputError: the network labels no pixels.
    """
    chosen = inference.preset(options["model"])
    if chosen.task is not Task.LABEL_MAP:
        raise InputError(f"{chosen.name} labels no pixels", hint="see evaluate_agreement.py")
    if options["size"]:
        chosen = replace(chosen, size=options["size"][::-1])
    if options["weights"]:
        network = inference.pretrained(chosen, options["weights"])
        return chosen, network, {"file": options["weights"].name, "sha256": file_digest(options["weights"])}
    names = voc.names[:CALIBRATION]
    x = network_input([resized(voc.read(name).image, chosen.size) for name in names], chosen)
    network = calibrate(chosen.build(), x, len(chosen.classes), options["seed"])
    return chosen, network, {"random": options["seed"], "calibrated_on": names}


def _check(options: dict[str, Any]) -> None:
    if (options["weights"] is None) == (not options["random_weights"]):
        raise click.UsageError("give --weights FILE, or --random-weights to measure agreement alone")
    if options["show"] and not options["figure"]:
        raise click.UsageError("--show is for a picture; name it with --figure")
    outputs = [path for path in (options["output"], options["figure"]) if path]
    check_outputs(outputs, [path for path in (options["weights"], *options["keys"]) if path])


def _files(voc: Voc, options: dict[str, Any]) -> list[Path]:
    """Images and masks that figures depend on: of those counted, and of those that random weights are calibrated on."""
    calibrated = () if options["weights"] else voc.names[:CALIBRATION]
    return [path for name in (*voc.names[: options["limit"]], *calibrated) for path in voc.paths(name)]


def _shown(voc: Voc, options: dict[str, Any]) -> tuple[str, ...]:
    """Names of the images of the figure; InputError if the run would stop at an image, or the figure at a name."""
    shown = tuple(options["show"]) or (choose(voc, FIGURE_ROWS) if options["figure"] else ())
    for name in shown:
        if name not in voc.names:
            raise InputError(f"{name} is not in the list of images", hint="give a name from the list")
    calibrated = () if options["weights"] else voc.names[:CALIBRATION]
    voc.check_files((*voc.names[: options["limit"]], *shown, *calibrated))
    return shown


@click.command(
    cls=Command,
    name="evaluate_segmentation",
    goes_on="with -o, the same command goes on from there",
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.argument("folder", type=click.Path(path_type=Path))
@key_options
@click.option("--model", default="espnetv2", show_default=True, help="espnetv2 or torchvision:NAME.")
@click.option("--weights", type=click.Path(path_type=Path), help="Of the network, for 21 classes.")
@click.option("--random-weights", is_flag=True, help="In place of --weights: measures agreement, not accuracy.")
@click.option(
    "--size",
    type=(click.IntRange(1), click.IntRange(1)),
    metavar="W H",
    help="Of the network's input.  [default: the model's]",
)
@click.option("--limit", type=click.IntRange(min=1), help="Only the first so many images.")
@click.option("--batch", type=click.IntRange(1), default=2, show_default=True)
@click.option("--backend", type=click.Choice(["gather", "reference"]), default="gather", show_default=True)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of wrong permutations and weights.")
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="JSON file of the figures.")
@click.option("--figure", type=click.Path(path_type=Path, dir_okay=False), help="PNG of some images, side by side.")
@click.option("--show", multiple=True, metavar="NAME", help="Image for --figure; may be repeated.  [default: 4 of all]")
@click.pass_context
def main(context: click.Context, /, folder: Path, **options: Any) -> None:
    """Compare a network on private frames of FOLDER's images (VOC) with the plain network on the images."""
    _check(options)
    voc = open_voc(folder)
    shown = _shown(voc, options)
    chosen, network, weights = chosen_network(voc, options)
    with both_sides(options) as sides:
        described = {
            **{name: options[name] for name in ("limit", "batch", "backend", "seed")},
            "model": chosen.name,
            "size": chosen.size,
            "weights": weights,
            "policy": sides.camera.grant.policy.to_json(),
            "images": files_digest(_files(voc, options)),
        }
        bench = Bench.make(sides, chosen, network, options["seed"], options["backend"])
        keeper = Keeper(options["output"], described)
        result = measure(bench, voc, keeper, limit=options["limit"], batch=options["batch"])
        print(result.report(trained="file" in weights))
        if options["figure"]:
            draw(options["figure"], rows(bench, voc, shown))
        keeper.finish(command_line(context), {"figures": result.figures(trained="file" in weights)})


if __name__ == "__main__":
    sys.exit(main())
