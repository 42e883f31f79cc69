"""The commands that say who there is: enroll, revoke and list."""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any

import click
from tqdm import tqdm

from keyvault import enrolment, fleet, hosts, places, withdrawal
from keyvault.change import Change
from keyvault.cli_options import existing_secret, file_option, open_vault, say
from keyvault.console import Group
from keyvault.epochs import Epoch
from keyvault.errors import InputError, PrivcamError
from keyvault.files import read_bounded
from keyvault.grant import Kind, utc
from keyvault.registry import REVOKED, Enrolled
from keyvault.unlocking import Unlock
from keyvault.vault import Vault

_MAX_NAMES = 2**24


@click.group(cls=Group)
def enroll() -> None:
    """Enrol sensors or a host."""


@enroll.command()
@click.argument("names", nargs=-1, metavar="NAME...")
@file_option("--from", "name_file", help="File with a name on each line, besides those given.")
@file_option("--device", help="Where to write the device file of one sensor.  [default: devices/NAME.json in the home]")
@existing_secret
@click.pass_obj
def sensor(base: Path, names: tuple[str, ...], name_file: Path | None, device: Path | None, unlock: Unlock) -> None:
    """Enrol sensors: make the device key and the signing key of each, and write them to its device file.

    Of several sensors, those that are enrolled already stay as they are, so that an enrolment that was
    interrupted can be taken up.
    """
    chosen = [*names, *(_names_in(name_file) if name_file else ())]
    if not chosen:
        raise click.UsageError("name a sensor, or a file of names with --from")
    enrolment.check_names(chosen)
    if len(chosen) > 1 and device is not None:
        raise click.UsageError("--device is for one sensor")
    with open_vault(base, unlock) as vault:
        if name_file is None and len(chosen) == 1:
            path = device or places.device_file(chosen[0], base)
            enrolled = vault.enroll_sensor(chosen[0], path)
            say("sensor", f"{chosen[0]} (key {enrolled.kid})")
            say("device", path)
            return
        known = {entry.name for entry in vault.sensors()}
        _enroll_many(vault, [name for name in chosen if name not in known], base)
        if again := known.intersection(chosen):
            say("kept", f"{len(again)} were enrolled before")


def _enroll_many(vault: Vault, names: list[str], base: Path) -> None:
    def operation(change: Change, name: str) -> str:
        return enrolment.sensor(change, name, places.device_file(name, base)).sensor

    done = 0
    refused: list[tuple[str, PrivcamError]] = []
    with tqdm(total=len(names), unit="sensor", disable=None) as progress:
        for batch in fleet.run(vault, names, operation):
            done += len(batch.results)
            refused += batch.refused
            progress.update(len(batch.results) + len(batch.refused))
    say("sensors", f"{done} enrolled")
    say("devices", places.devices_folder(base))
    fleet.refuse(refused, len(names))


def _names_in(path: Path) -> list[str]:
    try:
        lines = read_bounded(path, _MAX_NAMES, "list of names").decode("ascii").splitlines()
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not a list of names", hint="write one name on each line, in ASCII") from error
    return [line.strip() for line in lines if line.strip()]


@enroll.command()
@click.argument("name")
@file_option("--public", required=True, help="The host's RSA public key in PEM: the host.pub that host-key wrote.")
@existing_secret
@click.pass_obj
def host(base: Path, name: str, public: Path, unlock: Unlock) -> None:
    """Enrol a host by its public key."""
    key = hosts.load_host_public(public)
    with open_vault(base, unlock) as vault:
        enrolled = vault.enroll_host(name, key)
    say("host", f"{enrolled.name} (key {enrolled.recipient.kid})")


@click.command()
@click.argument("kind", type=click.Choice([kind.value for kind in Kind]))
@click.argument("name")
@existing_secret
@click.pass_obj
def revoke(base: Path, kind: str, name: str, unlock: Unlock) -> None:
    """Revoke a sensor or host for good: nothing is sealed for it any more.

    What it has been given it keeps: rotate the sensors that a revoked host could open, and publish the
    revocation with keyvault status publish.
    """
    with open_vault(base, unlock) as vault:
        with vault.change() as change:
            own = withdrawal.revoke(change, Kind(kind), name)
        affected = set(vault.sensors_of(own) if kind == Kind.HOST else ()).intersection(vault.active_sensors())
    say("revoked", f"{kind} {own}")
    if affected:
        whose = affected.pop() if len(affected) == 1 else f"{len(affected)} sensors"
        say("next", f"rotate {whose}, whose keys it was given: keyvault rotate --all -o FOLDER")
    say("next", "keyvault status publish")


@click.command("list")
@click.option("--sensor", help="One sensor, with its epochs and sealed keys.")
@click.option("--host", help="The sensors whose keys this host was given.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON: with all epochs.")
@click.pass_obj
def list_enrolled(base: Path, sensor: str | None, host: str | None, as_json: bool) -> None:
    """List sensors and hosts, or the epochs of a sensor; needs no passphrase."""
    if sensor is not None and host is not None:
        raise click.UsageError("give --sensor or --host, not both")
    with Vault.open(base) as vault:
        if host is not None:
            names = vault.sensors_of(host)
            click.echo(json.dumps(names) if as_json else "\n".join(names) or "none")
        elif as_json:
            click.echo(json.dumps(_as_json(vault, sensor)))
        elif sensor is not None:
            _show_sensor(vault, sensor)
        else:
            lines = [_line("sensor", entry, _epochs_in_words(entry)) for entry in vault.sensors()]
            lines += [_line("host", entry, "") for entry in vault.hosts()]
            if lines:
                click.echo("\n".join(lines))


def _as_json(vault: Vault, sensor: str | None) -> dict[str, Any]:
    of_sensor: dict[str, list[dict[str, Any]]] = {}
    for epoch in vault.epochs(sensor):
        of_sensor.setdefault(epoch.sensor, []).append(_epoch_as_json(epoch))
    own = None if sensor is None else vault.own_name(sensor)
    sensors = [
        _as_members(entry) | {"primary": entry.primary, "min_epoch": entry.min_epoch}
        | {"epochs": of_sensor.get(entry.name, [])}
        for entry in vault.sensors()
        if own in (None, entry.name)
    ]  # fmt: skip
    if own is not None:
        return sensors[0] | {"files": vault.files(own)}
    return {"sensors": sensors, "hosts": [_as_members(entry) for entry in vault.hosts()]}


def _as_members(entry: Enrolled) -> dict[str, Any]:
    return {name: getattr(entry, name) for name in ("name", "kid", "since", "state", "changed")}


def _epoch_as_json(epoch: Epoch) -> dict[str, Any]:
    names = ("key_id", "state", "not_before", "not_after", "made", "changed", "destroy_at")
    values = {name: getattr(epoch, name) for name in names}
    return {"epoch": epoch.number} | values | {"policy": _parsed(epoch.policy)}


_parsed = lru_cache(json.loads)  # a fleet has few policies


def _show_sensor(vault: Vault, sensor: str) -> None:
    own = vault.own_name(sensor)
    (entry,) = (entry for entry in vault.sensors() if entry.name == own)
    click.echo(_line("sensor", entry, _epochs_in_words(entry)))
    if entry.min_epoch > 1:
        say("retired", f"epochs below {entry.min_epoch}")
    for epoch in vault.epochs(own):
        at = f" at {utc(epoch.destroy_at)}" if epoch.destroy_at is not None else ""
        span = f"{utc(epoch.not_before)} to {utc(epoch.not_after)}"
        say("epoch", f"{epoch.number}  key {epoch.key_id}  {epoch.state}{at}  {span}")
    for file in vault.files(own):
        say("sealed key", _file_in_words(file))


def _file_in_words(file: dict[str, Any]) -> str:
    first, last = file["first_epoch"], file["last_epoch"]
    span = f"epoch {first}" if first == last else f"epochs {first} to {last}"
    recipients: Iterable[str] = [*(["the sensor"] if file["for_sensor"] else []), *file["hosts"]]
    return f"serial {file['serial']}  {span}  for {', '.join(recipients)}  made {utc(file['made'])}"


def _epochs_in_words(entry: Enrolled) -> str:
    if entry.primary:
        newer = f" (newest {entry.epoch})" if entry.epoch > entry.primary else ""
        return f"epoch {entry.primary}{newer}"
    return f"no primary epoch (newest {entry.epoch})" if entry.epoch else "no epoch yet"


def _line(kind: str, entry: Enrolled, note: str) -> str:
    revoked = f"  revoked {utc(entry.changed)}" if entry.state == REVOKED else ""
    return f"{kind:<11}{entry.name:<16}  key {entry.kid}{revoked}  {note}".rstrip()
