"""``sensor-sim show``: private frames for a person, without any secret."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from keyvault.cli_options import file_option
from keyvault.errors import OutputError
from keyvault.files import check_outputs, write_whole

if TYPE_CHECKING:
    from keyvault.grant import Grant
    from sensor_sim.frame_page import Shown

_SUFFIX = ".view.png"


@click.command("show")
@click.argument("frames", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("-o", "--output", help=f"PNG to write; %d counts several.  [default: the frame's name + {_SUFFIX}]")
@click.option("--key", "keys", multiple=True, type=click.Path(path_type=Path), help="Sealed key, or a folder: verify.")
@file_option("--trust", help="Public key of the issuing vault, for --key.  [default: issuer.pub in the home]")
@click.option("--json", "as_json", is_flag=True, help="Print the metadata as JSON; no picture unless -o is given.")
def show_command(**options: Any) -> None:
    """Draw private frames as anybody may see them: stored samples, histogram, metadata.

    Needs no secret and reveals nothing; keyed-infer reveal makes the plain image for a key holder.
    With --key the sensor's signature is verified: the public part of a sealed key says with what.
    """
    frames: tuple[Path, ...] = options["frames"]
    outputs = _outputs(frames, options)
    _check_outputs(frames, outputs, options)
    grants = _grants(options)
    records = []
    for number, path in enumerate(frames):
        shown = _read(path, grants)
        records.append(_record(shown))
        if not options["as_json"]:
            click.echo(shown.summary())
        if outputs:
            _draw(shown, outputs[number], quiet=options["as_json"])
    if options["as_json"]:
        click.echo(json.dumps(records, indent=2))


def _outputs(frames: tuple[Path, ...], options: dict[str, Any]) -> list[Path]:
    """The picture of each frame; none at all if only metadata are asked for."""
    from sensor_sim.outputs import FrameNames  # noqa: PLC0415

    if options["output"] is not None:
        return list(FrameNames(options["output"], len(frames)).paths())
    return [] if options["as_json"] else [Path(f"{path}{_SUFFIX}") for path in frames]


def _check_outputs(frames: tuple[Path, ...], outputs: list[Path], options: dict[str, Any]) -> None:
    from adc_firmware.sidecar import path_of  # noqa: PLC0415

    trust = [options["trust"]] if options["trust"] else []
    check_outputs(outputs, [*frames, *map(path_of, frames), *options["keys"], *trust])
    for output in outputs:
        if output.suffix.lower() != ".png":
            raise OutputError(f"output {output} is not named as the PNG that it would be", hint="write a name in .png")


def _grants(options: dict[str, Any]) -> Mapping[str, Grant]:
    """The grants of the sealed keys, by key id; empty without --key."""
    from keyvault import places  # noqa: PLC0415
    from keyvault.envelope import read_sealed  # noqa: PLC0415
    from keyvault.hosts import load_issuer  # noqa: PLC0415
    from sensor_sim.keys import sealed_files  # noqa: PLC0415

    if not options["keys"]:
        if options["trust"]:
            raise click.UsageError("--trust needs --key")
        return {}
    issuer = load_issuer(options["trust"] or places.issuer_file())
    grants = [read_sealed(path, issuer).grant for path in sealed_files(options["keys"])]
    return {grant.key_id: grant for grant in grants}


def _read(path: Path, grants: Mapping[str, Grant]) -> Shown:
    from adc_firmware import inspect, read  # noqa: PLC0415
    from sensor_sim.frame_page import Shown  # noqa: PLC0415

    unverified = inspect(path)
    if not grants:
        return Shown(path, unverified.claims, unverified.samples, unverified.encoding, verified=False)
    frame = read(path, grants)
    return Shown(path, frame.header, frame.samples, unverified.encoding, verified=True)


def _record(shown: Shown) -> dict[str, Any]:
    from sensor_sim.outputs import describe_header  # noqa: PLC0415

    return {
        "file": str(shown.path),
        "Verified": shown.verified,
        "Encoding": str(shown.encoding),
        **describe_header(shown.header),
        "Policy": shown.header.policy.to_json(),
    }


def _draw(shown: Shown, output: Path, *, quiet: bool) -> None:
    from sensor_sim.frame_page import draw  # noqa: PLC0415

    write_whole(output, draw(shown))
    if not quiet:
        click.echo(output)
