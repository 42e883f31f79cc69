"""The audit log: what was done to a vault, in a chain of hashes whose head the issuer signs (docs/spec/audit_log.md).

A record is made in the transaction of what it tells of, so that neither is kept without the other.
"""

from __future__ import annotations

import hashlib
import re
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from keyvault import canonical
from keyvault.errors import AuditHeadError, AuditHeadFormatError, AuditRecordError, AuditRollbackError, InputError
from keyvault.identity import thumbprint

MAX_HEAD = 512
FIRST = "init"
"""The operation that begins a log; no other does."""
_RECORD_DOMAIN, _HEAD_DOMAIN = b"privcam/audit/record/1", b"privcam/audit/head/1"
_BEFORE_FIRST = bytes(32)
_LINE = re.compile(
    r"privcam-audit-head 1 ([A-Za-z0-9_-]{43}) ([1-9][0-9]{0,15}) ([A-Za-z0-9_-]{43}) ([A-Za-z0-9_-]{86})"
)
_MEMBERS = {"detail", "operation", "seq", "subject", "time"}
_SECRET = re.compile(r"(?:.*_)?(?:key|kek|keys|secret|secrets|salt|seed|root|passphrase|password|private|d|k)")
_RESTORE = "restore a backup, and find out who can write the vault's file"


@dataclass(frozen=True, slots=True)
class Record:
    """A record of the log.

    Attributes:
        seq: 1, 2, 3 ... without gap.
        time: Unix time of the operation.
        operation: such as ``rotate``.
        subject: to whom it was done, such as ``sensor cam``, or ``vault``.
        detail: members of a JSON object; never a secret.
    """

    seq: int
    time: int
    operation: str
    subject: str
    detail: dict[str, Any]

    def to_json(self) -> dict[str, Any]:
        """The members of the record."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class Head:
    """The end of the log at some time, signed by the issuer.

    Attributes:
        issuer: thumbprint of the vault's key.
        seq: of the last record.
        hash: of the last record, 32 bytes.
        signature: Ed25519, 64 bytes.
    """

    issuer: str
    seq: int
    hash: bytes
    signature: bytes

    def to_line(self) -> str:
        """One line of ASCII that can be kept where the vault's file is not."""
        return (
            f"privcam-audit-head 1 {self.issuer} {self.seq} "
            f"{canonical.b64url(self.hash)} {canonical.b64url(self.signature)}"
        )

    @classmethod
    def from_line(cls, text: str) -> Head:
        """The inverse of to_line, up to white space around it; AuditHeadFormatError for anything else."""
        match = _LINE.fullmatch(text.strip())
        try:
            if match is None:
                raise InputError("it is not one line of its five parts")
            digest, signature = canonical.unb64url(match[3], "its hash"), canonical.unb64url(match[4], "its signature")
        except InputError as error:
            raise AuditHeadFormatError(
                f"not the head of an audit log: {error}", hint="give a file that holds what keyvault audit head printed"
            ) from error
        return cls(match[1], int(match[2]), digest, signature)

    def check(self, issuer: Ed25519PublicKey, which: str) -> None:
        """Raise AuditHeadError unless the issuer has signed it; ``which`` names it."""
        if self.issuer != thumbprint(issuer):
            raise AuditHeadError(
                f"{which} is that of vault {self.issuer}, not of vault {thumbprint(issuer)}",
                hint="give the head that was printed for this vault, or its --home",
            )
        try:
            issuer.verify(self.signature, _signed(self.seq, self.hash))
        except InvalidSignature as error:
            raise AuditHeadError(
                f"{which} was not signed by the vault: it says record {self.seq} is the last", hint=_RESTORE
            ) from error


def record(
    database: sqlite3.Connection,
    signer: Ed25519PrivateKey,
    operation: str,
    subject: str,
    detail: Mapping[str, Any],
    now: int,
) -> None:
    """Append one record and sign the new head, within the caller's transaction.

    Args:
        database: the vault, within the transaction of the operation.
        signer: the issuer's key.
        operation, subject, detail, now: as in :class:`Record`; ``detail`` holds strings, whole numbers,
            booleans, None, and lists of these.

    Raises:
        TypeError: a detail is of another type, such as bytes.
        ValueError: a detail has the name of a secret, such as ``salt`` or ``epoch_key``.
        AuditHeadError: the head is missing, or was not signed by the issuer, who signs nothing that builds on it.
    """
    for name, value in detail.items():
        _refuse_secret(name, value)
    end = None if operation == FIRST else head(database, signer.public_key())  # an emptied log does not begin anew
    seq, before = (end.seq, end.hash) if end else (0, _BEFORE_FIRST)
    data = canonical.dumps(Record(seq + 1, now, operation, subject, dict(detail)).to_json())
    digest = _digest(before, data)
    database.execute("INSERT INTO audit (seq, record, hash) VALUES (?, ?, ?)", (seq + 1, data.decode("ascii"), digest))
    database.execute(
        "INSERT OR REPLACE INTO audit_head (id, seq, hash, signature) VALUES (1, ?, ?, ?)",
        (seq + 1, digest, signer.sign(_signed(seq + 1, digest))),
    )


def verify(database: sqlite3.Connection, issuer: Ed25519PublicKey, kept: Head | None = None) -> Head:
    """Verify the whole log, and return its head.

    Args:
        database: the vault.
        issuer: its public key.
        kept: a head that was kept elsewhere; without it, a log that was set back to an earlier state
            together with its head is not told from one that is up to date.

    Raises:
        AuditRecordError: a record is missing, changed, out of order or too much; it names the first.
        AuditHeadError: the head is missing or not signed by the vault, or the kept one is not.
        AuditRollbackError: the log does not hold what it held when the kept head was printed.
    """
    if kept is not None:
        kept.check(issuer, "the head that was kept")
    seq, digest, at_kept = 0, _BEFORE_FIRST, None
    for row in _rows(database):
        seq += 1
        digest = _check_record(seq, digest, *row)
        if kept is not None and kept.seq == seq:
            at_kept = digest
    signed = head(database, issuer)
    _check_end(signed, seq, digest)
    if kept is not None and at_kept != kept.hash:
        what = "does not hold it" if at_kept is None else "has another in its place"
        raise AuditRollbackError(
            f"the log was at record {kept.seq} when its head was kept, and now {what}: the vault was set back "
            f"to an earlier state, and its log ends with record {signed.seq}",
            hint="if a backup was recovered, that is why: keep a new head with keyvault audit head; "
            "if not, find out who can write the vault's file",
        )
    return signed


def head(database: sqlite3.Connection, issuer: Ed25519PublicKey) -> Head:
    """The head of the log, its signature verified; AuditHeadError if it is missing or not the issuer's."""
    row = database.execute("SELECT seq, hash, signature FROM audit_head").fetchone()
    types = tuple(type(value) for value in row or ())
    if types != (int, bytes, bytes) or not 1 <= row[0] <= canonical.MAX_INTEGER:
        raise AuditHeadError("the audit log has no signed head", hint=_RESTORE)
    found = Head(thumbprint(issuer), *row)
    found.check(issuer, "the head of the audit log")
    return found


def listed(database: sqlite3.Connection, last: int | None = None) -> Iterator[Record]:
    """The records in order, or the last so many; AuditRecordError for one that is none."""
    for number, data, _ in _rows(database, last):
        yield _parse(number, data)


def _rows(database: sqlite3.Connection, last: int | None = None) -> Iterator[tuple[int, bytes, Any]]:
    query = "SELECT seq, CAST(record AS BLOB), hash FROM audit ORDER BY seq"
    if last is not None:
        query = f"SELECT * FROM ({query} DESC LIMIT ?1) ORDER BY seq"  # noqa: S608
    yield from database.execute(query, () if last is None else (last,))


def _check_record(seq: int, before: bytes, number: int, data: bytes, digest: Any) -> bytes:
    """The hash of the record that must be number ``seq``; AuditRecordError unless it follows what is before it."""
    if number < seq:
        raise AuditRecordError(f"audit record {number} was not made by the vault: the first is 1", hint=_RESTORE)
    if number > seq:
        raise AuditRecordError(f"audit record {seq} is missing: record {number} comes next", hint=_RESTORE)
    _parse(seq, data)
    expected = _digest(before, data)
    if digest != expected:
        raise AuditRecordError(
            f"audit record {seq} is not what was recorded: its hash is not that of the record and of those before it",
            hint=_RESTORE,
        )
    return expected


def _parse(seq: int, data: bytes) -> Record:
    try:
        value = canonical.loads(data, "it")
        if not isinstance(value, dict) or set(value) != _MEMBERS:
            raise InputError("missing or unknown members")
        found = Record(**value)
        _check_types(found)
        if found.seq != seq:
            raise InputError(f"it says that it is record {found.seq}")
    except InputError as error:
        raise AuditRecordError(f"audit record {seq} is not what was recorded: {error}", hint=_RESTORE) from error
    return found


def _check_types(found: Record) -> None:
    whole = type(found.seq) is int and type(found.time) is int
    if not whole or not isinstance(found.operation, str) or not isinstance(found.subject, str):
        raise InputError("a member has another type")
    if not isinstance(found.detail, dict):
        raise InputError("its detail is not an object")


def _check_end(signed: Head, seq: int, digest: bytes) -> None:
    """Raise AuditRecordError unless the last record is the one that the head names."""
    if seq < signed.seq:
        raise AuditRecordError(
            f"audit record {seq + 1} is missing: the log ends with record {seq}, and record {signed.seq} was the last",
            hint=_RESTORE,
        )
    if seq > signed.seq:
        raise AuditRecordError(
            f"audit record {signed.seq + 1} was not made by the vault: record {signed.seq} is the last that it signed",
            hint=_RESTORE,
        )
    if digest != signed.hash:
        raise AuditRecordError(
            f"audit record {seq}, or one before it, is not what was recorded: the hashes were made to fit, "
            "but do not lead to the one that the vault signed",
            hint=_RESTORE,
        )


def _refuse_secret(name: str, value: Any) -> None:
    if _SECRET.fullmatch(name.lower()):
        raise ValueError(f"{name!r} is the name of a secret, which no audit record holds")
    for item in value if isinstance(value, list) else (value,):
        if item is not None and type(item) not in (str, int, bool):
            raise TypeError(f"{name} of an audit record is a {type(item).__name__}; only plain values are recorded")


def _digest(before: bytes, data: bytes) -> bytes:
    return hashlib.sha256(_RECORD_DOMAIN + before + data).digest()


def _signed(seq: int, digest: bytes) -> bytes:
    return _HEAD_DOMAIN + seq.to_bytes(8, "big") + digest
