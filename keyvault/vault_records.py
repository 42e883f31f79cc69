"""The records that describe a vault itself, and changing the key under which all records are encrypted."""

from __future__ import annotations

import secrets
import sqlite3
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from keyvault import audit
from keyvault.derivation import KEY_BYTES
from keyvault.epochs import record_label
from keyvault.errors import VaultDamagedError
from keyvault.identity import thumbprint
from keyvault.issuing import IssuerSecrets
from keyvault.table_macs import TableMacs
from keyvault.vault_key import Argon2, FromKeyFile, Lock, ScryptCosts, Secret, VaultKey
from keyvault.vault_store import new_database

_ROOT, _ISSUER = "root", "issuer"
_KDFS = {Argon2: "argon2id", ScryptCosts: "scrypt", FromKeyFile: "key file"}


def new_vault(secret: Secret) -> bytes:
    """The file of a new vault with a root secret, an issuer's key and a first audit record of its own."""
    lock, key = Lock.create(secret)
    issuer, now = Ed25519PrivateKey.generate(), int(time.time())
    database = new_database()
    database.execute(
        "INSERT INTO vault (id, created, issuer, stored_key) VALUES (1, ?, ?, x'')",
        (now, issuer.public_key().public_bytes_raw()),
    )
    write_lock(database, lock)
    for label, record in ((_ROOT, secrets.token_bytes(KEY_BYTES)), (_ISSUER, issuer.private_bytes_raw())):
        database.execute("INSERT INTO secrets VALUES (?, ?)", (label, key.encrypt(label, record)))
    detail = {"issuer": thumbprint(issuer.public_key()), "protected": secret is not None}
    audit.record(database, issuer, audit.FIRST, "vault", detail, now)
    macs = TableMacs(database, key)
    macs.take_over(key)
    macs.renew()
    data = database.serialize()
    database.close()
    return data


def read_lock(database: sqlite3.Connection) -> Lock:
    """How the vault's key is had; VaultDamagedError if that is not there."""
    stored_key, kdf, salt, *costs = _own_row(database, "stored_key, kdf, salt, iterations, memory_kib, lanes, n, r, p")
    if stored_key is not None:
        return Lock(None, stored_key)
    derivations: dict[str, Callable[[], Argon2 | ScryptCosts | FromKeyFile]] = {
        "argon2id": lambda: Argon2(salt, *costs[:3]),
        "scrypt": lambda: ScryptCosts(salt, *costs[3:]),
        "key file": lambda: FromKeyFile(salt),
    }
    if kdf not in derivations:
        raise VaultDamagedError("the vault's passphrase parameters are out of bounds", hint="restore a backup")
    return Lock(derivations[kdf](), None)


def write_lock(database: sqlite3.Connection, lock: Lock) -> None:
    """Keep how the vault's key is had."""
    row: dict[str, Any] = dict.fromkeys(("iterations", "memory_kib", "lanes", "n", "r", "p", "salt", "kdf"))
    if lock.derivation is not None:
        row |= asdict(lock.derivation) | {"kdf": _KDFS[type(lock.derivation)]}
    columns = ", ".join(f"{name} = :{name}" for name in row)
    database.execute(f"UPDATE vault SET stored_key = :stored_key, {columns}", row | {"stored_key": lock.stored_key})  # noqa: S608


def read_issuer(database: sqlite3.Connection) -> bytes:
    """The raw public key of the issuer; VaultDamagedError if that is not there."""
    (raw,) = _own_row(database, "issuer")
    if not isinstance(raw, bytes) or len(raw) != KEY_BYTES:
        raise VaultDamagedError("the vault has no issuer's key", hint="restore a backup")
    return raw


def issuer_secrets(database: sqlite3.Connection, key: VaultKey) -> IssuerSecrets:
    """The root secret and the issuer's signing key; VaultDamagedError if key or records are others."""
    signer = Ed25519PrivateKey.from_private_bytes(_secret(database, key, _ISSUER))
    return IssuerSecrets(_secret(database, key, _ROOT), signer)


def relock(database: sqlite3.Connection, old: VaultKey, lock: Lock, new: VaultKey, macs: TableMacs) -> None:
    """Encrypt every record under another key; within a transaction, or in a database that nobody else has.

    Every row is checked first; ``macs`` codes them anew under ``new`` when it is renewed.

    Raises:
        VaultDamagedError: a record is not encrypted under ``old``, or a row was changed from outside.
    """
    macs.check_all()
    update = "UPDATE {} SET record = ? WHERE rowid = ?"
    for table, labels in _RECORDS.items():
        rows = database.execute(f"SELECT rowid, record, {labels} FROM {table} WHERE record IS NOT NULL").fetchall()  # noqa: S608
        changed = (
            (new.encrypt(_LABELS[table](*names), old.decrypt(_LABELS[table](*names), record)), row)
            for row, record, *names in rows
        )
        database.executemany(update.format(table), changed)
    write_lock(database, lock)
    macs.take_over(new)


_RECORDS = {"secrets": "label", "enrolled": "kind, name", "epochs": "sensor, epoch"}
_LABELS = {"secrets": "{}".format, "enrolled": "{} {}".format, "epochs": record_label}


def _secret(database: sqlite3.Connection, key: VaultKey, label: str) -> bytes:
    row = database.execute("SELECT record FROM secrets WHERE label = ?", (label,)).fetchone()
    return key.decrypt(label, row[0] if row else b"")


def _own_row(database: sqlite3.Connection, columns: str) -> tuple[Any, ...]:
    """The one row of the table that describes the vault itself."""
    row: tuple[Any, ...] | None = database.execute(f"SELECT {columns} FROM vault").fetchone()  # noqa: S608
    if row is None:
        raise VaultDamagedError("the vault's file does not say which vault it is", hint="restore a backup")
    return row
