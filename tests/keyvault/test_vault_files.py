"""The vault's file: private, encrypted, and refused when somebody changed it."""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from parties import TERMS, small_vault

from keyvault import errors, places, sealing, vault_key, vault_store
from keyvault.vault import Vault

PASSPHRASE = b"correct horse"


@pytest.fixture
def vault(home: Path) -> Iterator[Vault]:
    """An unlocked vault."""
    with small_vault(home) as made:
        yield made


def change(vault: Vault, statement: str, *values: object) -> None:
    """Alter the vault's file behind its back."""
    with closing(sqlite3.connect(vault.path)) as database, database:
        assert database.execute(statement, values).rowcount == 1


def test_secrets_at_rest_are_encrypted(home: Path) -> None:
    with Vault.create(home, PASSPHRASE) as made:
        device = made.enroll_sensor("cam", places.device_file("cam"))
        lock = sqlite3.connect(made.path).execute("SELECT stored_key, iterations, memory_kib, lanes FROM vault")
        assert lock.fetchone() == (None, 3, 65_536, 4)
    files = b"".join(path.read_bytes() for path in places.vault_folder().iterdir())
    assert device.kek not in files
    assert device.signer.private_bytes_raw() not in files
    assert device.kid.encode() in files


def test_argon2id_gives_the_answer_of_rfc_9106() -> None:
    known = Argon2id(salt=b"\2" * 16, length=32, iterations=3, lanes=4, memory_cost=32, ad=b"\4" * 12, secret=b"\3" * 8)
    assert known.derive(b"\1" * 32).hex() == "0d640df58d78766c08c037a34a8b53c9d01ef0452d75b65eb52520e96b01e659"
    same = Argon2id(salt=b"\2" * 16, length=32, iterations=2, lanes=1, memory_cost=64)
    assert vault_key.Argon2(b"\2" * 16, 2, 64, 1).derive(b"p") == same.derive(b"p")


@pytest.mark.parametrize("costs", [{"iterations": 0}, {"lanes": 1000}, {"memory_kib": 2**40}, {"salt": b""}])
def test_absurd_costs_are_refused(costs: dict) -> None:
    with pytest.raises(errors.VaultDamagedError, match="out of bounds"):
        vault_key.Argon2(**({"salt": bytes(16)} | costs))


def test_modes_are_private_under_any_umask(home: Path) -> None:
    old = os.umask(0)
    try:
        with Vault.create(home, None) as made:
            made.enroll_sensor("cam", places.device_file("cam"))
            files = sorted(path for path in home.rglob("*") if path.is_file())
            modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in files}
            folders = {stat.S_IMODE(path.stat().st_mode) for path in (home, *home.rglob("*")) if path.is_dir()}
    finally:
        os.umask(old)
    assert modes.pop("issuer.pub") == 0o644
    assert set(modes) == {"vault.db", "vault.db-wal", "vault.db-shm", "cam.json"}
    assert set(modes.values()) == {0o600}
    assert folders == {0o700}


def test_an_exposed_vault_is_refused(vault: Vault, home: Path) -> None:
    vault.path.chmod(0o640)
    with pytest.raises(errors.ExposedFileError, match="mode 0640"):
        Vault.open(home)


def test_swapped_records_are_refused(vault: Vault) -> None:
    vault.enroll_sensor("cam2", places.device_file("cam2"))
    for kind, name, other in (("sensor", "cam", "cam2"), ("host", "lab", "mobile")):
        change(
            vault,
            "UPDATE enrolled SET record = (SELECT record FROM enrolled WHERE kind = ?1 AND name = ?3) "
            "WHERE kind = ?1 AND name = ?2",
            kind,
            name,
            other,
        )
        with pytest.raises(errors.VaultDamagedError, match="the table enrolled of the vault"):
            vault.issue("cam" if kind == "sensor" else "cam2", replace(TERMS, hosts=(TERMS.hosts[0],)))


def test_a_swapped_issuer_is_refused(vault: Vault, home: Path) -> None:
    change(vault, "UPDATE vault SET issuer = ?", bytes(32))
    with Vault.open(home) as again, pytest.raises(errors.VaultDamagedError, match="issuer's key"):
        again.unlock(None)


def test_damaged_secrets_are_refused(vault: Vault, home: Path) -> None:
    change(vault, "UPDATE secrets SET record = ? WHERE label = 'issuer'", bytes(60))
    with Vault.open(home) as again, pytest.raises(errors.VaultDamagedError, match="record of issuer"):
        again.unlock(None)
    change(vault, "DELETE FROM secrets WHERE label = 'issuer'")
    with Vault.open(home) as again, pytest.raises(errors.VaultDamagedError, match="record of issuer"):
        again.unlock(None)
    change(vault, "UPDATE vault SET stored_key = ?", b"short")
    with Vault.open(home) as again, pytest.raises(errors.VaultDamagedError, match="stored key"):
        again.unlock(None)


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM vault",
        "UPDATE vault SET issuer = x'00'",
        "UPDATE vault SET issuer = 'text'",
        "UPDATE vault SET stored_key = NULL, salt = x'00000000000000000000000000000000'",
        "UPDATE vault SET stored_key = NULL, salt = 'sixteen letters.', iterations = 3, memory_kib = 64, lanes = 1",
    ],
)
def test_a_damaged_description_of_the_vault_is_refused(vault: Vault, home: Path, statement: str) -> None:
    change(vault, statement)
    with pytest.raises(errors.VaultDamagedError):
        use_all(home)


@pytest.mark.parametrize(
    ("keep", "words"), [(None, "not a whole vault"), (0, "is not a vault"), (0.5, "malformed|not a")]
)
def test_damaged_files_are_refused(vault: Vault, home: Path, keep: float | None, words: str) -> None:
    vault.close()
    good = vault.path.read_bytes()
    vault.path.write_bytes(b"junk" * 2000 if keep is None else good[: int(keep * len(good))])
    with pytest.raises(errors.VaultError, match=words):
        use_all(home)


def use_all(home: Path) -> None:
    """Touch every table of a home's vault."""
    with Vault.open(home) as vault:
        vault.sensors()
        vault.unlock(None)
        vault.issue("cam", TERMS)


@pytest.mark.parametrize(("schema", "words"), [(99, "schema 99; this program knows"), (1, "schema 1 of a pre-release")])
def test_other_schemas_are_refused(vault: Vault, home: Path, schema: int, words: str) -> None:
    with closing(sqlite3.connect(vault.path)) as database:
        database.execute(f"PRAGMA user_version = {schema}")
    with pytest.raises(errors.VaultSchemaError, match=words) as caught:
        Vault.open(home)
    assert caught.value.hint


def test_files_refer_to_epochs_and_epochs_to_enrolled_sensors(vault: Vault) -> None:
    for statement in (
        "INSERT INTO epochs VALUES ('dog', 1, 'x', 'staged', '{}', 0, 0, 0, 0, NULL, x'00')",
        "INSERT INTO files VALUES ('cam', 1, 1, 1, 1, '[]', 0, x'00')",
        "INSERT INTO counters (sensor) VALUES ('dog')",
    ):
        with pytest.raises(errors.VaultDamagedError, match="FOREIGN KEY"), vault_store.explained(vault.path):
            vault._connection.execute(statement)


def test_there_is_never_a_second_primary_epoch(vault: Vault) -> None:
    for _ in range(2):
        vault.issue("cam", TERMS)
    with pytest.raises(errors.VaultDamagedError, match="UNIQUE"), vault_store.explained(vault.path):
        vault._connection.execute("UPDATE epochs SET state = 'primary'")


def test_a_changed_epoch_is_refused(vault: Vault) -> None:
    for _ in range(2):
        vault.issue("cam", TERMS)
    change(vault, "UPDATE epochs SET record = (SELECT record FROM epochs WHERE epoch = 1) WHERE epoch = 2")
    with (
        vault.change() as changing,
        pytest.raises(errors.VaultDamagedError, match="the table epochs of the vault, at sensor cam"),
    ):
        sealing.rotate(changing, "cam", sealing.Rotation())


def test_the_passphrase_can_be_changed(vault: Vault, home: Path) -> None:
    vault.issue("cam", TERMS)
    with Vault.open(home) as other:
        other.unlock(None)
        vault.change_passphrase(PASSPHRASE)
        with pytest.raises(errors.PassphraseError, match="changed just now"):
            other.issue("cam", TERMS)
    assert vault.issue("cam", TERMS).grant.epoch == 2
    with Vault.open(home) as again:
        for wrong in (None, b"other"):
            with pytest.raises(errors.PassphraseError):
                again.unlock(wrong)
        again.unlock(PASSPHRASE)
        with again.change() as changing:
            assert sealing.rotate(changing, "cam", sealing.Rotation()).file.first == 3


def test_nothing_of_the_old_lock_stays_in_the_file(vault: Vault) -> None:
    stored = vault._connection.execute("SELECT stored_key FROM vault").fetchone()[0]
    vault.change_passphrase(PASSPHRASE)
    assert not [path for path in vault.path.parent.iterdir() if stored in path.read_bytes()]
