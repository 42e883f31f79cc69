"""Sealed keys on their way out: one into a file, or those of a fleet into a folder."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from tqdm import tqdm

from keyvault import envelope, fleet, report
from keyvault.change import Change
from keyvault.cli_options import Function, duration, say
from keyvault.deliveries import SealedFile
from keyvault.errors import OutputError, PrivcamError
from keyvault.files import make_folder, write_many, write_whole
from keyvault.sealing import Sealed
from keyvault.vault import Vault

Operation = Callable[[Change, str], Sealed]
Fresh = Callable[[Change, str, int], SealedFile | None]

force_option = click.option("--force", is_flag=True, help="Replace the output if it exists.")
older_than = click.option(
    "--older-than",
    help="Only sensors that have had none for so long; of the others, what is missing in FOLDER is written again. "
    "So a run that was interrupted is taken up.",
    **duration,
)


@dataclass(frozen=True, slots=True)
class Output:
    """Which sensors a command is for, and where their files go.

    Attributes:
        sensors: names as they were given.
        all: every sensor that is not revoked, instead.
        path: a file, or for several sensors a folder; None stands for the file's own name.
        force: whether to replace what is there.
    """

    sensors: tuple[str, ...]
    all: bool
    path: Path | None
    force: bool

    @property
    def fleet(self) -> bool:
        """Whether files go to a folder, one a sensor."""
        return self.all or len(self.sensors) != 1

    def check(self) -> None:
        """Refuse a command line that does not say for whom or where to."""
        if self.all == bool(self.sensors):
            raise click.UsageError("give --sensor, once or more, or --all")
        if self.fleet and self.path is None:
            raise click.UsageError("several sensors need a folder: give -o FOLDER")
        if self.fleet and self.path is not None and self.path.exists() and not self.path.is_dir():
            raise OutputError(f"{self.path} is not a folder", hint="give -o FOLDER for the sealed keys of many sensors")

    def names(self, vault: Vault) -> list[str]:
        """The sensors by their own names, each once; UnknownNameError."""
        if self.all:
            return vault.active_sensors()
        return list(dict.fromkeys(vault.own_name(name) for name in self.sensors))

    def file(self, name: str) -> Path:
        """Where one sensor's file goes, if it is called ``name`` where nobody names it."""
        if self.path is None:
            return Path(name)
        return self.path / name if self.fleet or self.path.is_dir() else self.path


def output_options(command: Function) -> Function:
    """The options that make an :class:`Output`; see :func:`take_output`."""
    sensors = click.option("--sensor", "sensors", multiple=True, help="Enrolled sensor; may be repeated.")
    all_sensors = click.option("--all", "all_sensors", is_flag=True, help="Every sensor that is not revoked.")
    path = click.option(
        "-o",
        "--output",
        type=click.Path(path_type=Path),
        metavar="FILE|FOLDER",
        help="Sealed key to write; for several sensors a folder.  [default: SENSOR-epochNNNN.bin]",
    )
    return sensors(all_sensors(path(force_option(command))))


def take_output(options: dict[str, Any], default: Path | None = None) -> Output:
    """The output that a command line names, checked; ``default`` is the file of a single sensor."""
    output = Output(options["sensors"], options["all_sensors"], options["output"], options["force"])
    if output.path is None and not output.fleet:
        output = Output(output.sensors, output.all, default, output.force)
    output.check()
    return output


def seal_one(vault: Vault, output: Output, operation: Operation, name: Callable[[SealedFile], str]) -> Sealed:
    """Seal for one sensor and write the file; nothing is sealed if it could not be written anyway."""
    with vault.change() as change:
        sealed = operation(change, output.sensors[0])
        path = output.file(name(sealed.file))
        check_output(path, output.force)
    write_one(vault, sealed.file, path, output.force)
    return sealed


def write_one(vault: Vault, file: SealedFile, path: Path, force: bool) -> None:
    """Write one sealed key and say what it grants; a failure leaves it in the vault."""
    try:
        write_whole(path, file.data, replace=force)
    except OutputError as error:
        which = f"--epoch {file.first}" if file.for_sensor else f"--serial {file.serial}"
        raise OutputError(
            f"{error}; epoch {file.last} is kept in the vault",
            hint=f"write it with keyvault export --sensor {file.sensor} {which} -o FILE",
        ) from error
    grants = envelope.verify(file.data, vault.issuer).grants
    say("sealed key", path)
    click.echo(report.as_text(grants))
    warn(report.warning(grants[0].policy))


def seal_fleet(vault: Vault, output: Output, operation: Operation, name: Callable[[SealedFile], str]) -> list[Sealed]:
    """Seal for many sensors and write a file each; FleetError at the end if some were refused."""
    names = output.names(vault)
    folder = output.path or Path()
    make_folder(folder)

    def checked(change: Change, sensor: str) -> Sealed:
        sealed = operation(change, sensor)
        _check_same(output.file(name(sealed.file)), sealed.file, output.force)
        return sealed

    done: list[Sealed] = []
    refused: list[tuple[str, PrivcamError]] = []
    try:
        with tqdm(total=len(names), unit="sensor", disable=None) as progress:
            for batch in fleet.run(vault, names, checked):
                files = {name(sealed.file): sealed.file.data for sealed in batch.results}
                _write(folder, files, output.force)
                done += batch.results
                refused += batch.refused
                progress.update(len(batch.results) + len(batch.refused))
    except KeyboardInterrupt:
        warn(
            f"keyvault: {len(done)} of {len(names)} sensors are done and stay so; the same command with --older-than, "
            "and a time in which it was begun, such as 1h, does the rest"
        )
        raise
    kept = sum(sealed.kept for sealed in done)
    say("sealed", f"{len(done) - kept} keys in {folder}")
    if kept:
        say("kept", f"{kept} sensors have theirs from before")
    fleet.refuse(refused, len(names))
    return done


def unless_fresh(operation: Operation, seconds: int | None, fresh: Fresh) -> Operation:
    """The operation, but what ``fresh`` finds to be younger than so many seconds is left as it is."""
    if seconds is None:
        return operation

    def checked(change: Change, sensor: str) -> Sealed:
        file = fresh(change, sensor, change.now - seconds)
        return operation(change, sensor) if file is None else Sealed(file, kept=True)

    return checked


def check_output(path: Path, force: bool) -> None:
    """Refuse before an epoch is spent what cannot be written anyway."""
    if path.exists() and not force:
        raise OutputError(f"{path} exists", hint="choose another name, or replace it with --force")
    if not path.parent.is_dir() or not os.access(path.parent, os.W_OK):
        raise OutputError(f"cannot write into {path.parent}", hint="choose a folder that exists and is yours")


def warn_left_out(sealed: Sequence[Sealed], *, same_key: bool) -> None:
    """Say which hosts are no longer recipients, and, where the key is the same one, that they keep it."""
    hosts = sorted({host for one in sealed for host in one.left_out})
    if not hosts:
        return
    names = f"host{'s' if len(hosts) > 1 else ''} {', '.join(hosts)}"
    if same_key:
        keep = "keep" if len(hosts) > 1 else "keeps"
        warn(
            f"WARNING: {names} {keep} the key, which sealing it again does not take back; keyvault rotate makes another"
        )
    else:
        warn(f"keyvault: {names} left out of the new epoch; older epochs stay open to those who have their keys")


def warn(text: str) -> None:
    """A line on stderr, unless it is empty."""
    if text:
        click.echo(text, err=True)


def _check_same(path: Path, file: SealedFile, force: bool) -> None:
    """As :func:`check_output`, but the very same file may be there."""
    if force or not path.exists() or (path.is_file() and path.read_bytes() == file.data):
        return
    check_output(path, force)


def _write(folder: Path, files: dict[str, bytes], force: bool) -> None:
    try:
        write_many(folder, files, replace=force)
    except OutputError as error:
        raise OutputError(
            f"{error}; the keys are kept in the vault",
            hint=f"write them with keyvault export --all -o FOLDER, and go on with --older-than; {error.hint}",
        ) from error
