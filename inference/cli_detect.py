"""``keyed-infer detect``: objects of a frame and where they are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from inference.cli_options import gamma_option, malvar_option, opens_frames, overlay_option, runs_network
from inference.cli_session import check_output, session_of, write_picture
from keyvault.cli_options import file_option
from keyvault.console import FiniteRange

if TYPE_CHECKING:
    from inference.layout import KeyedTensor
    from inference.pictures import Found


@click.command("detect")
@opens_frames
@runs_network("torchvision:NAME of a detector, such as torchvision:fasterrcnn_resnet50_fpn.", weights_come=False)
@malvar_option
@gamma_option
@click.option("--score", type=FiniteRange(0, 1), default=0.5, show_default=True, help="The lowest that is reported.")
@file_option("-o", "--output", help="PNG of the boxes; only its owner can read it.")
@overlay_option("the boxes")
@click.argument("frame", type=click.Path(path_type=Path))
@click.pass_obj
def detect_command(home: Path, /, **options: Any) -> None:
    """Print the objects of a private frame, with boxes in pixels of the plain image.

    Boxes tell where things are in the scene, and are for a key holder who has a right to know.
    """
    path, output, overlay = options["frame"], options["output"], options["overlay"]
    if overlay and output is None:
        raise click.UsageError("--overlay is for a picture; name it with -o")
    if output is not None:
        check_output(output, path, options)
    developed = _developed(home, options)
    found = _detect(developed, options)
    if output is not None:
        _draw(developed, found, options)
    (_show_json if options["as_json"] else _show_text)(path, developed.shape[2:], found)


def _developed(home: Path, options: dict[str, Any]) -> KeyedTensor:
    """The frame in full size, in [0, 1]; ModelError if the name is of no detector, before it is opened."""
    from inference.imaging import Demosaic, Gamma, IspSettings, isp  # noqa: PLC0415
    from inference.models.torchvision_presets import detector_preset  # noqa: PLC0415

    detector_preset(options["model"])
    settings = IspSettings(demosaic=Demosaic(options["demosaic"]), gamma=Gamma(options["gamma"]))
    return isp(options["frame"], session_of(home, options), settings)


def _detect(developed: KeyedTensor, options: dict[str, Any]) -> list[Found]:
    """What is found with the score that is asked for, the best first."""
    import torch  # noqa: PLC0415

    from inference.detection.detector import secure_detector  # noqa: PLC0415
    from inference.models.torchvision_presets import detector_preset  # noqa: PLC0415
    from inference.pictures import Found  # noqa: PLC0415
    from inference.weights import load_weights  # noqa: PLC0415

    chosen, device = detector_preset(options["model"]), options["device"]
    example = torch.zeros(1, 3, *developed.shape[2:]).contiguous(memory_format=torch.channels_last)
    plain = chosen.build().eval()
    load_weights(plain, options["weights"])
    detector = secure_detector(plain, example, backend=options["backend"], device=device)
    result = detector(developed.to(device))[0]
    rows = zip(*(result[name].tolist() for name in ("boxes", "labels", "scores")), strict=True)
    found = [
        Found((box[0], box[1], box[2], box[3]), number, chosen.classes[number], score)
        for box, number, score in rows
        if score >= options["score"]
    ]
    return sorted(found, key=lambda one: -one.score)


def _draw(developed: KeyedTensor, found: list[Found], options: dict[str, Any]) -> None:
    import numpy as np  # noqa: PLC0415

    from inference.pictures import png, revealed, with_boxes  # noqa: PLC0415

    height, width = developed.shape[2:]
    overlay = options["overlay"]
    canvas = revealed(developed) if overlay else np.zeros((height, width, 3), np.uint8)
    what = f"boxes{' over the plain image' if overlay else ''} of {options['frame']}, {width}x{height}"
    write_picture(options["output"], png(with_boxes(canvas, found)), what, reveals=overlay)


def _show_text(path: Path, _size: tuple[int, ...], found: list[Found]) -> None:
    click.echo(path)
    for one in found:
        corners = " ".join(f"{value:8.1f}" for value in one.box)
        click.echo(f"  {100 * one.score:6.2f} %  {corners}  {one.label}")


def _show_json(path: Path, size: tuple[int, ...], found: list[Found]) -> None:
    boxes = [
        {
            "class": one.number,
            "label": one.label,
            "score": round(one.score, 6),
            "box": [round(value, 2) for value in one.box],
        }
        for one in found
    ]
    click.echo(json.dumps({"frame": str(path), "width": size[1], "height": size[0], "boxes": boxes}))
