"""The command ``keyvault doctor``: what is wrong with a vault and its home, and how to mend it."""

from __future__ import annotations

import json
import textwrap
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import click

from keyvault import doctor_files, doctor_keys, doctor_records, places
from keyvault.cli_options import existing_secret, open_vault
from keyvault.doctor import Check, Finding, Level, Patient, VaultCheck, VaultPatient
from keyvault.errors import PassphraseError, PrivcamError, ProblemsFoundError
from keyvault.unlocking import Unlock
from keyvault.vault import Vault
from keyvault.vault_store import explained

_FILES: dict[str, Check] = {
    "modes": doctor_files.modes,
    "host key": doctor_files.host_key,
    "issuer": doctor_files.issuer,
    "status": doctor_files.status,
}
_VAULT: dict[str, VaultCheck] = {
    "clock": doctor_records.clock,
    "audit": doctor_records.log,
    "backup": doctor_records.backup,
    "passphrase": doctor_records.passphrase,
    "primary": doctor_keys.primary_epochs,
    "validity": doctor_keys.validity,
    "recipients": doctor_keys.recipients,
    "staged": doctor_keys.staged,
    "destruction": doctor_keys.destruction,
    "policy": doctor_keys.policies,
}
_UNLOCKED: dict[str, VaultCheck] = {"tables": doctor_records.tables, "terms": doctor_keys.terms}
_WIDTH = 100
_INDENT = 21


@click.command()
@click.option("--unlock", "records", is_flag=True, help="Open the vault, and check its rows and encrypted records too.")
@click.option("--strict", is_flag=True, help="Warnings count as problems.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@existing_secret
@click.pass_obj
def doctor(base: Path, records: bool, strict: bool, as_json: bool, unlock: Unlock) -> None:
    """Examine the vault and the home's files, and say how to mend what is wrong; changes nothing.

    Needs no passphrase unless --unlock is given.  In the home of a host or camera, which has no vault, the
    files alone are examined.  Ends with exit code 15 if there is a problem; with --strict, or a warning.
    """
    found = list(_examine(base, records or unlock.given, unlock))
    bad = [one for one in found if one.level is Level.PROBLEM or (strict and one.level is Level.WARNING)]
    if as_json:
        click.echo(json.dumps([one.to_json() for one in found], indent=1))
    else:
        click.echo("\n".join(map(_in_words, found)))
    if bad:
        count = f"{len(bad)} thing{'s' if len(bad) > 1 else ''}"
        raise ProblemsFoundError(f"{count} to mend", hint="see how above")


def _examine(base: Path, records: bool, unlock: Unlock) -> Iterator[Finding]:
    now = int(time.time())
    try:
        vault = _open(base, records, unlock)
    except PassphraseError:
        raise
    except PrivcamError as error:
        yield Finding("vault", Level.PROBLEM, str(error), error.hint)
        vault = None
    if vault is None:
        patient = Patient(base, now)
        for name, check in _FILES.items():
            yield from _refusals(name, check(patient), base)
        return
    with vault, vault.reading() as database:
        opened = VaultPatient(base, now, vault, database)
        for name, vault_check in (_FILES | _VAULT | (_UNLOCKED if records else {})).items():
            yield from _refusals(name, vault_check(opened), base)


def _open(base: Path, records: bool, unlock: Unlock) -> Vault | None:
    if not places.vault_file(base).exists() and not records:
        return None
    return open_vault(base, unlock) if records else Vault.open(base)


def _refusals(name: str, found: Iterable[Finding], base: Path) -> Iterator[Finding]:
    """What a check finds; that it meets something it cannot read is a finding too."""
    try:
        with explained(places.vault_file(base)):
            yield from found
    except PrivcamError as error:
        yield Finding(name, Level.PROBLEM, str(error), error.hint)


def _in_words(found: Finding) -> str:
    head = f"{found.level:<9}{found.check:<12}"
    text = "".join(char if char.isprintable() else "?" for char in found.what)
    lines = textwrap.wrap(text, _WIDTH - _INDENT, break_long_words=False, break_on_hyphens=False)
    if found.fix:
        lines.append(f"-> {found.fix}")
    return head + f"\n{' ' * _INDENT}".join(lines)
