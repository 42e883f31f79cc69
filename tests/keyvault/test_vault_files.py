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

from keyvault import errors, places, vault_key, vault_store
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
        with pytest.raises(errors.VaultDamagedError, match=f"record of {kind} {name} was changed"):
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


def test_a_newer_schema_is_refused(vault: Vault, home: Path) -> None:
    with closing(sqlite3.connect(vault.path)) as database:
        database.execute("PRAGMA user_version = 99")
    with pytest.raises(errors.VaultError, match="schema 99"):
        Vault.open(home)


def test_grants_refer_to_enrolled_sensors(vault: Vault) -> None:
    with pytest.raises(errors.VaultDamagedError, match="FOREIGN KEY"), vault_store.explained(vault.path):
        vault._connection.execute(
            "INSERT INTO grants (sensor, epoch, key_id, issued, sealed) VALUES ('dog', 1, 'x', 0, x'00')"
        )
