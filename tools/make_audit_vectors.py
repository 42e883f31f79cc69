"""Write the vectors of docs/spec/audit_log.md to tests/vectors/audit/: a log, and what was done to copies of it."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from keyvault import audit
from keyvault.identity import ed25519_jwk
from keyvault.vault_store import new_database

FOLDER = Path(__file__).resolve().parent.parent / "tests" / "vectors" / "audit"
NOW = 1_790_000_000
ISSUER = Ed25519PrivateKey.from_private_bytes(hashlib.sha256(b"privcam audit vectors: issuer").digest())
OTHER = Ed25519PrivateKey.from_private_bytes(hashlib.sha256(b"privcam audit vectors: other issuer").digest())
ENTRIES: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("init", "vault", {"protected": True}),
    ("enroll", "sensor cam", {"kid": "n" * 43}),
    ("enroll", "host lab", {"kid": "h" * 43}),
    ("issue", "sensor cam", {"epoch": 1, "hosts": ["lab"], "serial": 1}),
    ("rotate", "sensor cam", {"epoch": 2, "hosts": ["lab"], "serial": 2}),
    ("revoke", "host lab", {}),
)

Change = Callable[[sqlite3.Connection], object]


def make_log(entries: int = len(ENTRIES), signer: Ed25519PrivateKey = ISSUER) -> sqlite3.Connection:
    """A database with the first so many of :data:`ENTRIES` in its log."""
    database = new_database()
    for number, (operation, subject, detail) in enumerate(ENTRIES[:entries]):
        audit.record(database, signer, operation, subject, detail, NOW + number)
    return database


def rechain(database: sqlite3.Connection) -> None:
    """Make the hashes fit the records, as somebody without the issuer's key can, the head's included."""
    before = bytes(32)
    for seq, text in database.execute("SELECT seq, record FROM audit ORDER BY seq").fetchall():
        before = hashlib.sha256(b"privcam/audit/record/1" + before + text.encode("ascii")).digest()
        database.execute("UPDATE audit SET hash = ? WHERE seq = ?", (before, seq))
        database.execute("UPDATE audit_head SET seq = ?, hash = ?", (seq, before))


def _sql(*statements: str) -> Change:
    def change(database: sqlite3.Connection) -> None:
        for statement in statements:
            database.execute(statement)

    return change


def _renumber(database: sqlite3.Connection) -> None:
    """Take record 4 out and close the gap."""
    database.execute("DELETE FROM audit WHERE seq = 4")
    for seq in (5, 6):
        database.execute(
            "UPDATE audit SET seq = seq - 1, record = replace(record, ?, ?) WHERE seq = ?",
            (f'"seq":{seq}', f'"seq":{seq - 1}', seq),
        )
    rechain(database)


def _earlier(database: sqlite3.Connection) -> None:
    """Set the log back to its first four records, with the head that it had then."""
    database.execute("DELETE FROM audit WHERE seq > 4")
    database.execute("DELETE FROM audit_head")
    old = make_log(4).execute("SELECT * FROM audit_head").fetchone()
    database.execute("INSERT INTO audit_head VALUES (?, ?, ?, ?)", old)


def _rewritten(database: sqlite3.Connection) -> None:
    """Change a record and make every hash fit, but leave the head as the vault signed it."""
    kept = database.execute("SELECT seq, hash FROM audit_head").fetchone()
    database.execute("UPDATE audit SET record = replace(record, 'lab', 'lob') WHERE seq = 4")
    rechain(database)
    database.execute("UPDATE audit_head SET seq = ?, hash = ?", kept)


CASES: dict[str, tuple[str, str | None, Change]] = {
    "whole": ("nothing was done to it", None, _sql()),
    "removed": ("record 3 was removed", "AuditRecordError", _sql("DELETE FROM audit WHERE seq = 3")),
    "changed": (
        "a host's name in record 4 was changed",
        "AuditRecordError",
        _sql("UPDATE audit SET record = replace(record, 'lab', 'lob') WHERE seq = 4"),
    ),
    "swapped": (
        "records 2 and 3 have changed places",
        "AuditRecordError",
        _sql(
            "UPDATE audit SET seq = 99 WHERE seq = 2",
            "UPDATE audit SET seq = 2 WHERE seq = 3",
            "UPDATE audit SET seq = 3 WHERE seq = 99",
        ),
    ),
    "rewritten": ("record 4 was changed and every hash made to fit", "AuditRecordError", _rewritten),
    "renumbered": (
        "record 4 was removed, and numbers, hashes and the head made to fit",
        "AuditHeadError",
        _renumber,
    ),
    "cut": ("the last record was removed", "AuditRecordError", _sql("DELETE FROM audit WHERE seq = 6")),
    "added": (
        "a record was added after the last",
        "AuditRecordError",
        _sql("INSERT INTO audit SELECT 7, replace(record, '\"seq\":6', '\"seq\":7'), hash FROM audit WHERE seq = 6"),
    ),
    "no_head": ("the head was removed", "AuditHeadError", _sql("DELETE FROM audit_head")),
    "set_back": ("log and head are those of an earlier time; the kept head is later", "AuditRollbackError", _earlier),
}


def vector(what: str, error: str | None, change: Change) -> dict[str, object]:
    """The members of a vector's file."""
    database = make_log()
    kept = audit.head(database, ISSUER.public_key()).to_line()
    change(database)
    rows = database.execute("SELECT seq, record, hash FROM audit ORDER BY seq").fetchall()
    head = database.execute("SELECT seq, hash, signature FROM audit_head").fetchone()
    return {
        "what": what,
        "error": error,
        "issuer": ed25519_jwk(ISSUER.public_key()),
        "kept": kept,
        "head": head and {"seq": head[0], "hash": head[1].hex(), "signature": head[2].hex()},
        "records": [{"seq": seq, "record": record, "hash": digest.hex()} for seq, record, digest in rows],
    }


def main() -> None:
    """Write every vector."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, case in CASES.items():
        (FOLDER / f"{name}.json").write_text(json.dumps(vector(*case), indent=1) + "\n")


if __name__ == "__main__":
    main()
