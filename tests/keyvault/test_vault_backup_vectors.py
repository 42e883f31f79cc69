"""The vectors of backups: one is recovered with all that is in it, every other one is refused as it says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import make_vault_backup_vectors
from keyvault import backup, errors, places
from keyvault.errors import PrivcamError

FOLDER = make_vault_backup_vectors.FOLDER
FILES = sorted((FOLDER / "refused").glob("*.json"))


def test_the_generator_writes_what_is_there() -> None:
    made = make_vault_backup_vectors.files()
    assert set(made) == {f"refused/{path.name}" for path in FILES}
    for name, text in made.items():
        assert (FOLDER / name).read_bytes() == text.encode(), name


def test_the_good_one_is_recovered(tmp_path: Path) -> None:
    expected = json.loads((FOLDER / "vault.json").read_text())
    home = tmp_path / "recovered"
    with backup.recover(home, FOLDER / "vault.bin", expected["passphrase"].encode(), b"new") as vault:
        assert vault.issuer.public_bytes_raw().hex() == expected["issuer"]
        assert [entry.name for entry in vault.sensors()] == expected["sensors"]
        assert [entry.name for entry in vault.hosts()] == expected["hosts"]
    assert places.issuer_file(home).exists()


def test_our_reader_takes_what_the_specification_writes() -> None:
    data = make_vault_backup_vectors.write(b"small")
    assert backup.decrypt(data, Path("it"), make_vault_backup_vectors.PASSPHRASE.encode()) == b"small"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_refusals(path: Path, tmp_path: Path) -> None:
    vector = json.loads(path.read_text())
    file, home = tmp_path / "backup", tmp_path / "recovered"
    file.write_bytes(bytes.fromhex(vector["backup"]))
    with pytest.raises(PrivcamError) as refusal:
        backup.recover(home, file, vector["passphrase"].encode(), None)
    assert type(refusal.value) is getattr(errors, vector["error"])
    assert refusal.value.hint
    assert not home.exists()


def test_there_are_vectors_of_every_refusal() -> None:
    found = {json.loads(path.read_text())["error"] for path in FILES}
    expected = {"BackupFormatError", "PassphraseError", "BackupDamagedError", "VaultDamagedError", "VaultSchemaError"}
    assert found == expected
