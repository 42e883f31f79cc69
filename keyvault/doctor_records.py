"""Checks of what a vault has recorded: the clock, the audit log, and when it was backed up."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

from keyvault import audit
from keyvault.doctor import Finding, Level, VaultPatient
from keyvault.errors import AuditError
from keyvault.grant import utc
from keyvault.status_list import CLOCK_SKEW
from keyvault.table_macs import TableMacs

_OLD_BACKUP = 30 * 86_400
_NEWEST = (
    ("SELECT json_extract(record, '$.time') FROM audit ORDER BY seq DESC LIMIT 1", "audit record"),
    ("SELECT max(made) FROM files", "sealed key"),
    ("SELECT max(issued) FROM status_lists", "status list"),
)
_BACKUP = (
    "SELECT json_extract(record, '$.time') FROM audit "
    "WHERE json_extract(record, '$.operation') = 'backup' ORDER BY seq DESC LIMIT 1"
)


def clock(patient: VaultPatient) -> Iterator[Finding]:
    """A clock that is behind what the vault has done: new keys would expire at the wrong time."""
    late = []
    for query, what in _NEWEST:
        (moment,) = patient.database.execute(query).fetchone() or (None,)
        if isinstance(moment, int) and moment > patient.now + CLOCK_SKEW:
            late.append(f"the newest {what} is of {utc(moment)}")
    if late:
        what = f"it is {utc(patient.now)} by the clock, and {', '.join(late)}"
        yield Finding("clock", Level.PROBLEM, what, "set this machine's clock")
    else:
        yield Finding("clock", Level.OK, f"it is {utc(patient.now)}, later than what the vault has done")


def log(patient: VaultPatient) -> Iterator[Finding]:
    """A record of the audit log that is missing, changed, out of order."""
    try:
        end = audit.verify(patient.database, patient.vault.issuer)
    except AuditError as error:
        yield Finding("audit", Level.PROBLEM, str(error), error.hint)
    else:
        yield Finding("audit", Level.OK, f"{end.seq} records, none missing or changed")


def tables(patient: VaultPatient) -> Iterator[Finding]:
    """Rows that were changed, removed or set back from outside, which only an unlocked vault can tell."""
    database, key = patient.vault.snapshot()
    with closing(database):
        TableMacs(database, key).check_all()
    yield Finding("tables", Level.OK, "every row is as the vault left it")


def backup(patient: VaultPatient) -> Iterator[Finding]:
    """No backup, one that is old, or epochs that are in none."""
    fix = "keyvault backup -o FILE"
    (when,) = patient.database.execute(_BACKUP).fetchone() or (None,)
    if not isinstance(when, int):
        yield Finding("backup", Level.WARNING, "the vault was never backed up", fix)
        return
    (newer,) = patient.database.execute("SELECT count(*) FROM epochs WHERE made > ?", (when,)).fetchone()
    if newer:
        what = f"{newer} epochs were made since the last backup of {utc(when)}"
        yield Finding("backup", Level.WARNING, what, fix)
    elif patient.now - when > _OLD_BACKUP:
        yield Finding("backup", Level.WARNING, f"the last backup is of {utc(when)}, more than 30 days ago", fix)
    else:
        yield Finding("backup", Level.OK, f"the last backup is of {utc(when)}, and no epoch is newer")


def passphrase(patient: VaultPatient) -> Iterator[Finding]:
    """A vault whose file alone gives every key away."""
    opens = patient.vault.lock.kind
    if opens:
        yield Finding("passphrase", Level.OK, f"the vault is protected by {opens}")
    else:
        what = "the vault has no passphrase: whoever reads its file has every key"
        yield Finding("passphrase", Level.WARNING, what, "keyvault passwd")
