"""Checks of the files in a home: who can read them, whose keys they hold, and how old they are."""

from __future__ import annotations

import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from keyvault import hosts, places, status_source
from keyvault.doctor import Finding, Level, Patient, VaultPatient
from keyvault.errors import PrivcamError
from keyvault.files import PRIVATE_FILE, PRIVATE_FOLDER
from keyvault.grant import Kind, utc
from keyvault.hosts import load_issuer
from keyvault.identity import thumbprint
from keyvault.secret_files import OTHERS
from keyvault.status_list import CLOCK_SKEW, StatusList, read_status

_PUBLISH = "keyvault status publish"


def modes(patient: Patient) -> Iterator[Finding]:
    """Folders and files with secrets that others can get at."""
    wrong = 0
    for path in _private_paths(patient.home):
        found = stat.S_IMODE(path.stat().st_mode)
        if found & OTHERS:
            wrong += 1
            right = PRIVATE_FOLDER if path.is_dir() else PRIVATE_FILE
            what = f"{path} is open to other users (mode {found:04o})"
            fix = f"chmod {right:o} {path}"
            yield Finding("modes", Level.PROBLEM, what, fix if path.is_dir() else f"{fix}; new keys if others read it")
    if not wrong:
        yield Finding("modes", Level.OK, "files and folders with secrets are open to their owner alone")


def host_key(patient: Patient) -> Iterator[Finding]:
    """The key of this host, if it is one: whether it is a key, encrypted, and of the public half beside it."""
    path = places.host_key_file(patient.home)
    if not path.exists():
        return
    public = places.public_half(path)
    try:
        if not hosts.needs_passphrase(path):
            key = hosts.load_host_key(path)
            yield _unencrypted(path)
            if public.exists() and thumbprint(hosts.load_host_public(public)) != thumbprint(key.public_key()):
                what = f"{public} is not the public half of {path}"
                yield Finding("host key", Level.PROBLEM, what, "move both away and make a pair: keyvault host-key")
            return
        if public.exists():
            hosts.load_host_public(public)
        yield Finding("host key", Level.OK, f"{path} is encrypted")
    except PrivcamError as error:
        yield _refused("host key", error)


def issuer(patient: Patient) -> Iterator[Finding]:
    """The public key of the vault that this home trusts."""
    path = places.issuer_file(patient.home)
    own = patient.vault.issuer if isinstance(patient, VaultPatient) else None
    if not path.exists():
        what = f"{path} is missing: no sealed key can be verified"
        fix = "keyvault init writes it" if own else "copy issuer.pub from the vault"
        yield Finding("issuer", Level.PROBLEM, what, fix)
        return
    try:
        found = thumbprint(load_issuer(path))
    except PrivcamError as error:
        yield _refused("issuer", error)
        return
    if own is not None and found != thumbprint(own):
        what = f"{path} is that of vault {found}, and this is vault {thumbprint(own)}"
        yield Finding("issuer", Level.PROBLEM, what, f"move {path} away; keyvault init writes the right one")
    else:
        yield Finding("issuer", Level.OK, f"{path} is that of vault {found}")


def status(patient: Patient) -> Iterator[Finding]:
    """The status list in the home: verified, on time, and with everything that the vault has taken back."""
    path = places.status_file(patient.home)
    if not path.exists():
        if isinstance(patient, VaultPatient):
            yield _unpublished(patient)
        return
    try:
        found = read_status(path, load_issuer(places.issuer_file(patient.home)))
    except PrivcamError as error:
        yield _refused("status", error)
        return
    if isinstance(patient, VaultPatient) and not _complete(patient, found):
        what = f"status list {found.number} of {utc(found.issued)} is not what the vault has taken back since"
        yield Finding("status", Level.PROBLEM, what, _PUBLISH)
    elif found.issued > patient.now + CLOCK_SKEW:
        what = f"status list {found.number} was issued at {utc(found.issued)}, and it is {utc(patient.now)}"
        yield Finding("status", Level.PROBLEM, what, "set this machine's clock")
    elif found.next_update < patient.now:
        what = f"status list {found.number}: the next was due at {utc(found.next_update)}"
        yield Finding("status", Level.WARNING, what, _PUBLISH)
    else:
        yield Finding("status", Level.OK, f"status list {found.number}: the next is due at {utc(found.next_update)}")


def _private_paths(home: Path) -> Iterable[Path]:
    folders = (places.vault_folder(home), places.devices_folder(home), places.marks_folder(home))
    yield from (path for path in folders if path.is_dir())
    vault, key = places.vault_file(home), places.host_key_file(home)
    candidates = (vault, *(vault.with_name(vault.name + end) for end in ("-wal", "-shm")), key)
    yield from (path for path in candidates if path.is_file())
    if places.devices_folder(home).is_dir():
        yield from sorted(places.devices_folder(home).glob("*.json"))


def _unencrypted(path: Path) -> Finding:
    what = f"{path} has no passphrase: whoever reads it is this host"
    return Finding("host key", Level.WARNING, what, "make another with a passphrase: keyvault host-key -o FILE")


def _refused(check: str, error: PrivcamError) -> Finding:
    return Finding(check, Level.PROBLEM, str(error), error.hint)


def _unpublished(patient: VaultPatient) -> Finding:
    if any(_taken_back(patient)):
        what = "no status list is in the home, and the vault has taken back what cameras and hosts have"
        return Finding("status", Level.PROBLEM, what, _PUBLISH)
    return Finding("status", Level.OK, "nothing was taken back that a status list would have to tell")


def _complete(patient: VaultPatient, found: StatusList) -> bool:
    return (found.sensors, found.hosts, found.disabled, found.min_epochs) == _taken_back(patient)


def _taken_back(patient: VaultPatient) -> tuple[object, ...]:
    database = patient.database
    revoked = (status_source.revoked(database, kind) for kind in (Kind.SENSOR, Kind.HOST))
    return (*revoked, status_source.disabled(database), status_source.min_epochs(database))
