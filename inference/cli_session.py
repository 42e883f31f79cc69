"""What the commands of ``keyed-infer`` do with their options: session, network, outputs."""

from __future__ import annotations

from dataclasses import astuple
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from keyvault import places
from keyvault.files import PRIVATE_FILE, check_outputs, write_whole
from keyvault.token_uri import is_token_uri

if TYPE_CHECKING:
    from inference.models import Preset
    from inference.module import KeyedModule
    from inference.session import Session


def session_of(home: Path, options: dict[str, Any]) -> Session:
    """The session of the options of :func:`inference.cli_options.opens_frames`; raises as open_session does."""
    from inference.session import open_session  # noqa: PLC0415
    from keyvault.identities import open_identity  # noqa: PLC0415

    named = options["identity"] or str(places.host_key_file(home))
    with open_identity(named, options["unlock"], options["pin_file"]) as key:
        return open_session(options["keys"], key, options["trust"], status=options["status"], home=home)


def network_of(chosen: Preset, options: dict[str, Any]) -> KeyedModule:
    """The keyed network of a preset; raises as pretrained and secure do."""
    import torch  # noqa: PLC0415

    from inference.convert import secure  # noqa: PLC0415
    from inference.weights import pretrained  # noqa: PLC0415

    plain = pretrained(chosen, options["weights"])
    example = torch.zeros(1, 3, *chosen.size).contiguous(memory_format=torch.channels_last)
    return secure(plain, example, backend=options["backend"], device=options["device"])


def check_output(output: Path, frame: Path, options: dict[str, Any]) -> None:
    """Raise OutputError unless ``output`` can be written and is none of the files that the command reads."""
    from adc_firmware.sidecar import path_of  # noqa: PLC0415

    files = ("identity", "trust", "status", "pin_file", "weights")
    named = [*(options.get(name) for name in files), *astuple(options["unlock"])]
    others = [Path(path) for path in named if path and not is_token_uri(str(path))]
    check_outputs([output], [frame, path_of(frame), *options["keys"], *others])


def write_picture(output: Path, data: bytes, what: str, *, reveals: bool) -> None:
    """Write a PNG that only its owner can read, and say on stderr what it is."""
    write_whole(output, data, mode=PRIVATE_FILE)
    click.echo(f"{output}: {what}{', no longer protected' if reveals else ''}", err=True)
