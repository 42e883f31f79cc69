"""Device files and places: strict, private, and where everybody looks for them."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from parties import DEVICE, ISSUER, VECTORS

from keyvault import canonical, places
from keyvault.device import MAX_DEVICE_FILE, Device
from keyvault.errors import DeviceFileError, ExposedFileError, InputError, OutputError
from keyvault.identity import thumbprint
from keyvault.secret_files import make_private_folders, read_secret, write_secret


@pytest.fixture
def no_umask() -> Iterator[None]:
    """Files get exactly the modes they are made with."""
    old = os.umask(0)
    yield
    os.umask(old)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_device_survives_its_file(tmp_path: Path, no_umask: None) -> None:
    path = tmp_path / "new" / "folders" / "cam.json"
    DEVICE.save(path)
    assert mode(path) == 0o600
    assert mode(path.parent) == mode(path.parent.parent) == 0o700
    loaded = Device.load(path)
    assert (loaded.sensor, loaded.kek, loaded.kid) == (DEVICE.sensor, DEVICE.kek, DEVICE.kid)
    assert loaded.signer.private_bytes_raw() == DEVICE.signer.private_bytes_raw()
    assert loaded.issuer == DEVICE.issuer
    with pytest.raises(OutputError, match="exists"):
        Device.create("cam", ISSUER.public_key()).save(path)
    assert Device.load(path).kek == DEVICE.kek


def test_the_vector_is_reproduced() -> None:
    data = (VECTORS / "device.json").read_bytes()
    assert Device.from_bytes(data).to_bytes() == data


def test_new_devices_have_keys_of_their_own() -> None:
    first, second = (Device.create("cam", ISSUER.public_key()) for _ in range(2))
    assert first.kek != second.kek
    assert first.kid != second.kid == thumbprint(second.signer.public_key())
    assert first.kek.hex() not in repr(first)
    assert canonical.b64url(first.kek) not in repr(first)


@pytest.mark.parametrize("bits", [0o640, 0o604, 0o610, 0o666])
def test_an_exposed_device_file_is_refused(tmp_path: Path, bits: int) -> None:
    path = tmp_path / "cam.json"
    DEVICE.save(path)
    path.chmod(bits)
    with pytest.raises(ExposedFileError, match=f"mode {bits:04o}") as caught:
        Device.load(path)
    assert f"chmod 600 {path}" in caught.value.hint


def test_a_device_file_of_another_user_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "cam.json"
    DEVICE.save(path)
    try:
        os.chown(path, 12_345, -1)
    except PermissionError:
        pytest.skip("only root can give files away")
    with pytest.raises(ExposedFileError, match="belongs to user 12345"):
        Device.load(path)


@pytest.mark.parametrize(
    "changes",
    [
        {"typ": "other"},
        {"v": 2},
        {"v": True},
        {"sensor": "../cam"},
        {"sensor": 7},
        {"kek": {"k": "AAAA", "kty": "oct"}},
        {"kek": {"k": canonical.b64url(bytes(32)), "kty": "RSA"}},
        {"kek": None},
        {"signer": {}},
        {"issuer": {"crv": "Ed25519", "kty": "OKP", "x": "AA"}},
        {"extra": 1},
    ],
)
def test_other_members_are_refused(changes: dict) -> None:
    data = canonical.dumps(json.loads(DEVICE.to_bytes()) | changes)
    with pytest.raises(DeviceFileError, match="not a device file") as caught:
        Device.from_bytes(data)
    assert caught.value.hint


def test_keys_that_do_not_belong_together_are_refused() -> None:
    value = json.loads(DEVICE.to_bytes())
    value["signer"]["x"] = canonical.b64url(Ed25519PrivateKey.generate().public_key().public_bytes_raw())
    with pytest.raises(DeviceFileError, match="do not belong together"):
        Device.from_bytes(canonical.dumps(value))


def test_every_flipped_bit_of_a_device_file_is_refused_or_changes_a_key() -> None:
    data = DEVICE.to_bytes()
    accepted = 0
    for bit in range(8 * len(data)):
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << (bit % 8)
        try:
            other = Device.from_bytes(bytes(changed))
        except DeviceFileError:
            continue
        accepted += 1
        assert other.to_bytes() == bytes(changed) != data
    assert accepted < 8 * len(data) // 4


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b"null", b"\xff", b'{"sensor":', b"-----BEGIN PRIVATE KEY-----"])
def test_other_files_are_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "cam.json"
    write_secret(path, data)
    with pytest.raises(DeviceFileError, match=r"cam\.json: not a device file"):
        Device.load(path)


def test_device_files_are_bounded_and_must_exist(tmp_path: Path) -> None:
    path = tmp_path / "cam.json"
    write_secret(path, b" " * (MAX_DEVICE_FILE + 1))
    with pytest.raises(InputError, match="too large"):
        Device.load(path)
    with pytest.raises(InputError, match="cannot read device file"):
        Device.load(tmp_path / "none.json")


def test_private_folders(tmp_path: Path, no_umask: None) -> None:
    open_folder = tmp_path / "open"
    open_folder.mkdir(0o755)
    make_private_folders(open_folder / "a" / "b")
    assert mode(open_folder) == 0o755
    assert mode(open_folder / "a") == mode(open_folder / "a" / "b") == 0o700
    (open_folder / "file").write_bytes(b"")
    with pytest.raises(OutputError, match="cannot make folder"):
        make_private_folders(open_folder / "file" / "below")


def test_a_secret_is_private_whatever_the_umask(tmp_path: Path, no_umask: None) -> None:
    write_secret(tmp_path / "secret", b"x")
    assert mode(tmp_path / "secret") == 0o600
    assert read_secret(tmp_path / "secret", 1, "secret") == b"x"


def test_places(home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert places.home() == home
    assert places.vault_file() == home / "vault" / "vault.db"
    assert places.device_file("cam") == home / "devices" / "cam.json"
    assert places.host_key_file() == home / "host.pem"
    assert places.public_half(places.host_key_file()) == home / "host.pub"
    assert places.issuer_file(tmp_path) == tmp_path / "issuer.pub"
    with pytest.raises(InputError, match="cannot be the name"):
        places.device_file("../cam")
    monkeypatch.setenv("PRIVCAM_HOME", "")
    assert places.home().name == "privcam"
    monkeypatch.setenv("PRIVCAM_HOME", "~/keys")
    assert places.home() == Path.home() / "keys"
