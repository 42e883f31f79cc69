"""The commands that make and show sealed keys: issue, rotate, export, inspect."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Any

import click

from keyvault import places, report
from keyvault.cli_options import Function, duration, existing_passphrase, file_option, instant, open_vault, say, size
from keyvault.envelope import read_sealed
from keyvault.errors import OutputError
from keyvault.files import write_whole
from keyvault.hosts import load_issuer
from keyvault.issuing import Issued, Terms
from keyvault.policy import Cfa, FrameKeys, Policy, Protection, Unit
from keyvault.vault import Vault

_YEAR = "365d"
_sensor = click.option("--sensor", required=True, help="Enrolled sensor that will make the frames.")
_force = click.option("--force", is_flag=True, help="Replace the output if it exists.")


def _host(help: str, **more: Any) -> Callable[[Function], Function]:  # noqa: A002
    return click.option("--host", "hosts", multiple=True, help=help, **more)


def _choice(name: str, kind: type[StrEnum], default: str | None, help: str) -> Callable[[Function], Function]:  # noqa: A002
    values = click.Choice([value.value for value in kind])
    return click.option(name, type=values, default=default, show_default=default is not None, help=help)


@click.command()
@_sensor
@_host("Enrolled host that may open the frames; may be repeated.", required=True)
@click.option("--size", required=True, help="Photosites, width first.", **size)
@_choice("--cfa", Cfa, None, "Colour filter array.  [default: RGGB; none with --stacked]")
@click.option("--bits", type=int, default=12, show_default=True, help="Bit depth, 8 to 16.")
@click.option("--stacked", is_flag=True, help="Three samples at each photosite, no colour filter array.")
@_choice("--unit", Unit, Unit.PHOTOSITE.value, "What moves.")
@click.option("--scope", default="frame", show_default=True, help="How far it moves: row, band:N (N rows) or frame.")
@_choice(
    "--protection", Protection, Protection.SHUFFLE_MASK.value, "New positions, or new positions and masked values."
)
@_choice("--frame-keys", FrameKeys, FrameKeys.PER_FRAME.value, "A key for each frame; fixed is breakable.")
@click.option("--valid-for", default=_YEAR, show_default=True, help="Such as 30d, 12h or 90m.", **duration)
@click.option("--not-before", help="First moment of validity, ISO 8601.  [default: now]", **instant)
@file_option("-o", "--output", default=Path("sealed.bin"), show_default=True, help="Sealed key to write.")
@_force
@existing_passphrase
@click.pass_obj
def issue(base: Path, /, **options: Any) -> None:
    """Seal the next epoch of a sensor for itself and its hosts."""
    begin = int(time.time()) if options["not_before"] is None else options["not_before"]
    terms = Terms(options["hosts"], _policy(options), begin, begin + options["valid_for"])
    output: Path = options["output"]
    _check_output(output, options["force"])
    with open_vault(base, options["passphrase_file"]) as vault:
        _deliver(vault.issue(options["sensor"], terms), output, options["force"])


@click.command()
@_sensor
@_host("Hosts, instead of those of the last epoch; may be repeated.")
@click.option("--valid-for", help="Instead of the last epoch's span.", **duration)
@file_option("-o", "--output", help="Sealed key to write.  [default: SENSOR-epochNNNN.bin]")
@_force
@existing_passphrase
@click.pass_obj
def rotate(base: Path, /, **options: Any) -> None:
    """Seal the next epoch with the last one's policy and hosts; the old file stays as it is."""
    with open_vault(base, options["passphrase_file"]) as vault:
        last = vault.issued(options["sensor"]).grant
        span = options["valid_for"] or last.not_after - last.not_before
        now = int(time.time())
        terms = Terms(tuple(host.name for host in last.hosts), last.policy, now, now + span)
        if options["hosts"]:
            terms = replace(terms, hosts=options["hosts"])
        output = options["output"] or Path(_default_name(last.sensor, last.epoch + 1))
        _check_output(output, options["force"])
        issued = vault.issue(last.sensor, terms)
        _deliver(issued, options["output"] or Path(_default_name(last.sensor, issued.grant.epoch)), options["force"])


@click.command()
@_sensor
@click.option("--epoch", type=click.IntRange(min=1), help="Which epoch.  [default: the last]")
@file_option("-o", "--output", help="Sealed key to write.  [default: SENSOR-epochNNNN.bin]")
@_force
@click.pass_obj
def export(base: Path, sensor: str, epoch: int | None, output: Path | None, force: bool) -> None:
    """Write a sealed key again that was issued before."""
    with Vault.open(base) as vault:
        issued = vault.issued(sensor, epoch)
    _deliver(issued, output or Path(_default_name(issued.grant.sensor, issued.grant.epoch)), force)


@click.command()
@click.argument("sealed", type=click.Path(path_type=Path))
@file_option("--issuer", help="Public key of the vault.  [default: issuer.pub in the home]")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def inspect(base: Path, sealed: Path, issuer: Path | None, as_json: bool) -> None:
    """Verify a sealed key and show what it grants; needs no secret."""
    grant = read_sealed(sealed, load_issuer(issuer or places.issuer_file(base))).grant
    if as_json:
        click.echo(json.dumps(report.as_json(grant), indent=2))
        return
    click.echo(report.as_text(grant))
    _warn(grant.policy, err=False)


def _policy(options: dict[str, Any]) -> Policy:
    width, height = options["size"]
    stacked = options["stacked"]
    return Policy(
        width=width,
        height=height,
        cfa=Cfa(options["cfa"] or (Cfa.NONE if stacked else Cfa.RGGB)),
        samples_per_photosite=3 if stacked else 1,
        bits=options["bits"],
        unit=Unit(options["unit"]),
        scope=options["scope"],
        protection=Protection(options["protection"]),
        frame_keys=FrameKeys(options["frame_keys"]),
    )


def _default_name(sensor: str, epoch: int) -> str:
    return f"{sensor}-epoch{epoch:04d}.bin"


def _check_output(output: Path, force: bool) -> None:
    """Refuse before an epoch is spent what cannot be written anyway."""
    if output.exists() and not force:
        raise OutputError(f"{output} exists", hint="choose another name, or replace it with --force")
    if not output.parent.is_dir() or not os.access(output.parent, os.W_OK):
        raise OutputError(f"cannot write into {output.parent}", hint="choose a folder that exists and is yours")


def _deliver(issued: Issued, output: Path, force: bool) -> None:
    grant = issued.grant
    try:
        write_whole(output, issued.data, replace=force)
    except OutputError as error:
        raise OutputError(
            f"{error}; epoch {grant.epoch} is kept in the vault",
            hint=f"write it with keyvault export --sensor {grant.sensor} --epoch {grant.epoch} -o FILE",
        ) from error
    say("sealed key", output)
    click.echo(report.as_text(grant))
    _warn(grant.policy, err=True)


def _warn(policy: Policy, *, err: bool) -> None:
    if policy.breakable:
        click.echo(report.warning(policy), err=err)
