"""A vault whose tables were changed by somebody who has its file and not its passphrase."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from parties import NOW, TERMS, host_key, small_vault

from keyvault import audit, backup, doctor_records, places, sealing, vault_store, withdrawal
from keyvault.doctor import VaultPatient
from keyvault.errors import AuditHeadError, VaultDamagedError
from keyvault.grant import Kind
from keyvault.vault import Vault

OUTSIDE = {
    "vault": {"kdf", "salt", "iterations", "memory_kib", "lanes", "n", "r", "p", "stored_key"},  # the key comes of them
    "files": {"sealed"},  # signed by the issuer, and refused where it is opened
    "audit": {"seq", "record", "hash"},  # a chain of hashes to the signed head
}
"""What the codes do not cover, and why."""
WHERE = {"epochs": "epoch = 1", "enrolled": "name = 'cam'", "files": "serial = 1", "macs": "unit = 'sensor cam'"}


def _columns() -> list[tuple[str, str]]:
    with closing(vault_store.new_database()) as database:
        tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        found = [(table, row[1]) for table in tables for row in database.execute(f"PRAGMA table_info({table})")]
    return [(table, column) for table, column in found if column not in OUTSIDE.get(table, ())]


@pytest.fixture
def vault(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Vault]:
    """An unlocked vault with a staged epoch of cam that waits for its destruction, and host ``mobile`` revoked."""
    monkeypatch.setattr("time.time", lambda: NOW)
    with small_vault(home) as made:
        made.enroll_sensor("dog", places.device_file("dog", home))
        for sensor in ("cam", "dog"):
            made.issue(sensor, TERMS)
            made.issue(sensor, TERMS)
        with made.change() as change:
            withdrawal.destroy(change, "cam", 1, 1000)
            withdrawal.revoke(change, Kind.HOST, "mobile")
        made.publish_status(60)
        yield made


def tamper(vault: Vault, statements: str) -> None:
    with closing(sqlite3.connect(vault.path)) as database:
        database.executescript(f"PRAGMA ignore_check_constraints = ON; {statements}")


def rotate(vault: Vault, sensor: str = "cam") -> sealing.Sealed:
    with vault.change() as change:
        return sealing.rotate(change, sensor, sealing.Rotation())


def doctor(vault: Vault) -> None:
    with vault.reading() as database:
        list(doctor_records.tables(VaultPatient(vault.path.parent.parent, NOW, vault=vault, database=database)))


def refused(vault: Vault, *work: Callable[[Vault], Any], match: str = ".") -> None:
    """Each piece of work, and those that check everything, must find it."""
    everything = (doctor, lambda it: it.publish_status(60), lambda it: backup.make(it, b"word"), Vault.active_sensors)
    for one in (*work, *everything, lambda it: it.change_passphrase(b"new")):
        with pytest.raises((VaultDamagedError, AuditHeadError), match=match) as caught:
            one(vault)
        assert "restore a backup" in caught.value.hint


def rows(vault: Vault, query: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(vault.path)) as database:
        return database.execute(query).fetchall()


def put_back(vault: Vault, table: str, old: list[tuple[Any, ...]]) -> None:
    with closing(sqlite3.connect(vault.path)) as database:
        marks = ", ".join("?" * len(old[0]))
        database.executemany(f"INSERT OR REPLACE INTO {table} VALUES ({marks})", old)  # noqa: S608
        database.commit()


@pytest.mark.parametrize(("table", "column"), _columns())
def test_no_column_can_be_changed(vault: Vault, table: str, column: str) -> None:
    where = WHERE.get(table, "1")
    first = f"rowid = (SELECT min(rowid) FROM {table} WHERE {where})"  # noqa: S608
    tamper(vault, f"UPDATE {table} SET {column} = CASE typeof({column}) WHEN 'blob' THEN zeroblob(64) "  # noqa: S608
           f"WHEN 'integer' THEN {column} + 7 WHEN 'null' THEN 5 ELSE {column} || 'x' END WHERE {first}")  # fmt: skip
    refused(vault)


@pytest.mark.parametrize("table", sorted({table for table, _ in _columns()} - {"vault"}))
def test_no_row_can_be_removed(vault: Vault, table: str) -> None:
    tamper(vault, f"DELETE FROM {table} WHERE rowid = (SELECT max(rowid) FROM {table})")  # noqa: S608
    refused(vault)


@pytest.mark.parametrize(
    ("statement", "table"),
    [
        ("UPDATE epochs SET state = 'disabled', destroy_at = NULL WHERE epoch = 1", "epochs"),
        ("UPDATE epochs SET destroy_at = destroy_at + 9 WHERE epoch = 1 AND sensor = 'cam'", "epochs"),
        ("UPDATE epochs SET state = 'bogus'", "epochs"),
        ("UPDATE epochs SET policy = '{}'", "epochs"),
        ("UPDATE counters SET min_epoch = 2", "counters"),
        ("UPDATE counters SET next_epoch = 'x'", "counters"),
        ("UPDATE enrolled SET state = 'active' WHERE name = 'mobile'", "enrolled"),
        ("DELETE FROM enrolled WHERE name = 'mobile'", "enrolled"),
        ("UPDATE enrolled SET changed = 'x' WHERE name = 'cam'", "enrolled"),
        ("DELETE FROM files WHERE sensor = 'cam'", "files"),
        ("UPDATE files SET hosts = '[]' WHERE sensor = 'cam'", "files"),
    ],
)
def test_whoever_uses_the_rows_finds_which_table_was_changed(vault: Vault, statement: str, table: str) -> None:
    tamper(vault, statement)
    add = sealing.Recipients(add=("lab",))

    def within(work: Callable[..., Any], *arguments: Any) -> Callable[[Vault], Any]:
        def run(vault: Vault) -> Any:
            with vault.change() as change:
                return work(change, *arguments)

        return run

    refused(
        vault,
        rotate,
        within(sealing.issue, "cam", TERMS),
        within(sealing.rewrap, "cam", add),
        within(sealing.grant, "cam", ("lab",), range(2, 3)),
        match=f"the tables? .*{table}.* of the vault, at",
    )
    if "mobile" not in statement:
        own = (
            within(sealing.promote, "cam"),
            within(withdrawal.retire, "cam", 2),
            within(withdrawal.disable, "cam", 2),
            within(withdrawal.restore, "cam", 1),
            within(withdrawal.destroy, "cam", 2, 1),
            within(withdrawal.revoke, Kind.SENSOR, "cam"),
            lambda vault: vault.file("cam"),
        )
        refused(vault, *own, match="changed from outside")


def test_another_sensor_is_not_looked_at(vault: Vault) -> None:
    tamper(vault, "UPDATE epochs SET changed = 5 WHERE sensor = 'cam'")
    assert rotate(vault, "dog").file.first == 3


@pytest.mark.parametrize("table", ["enrolled", "counters", "epochs", "files", "status_lists"])
def test_rows_set_back_with_their_codes_are_refused(vault: Vault, table: str) -> None:
    tables = (table, "macs")
    old = {name: rows(vault, f"SELECT * FROM {name} WHERE unit <> 'all'" if name == "macs" else f"SELECT * FROM {name}")  # noqa: S608
           for name in tables}  # fmt: skip
    with vault.change() as change:
        sealing.rewrap(change, "cam", sealing.Recipients())
        withdrawal.disable(change, "cam", 1)
        withdrawal.revoke(change, Kind.SENSOR, "dog")
    vault.publish_status(60)
    for name in tables:
        put_back(vault, name, old[name])
    refused(vault, rotate, match="do not belong together")
    with pytest.raises(VaultDamagedError):
        vault.file("cam")


def test_everything_but_the_log_set_back_is_refused(vault: Vault) -> None:
    tables = ("enrolled", "counters", "epochs", "macs")
    old = {name: rows(vault, f"SELECT * FROM {name}") for name in tables}  # noqa: S608
    with vault.change() as change:
        withdrawal.restore(change, "cam", 1)
    for name in tables:
        put_back(vault, name, old[name])
    refused(vault, rotate, match="do not belong together")


def test_a_destruction_that_was_put_off_is_refused_on_its_date(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    tamper(vault, "UPDATE epochs SET state = 'decrypt-only', destroy_at = NULL WHERE epoch = 1 AND sensor = 'cam'")
    rotate(vault, "dog")
    monkeypatch.setattr("time.time", lambda: NOW + 1000)
    with pytest.raises(VaultDamagedError, match="the table epochs of the vault, at sensor cam"):
        rotate(vault, "dog")


def test_rows_that_belong_to_nobody_are_refused(vault: Vault) -> None:
    tamper(vault, "INSERT INTO counters (sensor) VALUES ('cat')")
    refused(vault, match="added from outside")


def test_a_removed_sensor_cannot_be_enrolled_anew(vault: Vault, tmp_path: Path) -> None:
    for table, column in (("files", "sensor"), ("epochs", "sensor"), ("counters", "sensor"), ("enrolled", "name")):
        tamper(vault, f"DELETE FROM {table} WHERE {column} = 'dog'")  # noqa: S608
    with pytest.raises(VaultDamagedError, match="at sensor dog"):
        vault.enroll_sensor("dog", tmp_path / "dog.json")
    assert not (tmp_path / "dog.json").exists()
    tamper(vault, "DELETE FROM enrolled WHERE name = 'mobile'")
    with pytest.raises(VaultDamagedError, match="at hosts"):
        vault.enroll_host("mobile", host_key("mobile").public_key())


def test_a_locked_vault_shows_what_is_there(vault: Vault) -> None:
    tamper(vault, "UPDATE epochs SET changed = 5")
    with Vault.open(vault.path.parent.parent) as locked:
        assert {epoch.changed for epoch in locked.epochs()} == {5}
        assert locked.file("cam").data
        with locked.reading() as database:
            assert audit.verify(database, locked.issuer)


def test_a_passphrase_and_a_recovery_keep_the_codes(vault: Vault, tmp_path: Path) -> None:
    (tmp_path / "kept").write_bytes(backup.make(vault, b"word"))
    vault.change_passphrase(b"new")
    doctor(vault)
    rotate(vault)
    with backup.recover(tmp_path / "second", tmp_path / "kept", b"word", None) as again:
        doctor(again)
        rotate(again)
        tamper(again, "UPDATE counters SET next_serial = 1")
        refused(again, rotate, match="the table counters")


def test_an_emptied_log_does_not_begin_anew(vault: Vault) -> None:
    tamper(vault, "DELETE FROM audit; DELETE FROM audit_head")
    with pytest.raises(AuditHeadError, match="no signed head"):
        rotate(vault)
    with vault.reading() as database, pytest.raises(AuditHeadError):
        audit.verify(database, vault.issuer)


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TRIGGER keep AFTER UPDATE ON epochs BEGIN DELETE FROM files; END",
        "CREATE VIEW looks AS SELECT * FROM epochs",
    ],
)
def test_a_file_that_holds_more_than_tables_is_refused(vault: Vault, statement: str) -> None:
    tamper(vault, statement)
    with pytest.raises(VaultDamagedError, match="which no vault has"):
        Vault.open(vault.path.parent.parent)
