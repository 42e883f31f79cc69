"""The commands ``keyvault audit``: verify and show the log of what was done to the vault, and print its head."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from keyvault import audit, home_claims
from keyvault.audit import Head, Record
from keyvault.cli_options import file_option, say
from keyvault.console import Group
from keyvault.errors import AuditHeadFormatError
from keyvault.files import read_bounded
from keyvault.grant import utc
from keyvault.vault import Vault


@click.group("audit", cls=Group)
def audit_log() -> None:
    """Show and verify what was done to the vault."""


@audit_log.command()
@file_option("--head", "head_file", help="What keyvault audit head printed: finds a log that was set back too.")
@click.pass_obj
def verify(base: Path, head_file: Path | None) -> None:
    """Find any record that was removed, changed, inserted or reordered; needs no passphrase.

    A log that was set back to an earlier state as a whole is found with a head that was kept elsewhere.
    """
    kept = _read_head(head_file) if head_file else None
    with Vault.open(base) as vault, vault.reading() as database:
        compared = home_claims.check_issuer(base, vault.issuer)
        end = audit.verify(database, vault.issuer, kept)
        (newest,) = audit.listed(database, 1)
    say("records", f"{end.seq}, none missing or changed")
    say("last", f"{utc(newest.time)}  {newest.operation} {newest.subject}")
    say("issuer", "the key in issuer.pub" if compared else "as the vault's file says: there is no issuer.pub")
    if kept is not None:
        say("kept", f"the log goes on from record {kept.seq}, where its head was kept")


@audit_log.command()
@click.option("--last", type=click.IntRange(min=1), metavar="N", help="The last N records only.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def show(base: Path, last: int | None, as_json: bool) -> None:
    """Show the records, the oldest first; needs no passphrase.  What was tampered with, verify finds."""
    with Vault.open(base) as vault, vault.reading() as database:
        records = list(audit.listed(database, last))
    if as_json:
        click.echo(json.dumps([record.to_json() for record in records], indent=1))
    elif records:
        click.echo("\n".join(map(_in_words, records)))


@audit_log.command()
@click.pass_obj
def head(base: Path) -> None:
    """Print the signed head of the log in one line, to be kept where the vault's file is not; needs no passphrase."""
    with Vault.open(base) as vault, vault.reading() as database:
        home_claims.check_issuer(base, vault.issuer)
        line = audit.head(database, vault.issuer).to_line()
    click.echo(line)


def _read_head(path: Path) -> Head:
    try:
        return Head.from_line(read_bounded(path, audit.MAX_HEAD, "head of an audit log").decode("ascii", "replace"))
    except AuditHeadFormatError as error:
        raise AuditHeadFormatError(f"{path}: {error}", hint=error.hint) from error


def _in_words(record: Record) -> str:
    members = "  ".join(f"{name} {_value(value)}" for name, value in record.detail.items())
    line = f"{record.seq:>6}  {utc(record.time)}  {record.operation:<10} {record.subject:<20}  {members}".rstrip()
    return "".join(char if char.isprintable() else "?" for char in line)


def _value(value: Any) -> str:
    return ",".join(map(str, value)) or "none" if isinstance(value, list) else str(value)
