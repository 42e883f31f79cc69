"""The vault's file: one SQLite database, its schema and its migrations."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from keyvault.errors import VaultBusyError, VaultDamagedError, VaultError, VaultMissingError, VaultSchemaError
from keyvault.secret_files import check_private, check_private_folder

APPLICATION_ID = 0x70766C74
_BUSY_SECONDS = 30.0
_OLDEST_SCHEMA = 4  # those below were used before the first release

# user_version of the file is its schema: the first of these makes _OLDEST_SCHEMA, each other the next one.
_MIGRATIONS = (
    """
    CREATE TABLE vault (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        created INTEGER NOT NULL,
        issuer BLOB NOT NULL,
        kdf TEXT CHECK (kdf IN ('argon2id', 'scrypt', 'key file')),
        salt BLOB, iterations INTEGER, memory_kib INTEGER, lanes INTEGER, n INTEGER, r INTEGER, p INTEGER,
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
        state TEXT NOT NULL CHECK (state IN ('active', 'revoked')) DEFAULT 'active',
        changed INTEGER NOT NULL,
        record BLOB NOT NULL,
        PRIMARY KEY (kind, name),
        UNIQUE (kind, kid)
    );
    CREATE TABLE counters (
        kind TEXT NOT NULL CHECK (kind = 'sensor') DEFAULT 'sensor',
        sensor TEXT PRIMARY KEY COLLATE NOCASE,
        next_epoch INTEGER NOT NULL CHECK (next_epoch >= 1) DEFAULT 1,
        next_serial INTEGER NOT NULL CHECK (next_serial >= 1) DEFAULT 1,
        min_epoch INTEGER NOT NULL CHECK (min_epoch >= 1) DEFAULT 1,
        FOREIGN KEY (kind, sensor) REFERENCES enrolled (kind, name)
    );
    CREATE TABLE epochs (
        sensor TEXT NOT NULL COLLATE NOCASE REFERENCES counters (sensor),
        epoch INTEGER NOT NULL CHECK (epoch >= 1),
        key_id TEXT NOT NULL UNIQUE,
        state TEXT NOT NULL CHECK (
            state IN ('staged', 'primary', 'decrypt-only', 'disabled', 'pending destruction', 'destroyed')
        ),
        policy TEXT NOT NULL,
        not_before INTEGER NOT NULL,
        not_after INTEGER NOT NULL,
        made INTEGER NOT NULL,
        changed INTEGER NOT NULL,
        destroy_at INTEGER,
        record BLOB,
        PRIMARY KEY (sensor, epoch),
        CHECK ((destroy_at IS NULL) = (state <> 'pending destruction')),
        CHECK ((record IS NULL) = (state = 'destroyed'))
    );
    CREATE UNIQUE INDEX one_primary ON epochs (sensor) WHERE state = 'primary';
    CREATE TABLE files (
        sensor TEXT NOT NULL COLLATE NOCASE,
        serial INTEGER NOT NULL CHECK (serial >= 1),
        first_epoch INTEGER NOT NULL,
        last_epoch INTEGER NOT NULL CHECK (last_epoch >= first_epoch),
        for_sensor INTEGER NOT NULL CHECK (for_sensor IN (0, 1)),
        hosts TEXT NOT NULL,
        made INTEGER NOT NULL,
        sealed BLOB NOT NULL,
        PRIMARY KEY (sensor, serial),
        FOREIGN KEY (sensor, first_epoch) REFERENCES epochs (sensor, epoch),
        FOREIGN KEY (sensor, last_epoch) REFERENCES epochs (sensor, epoch)
    );
    CREATE INDEX files_of_epoch ON files (sensor, last_epoch, first_epoch, for_sensor, serial);
    CREATE INDEX files_from_epoch ON files (sensor, first_epoch);
    CREATE TABLE status_lists (
        number INTEGER PRIMARY KEY,
        issued INTEGER NOT NULL
    );
    CREATE TABLE audit (
        seq INTEGER PRIMARY KEY,
        record TEXT NOT NULL,
        hash BLOB NOT NULL
    );
    CREATE TABLE audit_head (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        seq INTEGER NOT NULL,
        hash BLOB NOT NULL,
        signature BLOB NOT NULL
    );
    CREATE TABLE macs (
        unit TEXT PRIMARY KEY,
        due INTEGER,
        mac BLOB NOT NULL
    )
    """,
)
SCHEMA = _OLDEST_SCHEMA + len(_MIGRATIONS) - 1


def new_database() -> sqlite3.Connection:
    """An empty vault in memory, to be filled, serialized and written whole."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    migrate(connection)
    return connection


def connect(path: Path) -> sqlite3.Connection:
    """Open a vault's file and bring its schema up to date.

    Raises:
        VaultMissingError: there is no such file.
        ExposedFileError: other users can read it, or what is in its folder.
        VaultDamagedError: it is not a vault.
        VaultSchemaError: it was made by a newer version or a pre-release.
        VaultBusyError: other processes hold it for too long; VaultError: it cannot be used now.
    """
    if not path.exists():
        raise VaultMissingError(f"there is no vault at {path}", hint="make one with keyvault init, or give --home")
    check_private_folder(path.parent, "vault")
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
    """Turn SQLite's errors, and text in the file that is not UTF-8, into refusals."""
    try:
        yield
    except sqlite3.OperationalError as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise VaultBusyError(
                f"another process has held vault {path} for {_BUSY_SECONDS:.0f} s", hint="try again when it has ended"
            ) from error
        raise VaultError(
            f"cannot use vault {path}: {error}", hint="check the file, its folder and free space"
        ) from error
    except (sqlite3.Error, UnicodeDecodeError) as error:
        raise VaultDamagedError(f"{path} is not a whole vault: {error}", hint="restore a backup") from error


def check_schema(connection: sqlite3.Connection, path: Path) -> None:
    """Raise VaultDamagedError unless it is a vault and nothing more, VaultSchemaError unless its schema is known."""
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    schema = _schema(connection)
    if application != APPLICATION_ID:
        raise VaultDamagedError(f"{path} is not a vault", hint="give another --home, or restore a backup")
    if schema > SCHEMA:
        raise VaultSchemaError(
            f"{path} has schema {schema}; this program knows {SCHEMA}", hint="install a newer privcam"
        )
    if schema < _OLDEST_SCHEMA:
        raise VaultSchemaError(
            f"{path} has schema {schema} of a pre-release; this program reads {_OLDEST_SCHEMA} to {SCHEMA}",
            hint="make a new vault with keyvault init in another --home, and enrol sensors and hosts again",
        )
    foreign = connection.execute("SELECT type, name FROM sqlite_master WHERE type IN ('trigger', 'view')").fetchone()
    if foreign:  # it would run within every change, and could keep what was to be erased
        raise VaultDamagedError(
            f"{path} has a {foreign[0]}, {foreign[1]!r:.40}, which no vault has: it was changed from outside",
            hint="restore a backup, and find out who can write the vault's file",
        )


def migrate(connection: sqlite3.Connection) -> None:
    """Bring an empty database or a vault that :func:`check_schema` accepts to the newest schema.

    Each step is one transaction.  Foreign keys are to be off, so that a step can make a table anew;
    a step that leaves a reference to nothing is undone.

    Raises:
        sqlite3.IntegrityError: a reference points to nothing.
    """
    while _schema(connection) < SCHEMA:
        connection.execute("BEGIN IMMEDIATE")
        try:
            schema = max(_schema(connection) + 1, _OLDEST_SCHEMA)
            if schema <= SCHEMA:  # another process may have been first
                for statement in _MIGRATIONS[schema - _OLDEST_SCHEMA].split(";"):
                    connection.execute(statement)
                if connection.execute("PRAGMA foreign_key_check").fetchone():
                    raise sqlite3.IntegrityError(f"a reference to nothing, found on the way to schema {schema}")
                connection.execute(f"PRAGMA user_version = {schema}")
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise


def truncate_log(connection: sqlite3.Connection, path: Path) -> None:
    """Move what the write-ahead log holds into the file and empty the log, so that nothing erased stays in it.

    Raises:
        VaultBusyError: another process reads the vault; what was erased may still be in the log.
    """
    with explained(path):
        (busy, _, _) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    if busy:
        raise VaultBusyError(
            f"another process reads {path}: what was erased may stay in its log until that ends",
            hint="end the other process and run keyvault destroy --due",
        )


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    check_schema(connection, path)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA secure_delete = ON")
    migrate(connection)
    connection.execute("PRAGMA foreign_keys = ON")


def _schema(connection: sqlite3.Connection) -> int:
    (schema,) = connection.execute("PRAGMA user_version").fetchone()
    return int(schema)
