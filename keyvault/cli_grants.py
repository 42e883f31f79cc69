"""The commands that seal keys: issue, rotate, promote, rewrap, grant and export."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Any

import click

from keyvault import deliveries, epochs, report, sealing
from keyvault.change import Change
from keyvault.cli_options import Function, duration, existing_secret, instant, one_sensor, open_vault, say, size
from keyvault.cli_outputs import (
    Operation,
    Output,
    check_output,
    force_option,
    older_than,
    output_options,
    seal_fleet,
    seal_one,
    take_output,
    unless_fresh,
    warn,
    warn_left_out,
    write_one,
)
from keyvault.deliveries import SealedFile
from keyvault.errors import InputError
from keyvault.files import make_folder, write_many
from keyvault.issuing import Terms
from keyvault.policy import Cfa, FrameKeys, Policy, Protection, Unit
from keyvault.sealing import Recipients, Rotation, Sealed
from keyvault.vault import Vault

_YEAR = "365d"
_valid_for = click.option("--valid-for", help="Instead of the last epoch's span.", **duration)
_which_epoch = click.option("--epoch", type=click.IntRange(min=1), help="Number of the epoch.  [default: see above]")


def _hosts(name: str, parameter: str, help: str, **more: Any) -> Callable[[Function], Function]:  # noqa: A002
    return click.option(name, parameter, multiple=True, help=f"{help}; may be repeated.", **more)


def _choice(name: str, kind: type[StrEnum], default: str | None, help: str) -> Callable[[Function], Function]:  # noqa: A002
    values = click.Choice([value.value for value in kind])
    return click.option(name, type=values, default=default, show_default=default is not None, help=help)


def _change_of_hosts(command: Function) -> Function:
    only = _hosts("--host", "hosts", "Host, instead of all those before")
    add = _hosts("--add-host", "add_hosts", "Host, besides those before")
    remove = _hosts("--remove-host", "remove_hosts", "Host that is left out; revoked ones always are")
    return only(add(remove(command)))


@click.command()
@output_options
@_hosts("--host", "hosts", "Enrolled host that may open the frames", required=True)
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
@click.option("--status-max-age", help="Refuse to open it with a status list older than this, or none.", **duration)
@older_than
@existing_secret
@click.pass_obj
def issue(base: Path, /, **options: Any) -> None:
    """Make the next epoch of each sensor under a new policy, and seal it for the sensor and the hosts.

    It becomes primary; the one before it becomes decrypt-only.  The file of a single sensor is sealed.bin
    unless -o names another.
    """
    begin = int(time.time()) if options["not_before"] is None else options["not_before"]
    terms = Terms(options["hosts"], _policy(options), begin, begin + options["valid_for"], options["status_max_age"])
    output = take_output(options, Path("sealed.bin"))

    def operation(change: Change, sensor: str) -> Sealed:
        issued = sealing.issue(change, sensor, terms)
        return Sealed(deliveries.by_serial(change.database, issued.grant.sensor, issued.grant.serial))

    with open_vault(base, options["unlock"]) as vault:
        _seal(vault, output, operation, (options["older_than"], _young_epoch))
    if output.fleet:
        warn(report.warning(terms.policy))


@click.command()
@output_options
@_change_of_hosts
@_valid_for
@click.option("--stage", is_flag=True, help="Seal the next epoch for the hosts alone, until it is promoted.")
@older_than
@existing_secret
@click.pass_obj
def rotate(base: Path, /, **options: Any) -> None:
    """Make the next epoch of each sensor with the policy and hosts of the primary one.

    Revoked hosts are left out.  The new epoch becomes primary and the old one decrypt-only, unless it is
    staged; files that were written before stay as they are.
    """
    output = take_output(options)
    rotation = Rotation(_recipients(options), options["valid_for"], options["stage"])

    def operation(change: Change, sensor: str) -> Sealed:
        return sealing.rotate(change, sensor, rotation)

    with open_vault(base, options["unlock"]) as vault:
        sealed = _seal(vault, output, operation, (options["older_than"], _young_epoch))
    warn_left_out(sealed, same_key=False)


@click.command()
@output_options
@_which_epoch
@existing_secret
@click.pass_obj
def promote(base: Path, /, **options: Any) -> None:
    """Make a staged epoch of each sensor primary, the newest unless --epoch names one, and seal it for the sensor too.

    Of several sensors, one that has no staged epoch stays as it is, and gets its primary epoch's file.
    """
    output = take_output(options)

    def operation(change: Change, sensor: str) -> Sealed:
        primary = epochs.primary(change.database, sensor)
        staged = epochs.newest_staged(change.database, sensor)
        if output.fleet and primary is not None and (staged is None or staged.number < primary.number):
            return Sealed(deliveries.of_epoch(change.database, primary), kept=True)
        return sealing.promote(change, sensor, options["epoch"])

    with open_vault(base, options["unlock"]) as vault:
        sealed = _seal(vault, output, operation)
    warn_left_out(sealed, same_key=True)


@click.command()
@output_options
@_change_of_hosts
@_which_epoch
@older_than
@existing_secret
@click.pass_obj
def rewrap(base: Path, /, **options: Any) -> None:
    """Seal an epoch of each sensor once more, the primary one unless --epoch names another, for other hosts.

    The key stays the same: a host that is removed keeps it.  To take it back from the frames to come, rotate.
    """
    output = take_output(options)
    recipients = _recipients(options)

    def operation(change: Change, sensor: str) -> Sealed:
        return sealing.rewrap(change, sensor, recipients, options["epoch"])

    with open_vault(base, options["unlock"]) as vault:
        fresh = (options["older_than"], _young_file)
        sealed = _seal(vault, output, operation, fresh, lambda file: file.name_with_serial)
    warn_left_out(sealed, same_key=True)


@click.command()
@one_sensor
@_hosts("--host", "hosts", "Enrolled host that may open the frames of these epochs", required=True)
@click.option("--epochs", "span", required=True, metavar="FIRST-LAST", help="Such as 3-7, or 5.")
@click.option("--valid-for", help="From now.  [default: the validity of the epochs]", **duration)
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Sealed key to write.")
@force_option
@existing_secret
@click.pass_obj
def grant(base: Path, /, **options: Any) -> None:
    """Seal a range of epochs in one file for hosts alone, who can open no other epoch with it."""
    span = _span(options["span"])
    output = Output((options["sensor"],), False, options["output"], options["force"])

    def operation(change: Change, sensor: str) -> Sealed:
        return Sealed(sealing.grant(change, sensor, options["hosts"], span, options["valid_for"]))

    with open_vault(base, options["unlock"]) as vault:
        seal_one(vault, output, operation, lambda file: file.name)


@click.command()
@output_options
@click.option("--epoch", type=click.IntRange(min=1), help="Which epoch.  [default: the primary one]")
@click.option("--serial", type=click.IntRange(min=1), help="Which file.  [default: the newest of the epoch]")
@click.pass_obj
def export(base: Path, /, **options: Any) -> None:
    """Write sealed keys again that were made before; needs no passphrase."""
    output = take_output(options)
    if options["epoch"] is not None and options["serial"] is not None:
        raise click.UsageError("give --epoch or --serial, not both")
    with Vault.open(base) as vault:
        files = [vault.file(name, options["epoch"], options["serial"]) for name in output.names(vault)]
        if not output.fleet:
            path = output.file(files[0].name)
            check_output(path, output.force)
            write_one(vault, files[0], path, output.force)
            return
    folder = output.path or Path()
    make_folder(folder)
    write_many(folder, {file.name: file.data for file in files}, replace=output.force)
    say("sealed", f"{len(files)} keys in {folder}")


def _seal(
    vault: Vault,
    output: Output,
    operation: Operation,
    fresh: tuple[int | None, Callable[[Change, str, int], SealedFile | None]] | None = None,
    name: Callable[[SealedFile], str] = lambda file: file.name,
) -> list[Sealed]:
    if not output.fleet:
        if fresh is not None and fresh[0] is not None:
            raise click.UsageError("--older-than is for several sensors")
        return [seal_one(vault, output, operation, name)]
    return seal_fleet(vault, output, operation if fresh is None else unless_fresh(operation, *fresh), name)


def _young_epoch(change: Change, sensor: str, since: int) -> SealedFile | None:
    """The file of a sensor's newest epoch if that was made after ``since``."""
    newest = epochs.last(change.database, sensor)
    young = newest is not None and newest.made > since and newest.state in epochs.USABLE
    return deliveries.of_epoch(change.database, newest) if newest is not None and young else None


def _young_file(change: Change, sensor: str, since: int) -> SealedFile | None:
    """The newest file of a sensor's primary epoch if that was made after ``since``."""
    primary = epochs.primary(change.database, sensor)
    file = None if primary is None else deliveries.of_epoch(change.database, primary)
    return file if file is not None and file.made > since else None


def _recipients(options: dict[str, Any]) -> Recipients:
    return Recipients(options["hosts"] or None, options["add_hosts"], options["remove_hosts"])


def _span(text: str) -> range:
    match = re.fullmatch(r"([0-9]{1,10})(?:-([0-9]{1,10}))?", text)
    if match is None:
        raise InputError(f"{text!r:.40} is not a range of epochs", hint="write it as 3-7, or 5 for one")
    first, last = int(match[1]), int(match[2] or match[1])
    if not 1 <= first <= last:
        raise InputError(f"epochs {text} end before they begin", hint="write them as 3-7")
    return range(first, last + 1)


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
