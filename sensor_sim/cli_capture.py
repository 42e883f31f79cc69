"""``sensor-sim capture``: single frames, each when it is asked for."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import click

from sensor_sim.cli_options import frame_names, opened, takes_frames

if TYPE_CHECKING:
    from adc_firmware.encodings import Encoding
    from sensor_sim.camera import Camera
    from sensor_sim.outputs import FrameNames


@click.command("capture")
@takes_frames
@click.option("--frames", type=click.IntRange(min=1), default=1, show_default=True, help="How many frames.")
@click.option("-q", "--quiet", is_flag=True, help="Do not print the names of the files.")
@click.pass_context
def capture_command(context: click.Context, /, **options: Any) -> None:
    """Capture private frames one by one.

    The newest epoch among the keys that is valid now is used.  Files appear whole or not at all,
    and replace what had their name.  A raw file enters as it is: --shutter and --gain then only
    go into the header.
    """
    names = frame_names(options, options["frames"])
    with opened(context, options) as (camera, encoding):
        _capture(camera, encoding, names, options)


def _capture(camera: Camera, encoding: Encoding, names: FrameNames, options: dict[str, Any]) -> None:
    from tqdm import tqdm  # noqa: PLC0415

    from adc_firmware import write  # noqa: PLC0415
    from sensor_sim.errors import SceneEndedError  # noqa: PLC0415
    from sensor_sim.metadata_file import MetadataFile  # noqa: PLC0415
    from sensor_sim.outputs import describe  # noqa: PLC0415

    single = names.count == 1
    with MetadataFile(options["metadata"]) if options["metadata"] else nullcontext() as metadata:
        for number, path in enumerate(tqdm(names.paths(), total=names.count, unit="frame", disable=single or None)):
            try:
                frame = camera.capture()
            except SceneEndedError as error:
                what = f"{error} after {number} of {names.count} frames"
                raise SceneEndedError(what, hint="--loop plays them again and again") from error
            write(frame, path, encoding)
            if metadata is not None:
                metadata.add(describe(frame, path, camera.profile))
            if not options["quiet"]:
                tqdm.write(str(path))
