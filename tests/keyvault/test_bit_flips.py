"""Every single flipped bit of a file of the key vault is refused, or is seen to be another file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fuzz_readers import PASSPHRASE, Reader, readers
from keyvault import backup, canonical, envelope, errors, places
from keyvault.device import Device
from keyvault.errors import AuthenticationError, InputError, PassphraseError, PrivcamError
from keyvault.files import PRIVATE_FILE
from keyvault.identity import thumbprint
from keyvault.mark_files import load
from keyvault.marks import ListMark
from keyvault.vault import Vault
from keyvault.vault_key import Argon2
from sealed_key_bench import NOW, Bench

BENCH = Bench.build()
READERS = readers(BENCH)
MARKS = ("SensorMark", "HostMark", "ListMark")
STRIDE, BACKUP_STRIDE = 11, 1009  # primes, so that every bit of a byte has its turn


def flips(data: bytes, stride: int = 1) -> Iterator[bytes]:
    """The data with bit 0, stride, 2 stride ... flipped."""
    for bit in range(0, 8 * len(data), stride):
        copy = bytearray(data)
        copy[bit // 8] ^= 1 << (bit % 8)
        yield bytes(copy)


def refused(read: Callable[[bytes], object], data: bytes, kinds: tuple[type[PrivcamError], ...]) -> bool:
    """Whether reading ends with an error of these kinds; any other error comes out."""
    try:
        read(data)
    except kinds:
        return True
    return False


def check_signed(name: str, number: int, stride: int) -> None:
    """Fail unless the flips of a good file are refused."""
    reader = READERS[name]
    assert reader.accepts(reader.seeds[number])
    for at, changed in enumerate(flips(reader.seeds[number], stride)):
        assert refused(reader.read, changed, (InputError, AuthenticationError)), f"bit {at * stride} does not matter"


def check_encryption(stride: int) -> None:
    """Fail unless flips are refused in a file that the vault signed in spite of them.

    The part of the host that does not open the file here may differ: the signature alone protects it.
    """
    header = READERS["protected header"]
    assert not any(header.accepts(changed) for changed in flips(header.seeds[0], stride))
    payload = READERS["payload"]
    others = 8 * payload.seeds[0].rindex(b'{"encrypted_key"')
    accepted = [at * stride for at, changed in enumerate(flips(payload.seeds[0], stride)) if payload.accepts(changed)]
    assert all(bit > others for bit in accepted)


def test_every_bit_of_a_sealed_key_for_a_sensor() -> None:
    check_signed("sealed key", 0, 1)


def test_bits_of_other_signed_files() -> None:
    check_signed("sealed key", 1, STRIDE)
    check_signed("status list", 0, 1)


def test_bits_of_the_encryption() -> None:
    check_encryption(STRIDE)


@pytest.mark.full
def test_every_bit_of_a_sealed_key_for_hosts() -> None:
    check_signed("sealed key", 1, 1)


@pytest.mark.full
def test_every_bit_of_the_encryption() -> None:
    check_encryption(1)


@pytest.mark.parametrize("name", MARKS)
def test_marks_are_refused_or_other_marks(name: str) -> None:
    """A mark is not authenticated: a flip gives an error or another mark, never the same one again."""
    reader = READERS[name]
    good = reader.read(reader.seeds[0])
    for at, changed in enumerate(flips(reader.seeds[0])):
        try:
            other = reader.read(changed)
        except InputError:
            continue
        assert other != good, f"bit {at} does not matter"
        assert canonical.dumps(other.to_json()) == changed


def test_a_flipped_mark_on_disk_is_damaged_or_lower_or_higher(tmp_path: Path) -> None:
    issuer = thumbprint(BENCH.issuer.public_key())
    path = tmp_path / ListMark(issuer).file_name
    good = canonical.dumps(ListMark(issuer, 9).to_json())
    refusals = 0
    for changed in flips(good):
        path.write_bytes(changed)
        path.chmod(PRIVATE_FILE)
        try:
            assert load(tmp_path, ListMark(issuer)).number != 9
        except errors.MarkError:
            refusals += 1
    assert refusals > 0.99 * 8 * len(good)


def test_device_files_are_refused_or_open_nothing() -> None:
    """A device file is not authenticated: a flip that leaves it well formed has another name or other keys."""
    sealed = envelope.verify(BENCH.seal(), BENCH.issuer.public_key())
    good = BENCH.device.to_bytes()
    for at, changed in enumerate(flips(good)):
        try:
            device = Device.from_bytes(changed)
        except errors.DeviceFileError:
            continue
        assert device.to_bytes() == changed
        if device.sensor != BENCH.device.sensor:
            continue  # its keys are the sensor's, and it is found under another name
        kinds = (errors.UnsealError, errors.WrongDeviceError, errors.UnknownIssuerError)
        assert refused(lambda _, own=device: sealed.open_as_sensor(own, NOW), b"", kinds), f"bit {at} does not matter"


@pytest.fixture
def kept(home: Path, monkeypatch: pytest.MonkeyPatch) -> bytes:
    """The backup of a vault, under a passphrase that is cheap to derive from."""
    cheap = Argon2(bytes(16), 1, 8, 1)
    monkeypatch.setattr(backup, "Argon2", lambda *costs: Argon2(*costs) if len(costs) > 1 else cheap)
    with Vault.create(home, None) as vault:
        vault.enroll_sensor("cam", places.device_file("cam", home))
        return backup.make(vault, PASSPHRASE)


def flipped_backups(data: bytes, stride: int) -> int:
    """How many flips of a backup were tried; all of them are refused."""
    reader: Reader = READERS["backup"]
    assert reader.accepts(data)
    start, tried = data.index(b"\n") + 1, 0
    for changed in flips(data[:start]):
        kinds = (errors.BackupFormatError, errors.BackupDamagedError, PassphraseError)
        assert refused(reader.read, changed + data[start:], kinds)
        tried += 1
    for changed in flips(data[start:], stride):
        assert refused(reader.read, data[:start] + changed, (errors.BackupDamagedError,))
        tried += 1
    return tried


def test_backups(kept: bytes) -> None:
    assert flipped_backups(kept, BACKUP_STRIDE) > 2000


@pytest.mark.full
def test_every_bit_of_a_backup(kept: bytes) -> None:
    assert flipped_backups(kept, 1) == 8 * len(kept)
