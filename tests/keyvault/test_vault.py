"""The vault: secrets at rest, enrolment, epochs that are never lost or repeated."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from parties import ISSUER, NOW, TERMS, host_key, small_vault, stranger

from keyvault import errors, issuing, places, vault_store
from keyvault.device import Device
from keyvault.envelope import verify
from keyvault.hosts import load_issuer
from keyvault.issuing import Terms
from keyvault.vault import Vault

PASSPHRASE = b"correct horse"


@pytest.fixture
def vault(home: Path) -> Iterator[Vault]:
    """An unlocked vault."""
    with small_vault(home) as made:
        yield made


def test_what_it_issues_opens(vault: Vault, home: Path) -> None:
    issued = vault.issue("cam", TERMS)
    issuer = load_issuer(places.issuer_file())
    sealed = verify(issued.data, issuer)
    assert sealed.grant == issued.grant
    keys = [
        sealed.open_as_sensor(Device.load(places.device_file("cam")), NOW).epoch_key,
        sealed.open_as_host(host_key("mobile"), NOW)[0].epoch_key,
    ]
    assert keys[0] == keys[1]
    second = vault.issue("cam", replace(TERMS, hosts=("lab",)))
    assert (issued.grant.epoch, second.grant.epoch) == (1, 2)
    (opened,) = verify(second.data, issuer).open_as_host(host_key("lab"), NOW)
    assert opened.epoch_key != keys[0]
    with pytest.raises(errors.WrongHostError):
        verify(second.data, issuer).open_as_host(host_key("mobile"), NOW)
    assert vault.issued("cam") == second
    assert vault.issued("CAM", 1) == issued


def test_epochs_are_counted_per_sensor(vault: Vault) -> None:
    vault.enroll_sensor("cam2", places.device_file("cam2"))
    first, second = vault.issue("cam", TERMS), vault.issue("cam2", TERMS)
    assert first.grant.epoch == second.grant.epoch == 1
    assert first.grant.commitment != second.grant.commitment
    assert [(entry.name, entry.epoch) for entry in vault.sensors()] == [("cam", 1), ("cam2", 1)]
    assert [entry.name for entry in vault.hosts()] == ["lab", "mobile"]


def test_it_opens_again_with_its_passphrase_only(home: Path) -> None:
    with Vault.create(home, PASSPHRASE) as made:
        made.enroll_sensor("cam", places.device_file("cam"))
    with Vault.open(home) as again:
        assert again.lock.kind
        assert [entry.name for entry in again.sensors()] == ["cam"]
        for wrong, words in ((None, "protected by a passphrase"), (b"wrong", "wrong passphrase")):
            with pytest.raises(errors.PassphraseError, match=words):
                again.unlock(wrong)
        with pytest.raises(errors.PassphraseError, match="locked"):
            again.enroll_host("lab", host_key("lab").public_key())
        again.unlock(PASSPHRASE)
        again.enroll_host("lab", host_key("lab").public_key())
        assert again.issue("cam", replace(TERMS, hosts=("lab",))).grant.epoch == 1


def test_a_vault_without_passphrase_takes_none(vault: Vault) -> None:
    assert not vault.lock.kind
    with pytest.raises(errors.PassphraseError, match="has no passphrase"):
        vault.unlock(PASSPHRASE)


def test_one_vault_a_home(vault: Vault, home: Path, tmp_path: Path) -> None:
    with pytest.raises(errors.VaultExistsError, match="already"):
        Vault.create(home, None)
    other = tmp_path / "host-only"
    other.mkdir()
    places.issuer_file(other).write_bytes(places.issuer_file(home).read_bytes())
    with pytest.raises(errors.OutputError, match="trusts another vault"):
        Vault.create(other, None)
    with pytest.raises(errors.VaultMissingError, match="no vault at"):
        Vault.open(other)


def test_names_and_keys_are_enrolled_once(vault: Vault) -> None:
    with pytest.raises(errors.NameTakenError, match="sensor named Cam"):
        vault.enroll_sensor("Cam", places.device_file("Cam"))
    assert not places.device_file("Cam").exists()
    with pytest.raises(errors.NameTakenError, match="host named lab"):
        vault.enroll_host("lab", stranger().public_key())
    with pytest.raises(errors.NameTakenError, match="enrolled already, as host lab"):
        vault.enroll_host("lab2", host_key("lab").public_key())
    with pytest.raises(errors.InputError, match="cannot be the name of a host"):
        vault.enroll_host("lab/2", stranger().public_key())
    with pytest.raises(errors.InputError, match="cannot be the name of a sensor"):
        vault.enroll_sensor("", Path("x"))
    weak = rsa.generate_private_key(65537, 2048).public_key()
    with pytest.raises(errors.WeakKeyError):
        vault.enroll_host("weak", weak)


def test_a_locked_vault_writes_no_device_file(home: Path) -> None:
    Vault.create(home, None).close()
    with Vault.open(home) as locked, pytest.raises(errors.PassphraseError, match="locked"):
        locked.enroll_sensor("cam", places.device_file("cam"))
    assert not places.device_file("cam").exists()


def test_an_interrupted_enrolment_is_taken_up(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    path = places.device_file("cam2")
    monkeypatch.setattr("keyvault.registry.add_sensor", interrupt)
    with pytest.raises(KeyboardInterrupt):
        vault.enroll_sensor("cam2", path)
    monkeypatch.undo()
    left = Device.load(path)
    assert [entry.name for entry in vault.sensors()] == ["cam"]
    assert vault.enroll_sensor("cam2", path).kek == left.kek
    assert verify(vault.issue("cam2", TERMS).data, vault.issuer).open_as_sensor(left, NOW)


def interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def test_the_device_file_of_another_enrolment_is_kept(vault: Vault, tmp_path: Path) -> None:
    path = tmp_path / "cam3.json"
    Device.create("cam3", ISSUER.public_key()).save(path)
    before = path.read_bytes()
    with pytest.raises(errors.OutputError, match="another enrolment"):
        vault.enroll_sensor("cam3", path)
    with pytest.raises(errors.OutputError, match="sensor cam"):
        vault.enroll_sensor("cam4", places.device_file("cam"))
    assert path.read_bytes() == before


def test_unknown_names_are_answered_with_the_known_ones(vault: Vault) -> None:
    with pytest.raises(errors.UnknownNameError, match=r"no sensor named dog is enrolled \(enrolled: cam\)"):
        vault.issue("dog", TERMS)
    with pytest.raises(errors.UnknownNameError, match=r"no host named dog is enrolled \(enrolled: lab, mobile\)"):
        vault.issue("cam", replace(TERMS, hosts=("lab", "dog")))
    with pytest.raises(errors.UnknownNameError, match="no sensor named dog"):
        vault.issued("dog")
    with pytest.raises(errors.UnknownNameError, match="no epochs"):
        vault.issued("cam")
    vault.issue("cam", TERMS)
    with pytest.raises(errors.UnknownNameError, match="no epoch 2; the newest is 1"):
        vault.issued("cam", 2)


@pytest.mark.parametrize(
    ("terms", "words"),
    [
        (replace(TERMS, hosts=("lab", "LAB")), "same name"),
        (replace(TERMS, not_after=TERMS.not_before - 1), "before it begins"),
        (replace(TERMS, not_before=-1), "not_before"),
    ],
)
def test_terms_that_contradict_themselves_cost_no_epoch(vault: Vault, terms: Terms, words: str) -> None:
    with pytest.raises(errors.InputError, match=words):
        vault.issue("cam", terms)
    assert vault.issue("cam", TERMS).grant.epoch == 1


@pytest.mark.parametrize("place", ["sqlite3 COMMIT", "after"])
def test_a_killed_issue_loses_no_epoch(vault: Vault, home: Path, place: str) -> None:
    """A process that dies before COMMIT has issued nothing; one that dies after it has issued one."""
    program = f"""
import os, sys
from keyvault import vault as module, vault_store
from parties import TERMS
vault = module.Vault.open(module.places.home())
vault.unlock(None)
if {place!r} == "sqlite3 COMMIT":
    class Dying:
        def __init__(self, inner): self.inner = inner
        def __getattr__(self, name): return getattr(self.inner, name)
        def execute(self, statement, *values):
            if statement == "COMMIT": os._exit(9)
            return self.inner.execute(statement, *values)
    vault._connection = Dying(vault._connection)
vault.issue("cam", TERMS)
os._exit(9)
"""
    folders = os.pathsep.join((str(Path(__file__).parent), str(Path(__file__).parents[2])))
    environment = os.environ | {"PYTHONPATH": folders}
    done = subprocess.run([sys.executable, "-c", program], env=environment, check=False)
    assert done.returncode == 9
    expected = 1 if place == "after" else 0
    assert [entry.epoch for entry in vault.sensors()] == [expected]
    if expected:
        kept = vault.issued("cam")
        assert verify(kept.data, vault.issuer).open_as_host(host_key("lab"), NOW)[0].epoch_key
    assert vault.issue("cam", TERMS).grant.epoch == expected + 1


def test_issues_at_the_same_time_get_different_epochs(
    vault: Vault, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both callers are inside issue() together; the second waits for the first."""
    seal = issuing.seal_delivery

    def slowly(*args: object) -> issuing.Issued:
        time.sleep(0.1)
        return seal(*args)

    def issue(_: int) -> int:
        with Vault.open(home) as own:
            own.unlock(None)
            return own.issue("cam", TERMS).grant.epoch

    monkeypatch.setattr("keyvault.change.seal_delivery", slowly)
    with ThreadPoolExecutor(3) as pool:
        assert sorted(pool.map(issue, range(3))) == [1, 2, 3]


def test_a_busy_vault_says_so(vault: Vault, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vault_store, "_BUSY_SECONDS", 0.05)
    with Vault.open(home) as other, closing(sqlite3.connect(vault.path)) as holder:
        other.unlock(None)
        holder.execute("BEGIN IMMEDIATE")
        with pytest.raises(errors.VaultBusyError, match="another process has held"):
            other.issue("cam", TERMS)
        holder.execute("ROLLBACK")
        assert other.issue("cam", TERMS).grant.epoch == 1


def test_an_interrupted_creation_leaves_no_vault(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("link", "fsync"):
        with monkeypatch.context() as patch:
            patch.setattr(os, name, interrupt)
            with pytest.raises(KeyboardInterrupt):
                Vault.create(home, None)
        assert [path for path in home.rglob("*") if path.is_file()] == []
    Vault.create(home, None).close()


def test_an_issuer_file_is_written_again(vault: Vault, home: Path) -> None:
    path = places.issuer_file(home)
    before = path.read_bytes()
    path.unlink()
    vault.restore_issuer_file(home)
    assert path.read_bytes() == before
    assert load_issuer(path) == vault.issuer
