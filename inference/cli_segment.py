"""``keyed-infer segment``: the class of every pixel of a frame."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from inference.cli_options import demosaic_option, gamma_option, opens_frames, overlay_option, runs_network
from inference.cli_session import check_output, network_of, session_of, write_picture
from keyvault.cli_options import file_option

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from inference.models import Preset
    from inference.session import ShuffledFrame


@click.command("segment")
@opens_frames
@runs_network("espnetv2 or torchvision:NAME, such as torchvision:fcn_resnet50.")
@demosaic_option
@gamma_option
@file_option("-o", "--output", required=True, help="PNG to write, in VOC's colours; only its owner can read it.")
@overlay_option("the classes")
@click.argument("frame", type=click.Path(path_type=Path))
@click.pass_obj
def segment_command(home: Path, /, **options: Any) -> None:
    """Write the label map of a private frame and print the share of pixels by class.

    The map has the size of the plain image.  It shows what is where in the scene, and is for a key
    holder who has a right to know.
    """
    from inference.errors import ModelError  # noqa: PLC0415
    from inference.imaging import isp  # noqa: PLC0415
    from inference.models import Task, preset  # noqa: PLC0415
    from inference.pictures import label_png, overlaid, png, revealed  # noqa: PLC0415

    chosen = preset(options["model"])
    if chosen.task is not Task.LABEL_MAP:
        raise ModelError(f"{chosen.name} classifies images, it does not label pixels", hint="use keyed-infer run")
    path, output, overlay = options["frame"], options["output"], options["overlay"]
    check_output(output, path, options)
    frame = session_of(home, options).open(path)
    labels = _labels(frame, chosen, options)
    height, width = labels.shape
    if overlay:
        plain = isp(frame, settings=chosen.whole_frame(options["demosaic"], options["gamma"]))
        data, what = png(overlaid(revealed(plain), labels)), "classes over the plain image"
    else:
        data, what = label_png(labels), "label map"
    write_picture(output, data, f"{what} of {path}, {width}x{height}", reveals=overlay)
    _show(path, labels, chosen, as_json=options["as_json"])


def _labels(frame: ShuffledFrame, chosen: Preset, options: dict[str, Any]) -> NDArray[np.uint8]:
    """The class of each pixel, uint8 (h, w), scaled by nearest neighbour to the size of the plain image."""
    import cv2  # noqa: PLC0415
    import numpy as np  # noqa: PLC0415

    from inference.imaging import isp  # noqa: PLC0415
    from inference.imaging.plan import plan_for  # noqa: PLC0415

    settings = chosen.isp_settings(demosaic=options["demosaic"], gamma=options["gamma"])
    scores = network_of(chosen, options)(isp(frame, settings=settings).to(options["device"]))
    height, width = plan_for(frame.header.policy, chosen.whole_frame(options["demosaic"], options["gamma"])).size
    found = scores.reveal()[0].argmax(0).byte().cpu().numpy()
    return np.asarray(cv2.resize(found, (width, height), interpolation=cv2.INTER_NEAREST_EXACT))


def _show(path: Path, labels: NDArray[np.uint8], chosen: Preset, *, as_json: bool) -> None:
    """Print the share of pixels of each class that is there, the largest first."""
    import numpy as np  # noqa: PLC0415

    counts = np.bincount(labels.ravel(), minlength=len(chosen.classes))
    order = [int(number) for number in np.argsort(-counts, kind="stable") if counts[number]]
    shares: list[dict[str, Any]] = [
        {"class": number, "label": chosen.classes[number], "share": round(float(counts[number] / labels.size), 6)}
        for number in order
    ]
    if as_json:
        height, width = labels.shape
        click.echo(json.dumps({"frame": str(path), "width": width, "height": height, "shares": shares}))
        return
    click.echo(path)
    for entry in shares:
        click.echo(f"  {100 * entry['share']:6.2f} %  {entry['label']}")
