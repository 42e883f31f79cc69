"""``keyed-infer reveal``: the plain image of a frame."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from inference.cli_options import gamma_option, malvar_option, opens_frames
from inference.cli_session import check_output, session_of
from keyvault.cli_options import file_option
from keyvault.files import PRIVATE_FILE, write_whole


@click.command("reveal")
@opens_frames
@malvar_option
@gamma_option
@file_option("-o", "--output", required=True, help="PNG to write; only its owner can read it.")
@click.argument("frame", type=click.Path(path_type=Path))
@click.pass_obj
def reveal_command(home: Path, /, **options: Any) -> None:
    """Write the plain image of a private frame, for a key holder who has a right to look."""
    from inference.imaging import Demosaic, Gamma, IspSettings, isp  # noqa: PLC0415
    from inference.pictures import png, revealed  # noqa: PLC0415

    frame, output = options["frame"], options["output"]
    check_output(output, frame, options)
    settings = IspSettings(demosaic=Demosaic(options["demosaic"]), gamma=Gamma(options["gamma"]))
    image = revealed(isp(frame, session_of(home, options), settings))
    write_whole(output, png(image), mode=PRIVATE_FILE)
    height, width = image.shape[:2]
    click.echo(f"{output}: plain image of {frame}, {width}x{height}, no longer protected")
