"""The vault's file: one SQLite database, its schema and its migrations."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from keyvault.errors import VaultDamagedError, VaultError, VaultMissingError
from keyvault.secret_files import check_private

APPLICATION_ID = 0x70766C74
_BUSY_SECONDS = 10.0

# user_version of the file is the number of migrations that it has had.
_MIGRATIONS = (
    """
    CREATE TABLE vault (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        created INTEGER NOT NULL,
        issuer BLOB NOT NULL,
        salt BLOB, iterations INTEGER, memory_kib INTEGER, lanes INTEGER,
        stored_key BLOB,
        CHECK ((salt IS NULL) <> (stored_key IS NULL))
    );
    CREATE TABLE secrets (
        label TEXT PRIMARY KEY,
        record BLOB NOT NULL
    );
    CREATE TABLE enrolled (
        kind TEXT NOT NULL CHECK (kind IN ('sensor', 'host')),
        name TEXT NOT NULL COLLATE NOCASE,
        kid TEXT NOT NULL,
        since INTEGER NOT NULL,
        record BLOB NOT NULL,
        PRIMARY KEY (kind, name),
        UNIQUE (kind, kid)
    );
    CREATE TABLE grants (
        kind TEXT NOT NULL CHECK (kind = 'sensor') DEFAULT 'sensor',
        sensor TEXT NOT NULL COLLATE NOCASE,
        epoch INTEGER NOT NULL CHECK (epoch >= 1),
        key_id TEXT NOT NULL UNIQUE,
        issued INTEGER NOT NULL,
        sealed BLOB NOT NULL,
        PRIMARY KEY (sensor, epoch),
        FOREIGN KEY (kind, sensor) REFERENCES enrolled (kind, name)
    );
    """,
)


def new_database() -> sqlite3.Connection:
    """An empty vault in memory, to be filled, serialized and written whole."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    _migrate(connection, 0)
    return connection


def connect(path: Path) -> sqlite3.Connection:
    """Open a vault's file and bring its schema up to date.

    Raises:
        VaultMissingError: there is no such file.
        ExposedFileError: other users can read it.
        VaultDamagedError: it is not a vault.
        VaultError: it was made by a newer version, or cannot be used now.
    """
    if not path.exists():
        raise VaultMissingError(f"there is no vault at {path}", hint="make one with keyvault init, or give --home")
    check_private(path, "vault")
    with explained(path):
        connection = sqlite3.connect(
            f"file:{quote(str(path))}?mode=rw", uri=True, isolation_level=None, timeout=_BUSY_SECONDS
        )
        try:
            _prepare(connection, path)
        except BaseException:
            connection.close()
            raise
    return connection


@contextmanager
def transaction(connection: sqlite3.Connection, path: Path) -> Iterator[sqlite3.Connection]:
    """All that happens inside is kept, durably, or nothing is."""
    with explained(path):
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield connection
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn SQLite's errors into refusals."""
    try:
        yield
    except sqlite3.OperationalError as error:
        raise VaultError(
            f"cannot use vault {path}: {error}", hint="check the file, its folder and free space"
        ) from error
    except sqlite3.Error as error:
        raise VaultDamagedError(f"{path} is not a whole vault: {error}", hint="restore a backup") from error


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if application != APPLICATION_ID:
        raise VaultDamagedError(f"{path} is not a vault", hint="give another --home, or restore a backup")
    if version > len(_MIGRATIONS):
        raise VaultError(
            f"{path} has schema {version}; this program knows {len(_MIGRATIONS)}", hint="install a newer privcam"
        )
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    _migrate(connection, version)


def _migrate(connection: sqlite3.Connection, version: int) -> None:
    for number, script in enumerate(_MIGRATIONS[version:], version + 1):
        connection.executescript(f"BEGIN IMMEDIATE; {script}; PRAGMA user_version = {number}; COMMIT;")
