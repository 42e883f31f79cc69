"""Backups: what is lost with a vault comes back from one, and from nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from parties import TERMS, host_key, small_vault

from keyvault import audit, backup, errors, places, sealing, vault_key
from keyvault.device import Device
from keyvault.envelope import verify
from keyvault.vault import Vault

WORD = b"kept elsewhere"


@pytest.fixture
def vault(home: Path) -> Iterator[Vault]:
    """An unlocked vault, with epochs 1 and 2 of cam."""
    with small_vault(home) as made:
        made.issue("cam", TERMS)
        rotate(made)
        yield made


def rotate(vault: Vault) -> bytes:
    with vault.change() as change:
        return sealing.rotate(change, "cam", sealing.Rotation(valid_for=86_400)).file.data


def test_a_lost_vault_comes_back_with_all_its_keys(vault: Vault, home: Path, tmp_path: Path) -> None:
    vault.change_passphrase(b"forgotten")
    file = tmp_path / "backup"
    file.write_bytes(backup.make(vault, WORD))
    lost = rotate(vault)  # after the backup
    before = {number: vault.issued("cam", number) for number in (1, 2)}
    device = Device.load(places.device_file("cam"))
    vault.close()
    for path in vault.path.parent.iterdir():
        path.unlink()
    places.issuer_file(home).unlink()
    with backup.recover(home, file, WORD, b"new word") as again:
        assert {number: again.issued("cam", number) for number in (1, 2)} == before
        assert again.lock.kind
        fresh = verify(rotate(again), again.issuer)
        assert (fresh.grant.epoch, fresh.grant.serial) == (1003, 1003)
        keys = {fresh.open_as_sensor(device).epoch_key}
        for data in (before[2].data, lost):
            keys |= {one.epoch_key for one in verify(data, again.issuer).open_as_host(host_key("lab"))}
        assert len(keys) == 3
    with Vault.open(home) as opened:
        with pytest.raises(errors.PassphraseError):
            opened.unlock(b"forgotten")
        opened.unlock(b"new word")
        assert verify(rotate(opened), opened.issuer).grant.epoch == 1004


def test_a_backup_says_nothing_without_its_passphrase(vault: Vault, home: Path, tmp_path: Path) -> None:
    stored = vault._connection.execute("SELECT stored_key FROM vault").fetchone()[0]
    data = backup.make(vault, WORD)
    header, _, sealed = data.partition(b"\n")
    members = json.loads(header)
    assert members["argon2id"].items() >= {"iterations": 3, "lanes": 4, "memory_kib": 65_536}.items()
    for secret in (stored, b"SQLite", b"cam", b"lab", vault.file("cam").data[:40]):
        assert secret not in sealed
    assert backup.make(vault, WORD) != data


def test_the_vault_itself_stays_as_it_was(vault: Vault) -> None:
    backup.make(vault, WORD)
    assert not vault.lock.kind
    assert verify(rotate(vault), vault.issuer).grant.epoch == 3


def test_a_home_that_trusts_the_lost_vault_takes_it_back(vault: Vault, home: Path, tmp_path: Path) -> None:
    file = tmp_path / "backup"
    file.write_bytes(backup.make(vault, WORD))
    vault.close()
    for path in places.vault_folder(home).iterdir():
        path.unlink()
    with backup.recover(home, file, WORD, None) as again, again.reading() as database:
        (newest,) = audit.listed(database, 1)
        assert (newest.operation, newest.detail) == ("recover", {"protected": False, "skipped": backup.LOST})
        assert audit.verify(database, again.issuer).seq == newest.seq


def test_it_is_recovered_into_an_empty_home_only(vault: Vault, home: Path, tmp_path: Path) -> None:
    file = tmp_path / "backup"
    file.write_bytes(backup.make(vault, WORD))
    with pytest.raises(errors.VaultExistsError):
        backup.recover(home, file, WORD, None)
    other = tmp_path / "other"
    with pytest.raises(errors.PassphraseError, match="wrong passphrase for backup"):
        backup.recover(other, file, b"guess", None)
    assert not other.exists()
    with backup.recover(other, file, WORD, None) as recovered:
        assert [entry.name for entry in recovered.sensors()] == ["cam"]


@pytest.fixture
def small_backup(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> bytes:
    """A backup whose passphrase is cheap to derive from."""
    cheap = vault_key.Argon2(bytes(16), 1, 64, 1)
    monkeypatch.setattr(backup, "Argon2", lambda *costs: vault_key.Argon2(*costs) if len(costs) > 1 else cheap)
    return backup.make(vault, WORD)


def test_changed_backups_are_refused(small_backup: bytes, tmp_path: Path) -> None:
    start = small_backup.index(b"\n") + 1

    @settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(st.one_of(st.integers(0, 8 * start - 1), st.integers(8 * start, 8 * len(small_backup) - 1)))
    def check(bit: int) -> None:
        changed = bytearray(small_backup)
        changed[bit // 8] ^= 1 << (bit % 8)
        (tmp_path / "changed").write_bytes(changed)
        refusals = (errors.BackupFormatError, errors.BackupDamagedError, errors.PassphraseError)
        with pytest.raises(refusals if bit < 8 * start else errors.BackupDamagedError):
            backup.recover(tmp_path / "home2", tmp_path / "changed", WORD, None)
        assert not (tmp_path / "home2").exists()

    check()


@pytest.mark.parametrize("keep", [0, 1, 10, 260, -1, -20])
def test_backups_that_were_cut_short_are_refused(small_backup: bytes, tmp_path: Path, keep: int) -> None:
    (tmp_path / "cut").write_bytes(small_backup[:keep])
    with pytest.raises((errors.BackupFormatError, errors.BackupDamagedError)) as caught:
        backup.recover(tmp_path / "home2", tmp_path / "cut", WORD, None)
    assert caught.value.hint


@pytest.mark.parametrize("change", [{"v": 2}, {"typ": "other"}, {"more": 1}, {"iv": "AA"}, {"argon2id": {}}])
def test_other_headers_are_refused(small_backup: bytes, tmp_path: Path, change: dict) -> None:
    header, _, rest = small_backup.partition(b"\n")
    changed = json.dumps(json.loads(header) | change, sort_keys=True, separators=(",", ":")).encode()
    (tmp_path / "other").write_bytes(changed + b"\n" + rest)
    with pytest.raises(errors.BackupFormatError, match="is not a backup of a vault"):
        backup.recover(tmp_path / "home2", tmp_path / "other", WORD, None)
