"""The commands ``keyvault status``: publish and show status lists."""

from __future__ import annotations

import json
import time
from pathlib import Path

import click

from keyvault import places
from keyvault.cli_options import duration, existing_secret, file_option, open_vault, say
from keyvault.console import Group
from keyvault.files import write_whole
from keyvault.grant import utc
from keyvault.hosts import load_issuer
from keyvault.secret_files import make_private_folders
from keyvault.status_list import StatusList, read_status, verify
from keyvault.unlocking import Unlock


@click.group(cls=Group)
def status() -> None:
    """Publish what the vault has revoked, disabled and retired."""


@status.command()
@file_option("-o", "--output", help="Status list to write; replaced if it exists.  [default: status.jws in the home]")
@click.option("--valid-for", default="7d", show_default=True, help="How soon the next list is due.", **duration)
@existing_secret
@click.pass_obj
def publish(base: Path, output: Path | None, valid_for: int, unlock: Unlock) -> None:
    """Sign the next status list: revoked sensors and hosts, disabled epochs, and the first epochs still in use.

    Cameras and hosts take it from status.jws in their homes.
    """
    path = output or places.status_file(base)
    with open_vault(base, unlock) as vault:
        data = vault.publish_status(valid_for)
        issuer = vault.issuer
    make_private_folders(path.parent)
    write_whole(path, data)
    say("status", path)
    click.echo(_as_text(verify(data, issuer)))


@status.command()
@click.argument("file", type=click.Path(path_type=Path), required=False)
@file_option("--issuer", help="Public key of the vault.  [default: issuer.pub in the home]")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def show(base: Path, file: Path | None, issuer: Path | None, as_json: bool) -> None:
    """Verify a status list and show it; needs no secret.  FILE is status.jws in the home unless given."""
    found = read_status(file or places.status_file(base), load_issuer(issuer or places.issuer_file(base)))
    click.echo(json.dumps(found.to_json(), indent=2) if as_json else _as_text(found))


def _as_text(found: StatusList) -> str:
    overdue = ", overdue" if found.next_update < time.time() else ""
    lines = [
        ("number", str(found.number)),
        ("issued", utc(found.issued)),
        ("next", f"{utc(found.next_update)}{overdue}"),
        *(("revoked", f"sensor {name} (key {kid})") for kid, name in sorted(found.sensors.items())),
        *(("revoked", f"host {name} (key {kid})") for kid, name in sorted(found.hosts.items())),
        *(("disabled", f"key {key_id}") for key_id in sorted(found.disabled)),
        *(("retired", f"sensor {name}, epochs below {epoch}") for name, epoch in sorted(found.min_epochs.items())),
        ("issuer", found.issuer),
    ]
    return "\n".join(f"{name:<11}{value}" for name, value in lines)
