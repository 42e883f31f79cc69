"""The vault's schema: it is brought up to date whole or not at all, and its folder is private."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from parties import TERMS, small_vault

from keyvault import backup, errors, places, vault_store
from keyvault.vault import Vault

WORD = b"kept elsewhere"
COLUMN = "ALTER TABLE enrolled ADD COLUMN note TEXT NOT NULL DEFAULT 'none'"
TABLE_ANEW = """
    CREATE TABLE fresh (
        number INTEGER PRIMARY KEY,
        issued INTEGER NOT NULL,
        by TEXT NOT NULL DEFAULT 'vault'
    );
    INSERT INTO fresh (number, issued) SELECT number, issued FROM status_lists;
    DROP TABLE status_lists;
    ALTER TABLE fresh RENAME TO status_lists
"""


@pytest.fixture
def old(home: Path) -> Path:
    """The home of a closed vault of the present schema, with an issued epoch and a status list."""
    with small_vault(home) as vault:
        vault.issue("cam", TERMS)
        vault.publish_status(60)
    return home


def newer(monkeypatch: pytest.MonkeyPatch, *steps: str) -> None:
    """Let the program know as many newer schemas."""
    monkeypatch.setattr(vault_store, "_MIGRATIONS", (*vault_store._MIGRATIONS, *steps))
    monkeypatch.setattr(vault_store, "SCHEMA", vault_store.SCHEMA + len(steps))


def ask(home: Path, query: str) -> list[tuple]:
    with closing(sqlite3.connect(places.vault_file(home))) as database:
        return database.execute(query).fetchall()


def test_a_vault_is_brought_to_the_newest_schema_with_all_it_holds(
    old: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Vault.open(old) as vault:
        vault.unlock(None)
        before = vault.sensors(), vault.epochs(), vault.file("cam").data
        (tmp_path / "kept").write_bytes(backup.make(vault, WORD))
    newer(monkeypatch, COLUMN, TABLE_ANEW)
    with Vault.open(old) as vault, Vault.open(old) as second:
        vault.unlock(None)
        assert (vault.sensors(), vault.epochs(), second.file("cam").data) == before
        assert vault.issue("cam", TERMS).grant.epoch == 2
    assert ask(old, "PRAGMA user_version") == [(vault_store.SCHEMA,)]
    assert ask(old, "SELECT DISTINCT note FROM enrolled") == [("none",)]
    assert ask(old, "SELECT by FROM status_lists") == [("vault",)]
    with backup.recover(tmp_path / "second", tmp_path / "kept", WORD, None) as again:
        assert again.epochs() == before[1]
    assert ask(tmp_path / "second", "PRAGMA user_version") == [(vault_store.SCHEMA,)]


@pytest.mark.parametrize(
    ("step", "words"),
    [
        (f"{COLUMN}; CREATE TABLE vault (id INTEGER)", "already exists"),
        ("DELETE FROM counters", "reference to nothing"),
    ],
)
def test_a_step_that_fails_leaves_the_vault_as_it_was(
    old: Path, monkeypatch: pytest.MonkeyPatch, step: str, words: str
) -> None:
    schema = vault_store.SCHEMA
    with monkeypatch.context() as patch:
        newer(patch, step)
        with pytest.raises(errors.VaultError, match=words):
            Vault.open(old)
    assert ask(old, "PRAGMA user_version") == [(schema,)]
    with Vault.open(old) as vault:
        vault.unlock(None)
        assert vault.issue("cam", TERMS).grant.epoch == 2


def test_a_vault_of_a_newer_program_is_refused_and_left_alone(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        newer(patch, COLUMN)
        Vault.open(old).close()
    before = places.vault_file(old).read_bytes()
    with pytest.raises(errors.VaultSchemaError, match=f"schema {vault_store.SCHEMA + 1}; this program knows"):
        Vault.open(old)
    assert places.vault_file(old).read_bytes() == before


def test_the_vault_uses_a_log_and_references_and_erases_what_it_deletes(old: Path) -> None:
    with Vault.open(old) as vault:
        for pragma, value in (("journal_mode", "wal"), ("foreign_keys", 1), ("secure_delete", 1), ("synchronous", 2)):
            assert vault._connection.execute(f"PRAGMA {pragma}").fetchone() == (value,)


@pytest.mark.parametrize("mode", [0o750, 0o701, 0o777])
def test_a_folder_that_is_open_to_others_is_refused(old: Path, tmp_path: Path, mode: int) -> None:
    places.vault_folder(old).chmod(mode)
    with pytest.raises(errors.ExposedFileError, match=f"mode {mode:04o}") as caught:
        Vault.open(old)
    assert "chmod 700" in caught.value.hint
    fresh = places.vault_folder(tmp_path / "fresh")
    fresh.mkdir(parents=True)
    fresh.chmod(mode)
    with pytest.raises(errors.ExposedFileError):
        Vault.create(tmp_path / "fresh", None)
    assert list(fresh.iterdir()) == []
