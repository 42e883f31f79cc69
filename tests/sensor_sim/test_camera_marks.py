"""What a camera remembers of its keys, and the status list that it honours."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from camera_kit import DAY, ISSUER, device, enrol, seal
from click.testing import CliRunner
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from keyvault.envelope import read_sealed
from keyvault.errors import (
    AuthenticationError,
    DisabledKeyError,
    EpochRollbackError,
    ExpiredGrantError,
    MarkError,
    NotYetValidError,
    OutputError,
    PrivcamError,
    RevokedError,
    SerialRollbackError,
    StatusClockError,
    StatusExpiredError,
    StatusMissingError,
    StatusRollbackError,
    UnknownIssuerError,
)
from keyvault.identity import thumbprint
from keyvault.mark_files import load
from keyvault.marks import SensorMark
from keyvault.policy import Policy
from keyvault.status_list import StatusList, sign
from sensor_sim import Camera
from sensor_sim.cli import sensor_sim
from sensor_sim.keys import open_newest

POLICY = Policy(32, 24)
OTHER_VAULT = Ed25519PrivateKey.from_private_bytes(b"o" * 32)
FRESH = SensorMark(thumbprint(ISSUER.public_key()), "cam")


@pytest.fixture
def devices(home: Path) -> Path:
    """The folder of an enrolled sensor that has used no key."""
    return enrol(home).parent


def publish(path: Path, number: int = 1, age: int = 0, issuer: Ed25519PrivateKey = ISSUER, **names: object) -> Path:
    """Write a status list of some seconds ago."""
    issued = int(time.time()) - age
    status = StatusList(thumbprint(issuer.public_key()), number, issued, issued + DAY, **names)  # type: ignore[arg-type]
    path.write_bytes(sign(status, issuer))
    return path


def test_a_key_that_is_used_is_remembered_beside_the_device_file(tmp_path: Path, devices: Path) -> None:
    key = seal(tmp_path / "a.bin", POLICY, epoch=4, serial=9, min_epoch=2)
    with Camera(key) as camera:
        used = camera.grant
    expected = SensorMark(used.issuer, "cam", 4, used.key_id, 9, 2)
    assert load(devices, FRESH) == expected
    assert (devices / FRESH.file_name).stat().st_mode & 0o777 == 0o600
    shutil.copy(devices / "cam.json", tmp_path / "copy.json")
    for again in (None, devices / "cam.json", str(devices / "cam.json"), device(), tmp_path / "copy.json"):
        with Camera(key, device=again) as camera:
            assert camera.grant.epoch == 4
    assert load(devices, FRESH) == load(tmp_path, FRESH) == expected


def test_two_names_of_one_device_file_share_its_mark(tmp_path: Path, devices: Path) -> None:
    new, old = seal(tmp_path / "new.bin", POLICY, epoch=2), seal(tmp_path / "old.bin", POLICY)
    (tmp_path / "link.json").symlink_to(devices / "cam.json")
    open_newest(new)
    for alias in (tmp_path / "link.json", device()):
        with pytest.raises(EpochRollbackError):
            open_newest(old, alias)


def test_an_older_key_is_refused_and_a_newer_one_is_not(tmp_path: Path, devices: Path) -> None:
    older = seal(tmp_path / "1.bin", POLICY, epoch=1, serial=1)
    first = seal(tmp_path / "2.bin", POLICY, epoch=2, serial=2)
    second = seal(tmp_path / "3.bin", POLICY, epoch=2, serial=3)
    newest = seal(tmp_path / "4.bin", POLICY, epoch=3, serial=4)
    open_newest(second)
    with pytest.raises(SerialRollbackError, match="serial 3, was used here"):
        open_newest(first)
    with pytest.raises(EpochRollbackError, match="epoch 1 of sensor cam is older than epoch 2"):
        open_newest(older)
    assert open_newest([older, first, second])[0].grant.serial == 3
    assert open_newest(newest)[0].grant.epoch == 3


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"days": (1, 2)}, NotYetValidError),
        ({"days": (-2, -1)}, ExpiredGrantError),
        ({"issuer": OTHER_VAULT}, UnknownIssuerError),
        ({"owner": device("cam", 2)}, PrivcamError),
        ({"status_max_age": 60}, StatusMissingError),
    ],
)
def test_a_key_that_does_not_open_moves_no_mark(
    tmp_path: Path, devices: Path, changes: dict[str, object], error: type[Exception]
) -> None:
    key = seal(tmp_path / "a.bin", POLICY)
    open_newest(key)
    before = load(devices, FRESH)
    later = seal(tmp_path / "b.bin", POLICY, epoch=2**32 - 1, serial=2**53 - 1, min_epoch=2**32 - 1, **changes)  # type: ignore[arg-type]
    with pytest.raises(error):
        open_newest(later)
    read_sealed(key, ISSUER.public_key()).open_as_sensor(device())  # nor does opening without files
    assert load(devices, FRESH) == before
    open_newest(key)


def test_a_changed_key_moves_no_mark(tmp_path: Path, devices: Path) -> None:
    path = seal(tmp_path / "a.bin", POLICY, epoch=9)
    data = path.read_bytes()
    path.write_bytes(data[:-5] + (b"B" if data[-5:-4] == b"A" else b"A") + data[-4:])
    with pytest.raises(AuthenticationError):
        open_newest(path)
    assert {file.name for file in devices.iterdir()} == {"cam.json"}


def test_a_damaged_mark_stops_the_camera(tmp_path: Path, devices: Path) -> None:
    key = seal(tmp_path / "a.bin", POLICY)
    open_newest(key)
    path = devices / FRESH.file_name
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(MarkError, match="is damaged"):
        open_newest(key)
    path.unlink()  # which is what the hint says
    open_newest(key)


def test_a_camera_that_cannot_remember_does_not_start(tmp_path: Path, home: Path) -> None:
    home.write_text("no folder")
    with pytest.raises(OutputError, match="high-water marks cannot be kept"):
        open_newest(seal(tmp_path / "a.bin", POLICY), device())


CAPTURE = "import sys; from sensor_sim.keys import open_newest; print(open_newest(sys.argv[1])[0].grant.epoch)"


def test_two_cameras_of_one_sensor_share_the_mark(tmp_path: Path, devices: Path) -> None:
    keys = [seal(tmp_path / f"{epoch}.bin", POLICY, epoch=epoch) for epoch in (1, 2, 3)]
    runs = [subprocess.Popen([sys.executable, "-c", CAPTURE, key], stderr=subprocess.PIPE) for key in keys]
    said = [run.communicate()[1].decode() for run in runs]
    assert runs[2].returncode == 0, said[2]
    for run, text in zip(runs[:2], said, strict=False):
        assert run.returncode == 0 or "EpochRollbackError" in text
    assert load(devices, FRESH).epoch == 3


def test_a_list_in_the_home_is_honoured(tmp_path: Path, home: Path, devices: Path) -> None:
    keys = [seal(tmp_path / f"{epoch}.bin", POLICY, epoch=epoch) for epoch in (1, 2)]
    ids = [read_sealed(key, ISSUER.public_key()).grant.key_id for key in keys]
    publish(home / "status.jws", disabled=frozenset(ids[1:]))
    assert open_newest(keys)[0].grant.epoch == 1  # the newest that is not disabled
    with pytest.raises(DisabledKeyError, match="epoch 2 of sensor cam"):
        open_newest(keys[1])
    publish(home / "status.jws", 2, sensors={device().kid: "cam"})
    with pytest.raises(RevokedError, match="sensor cam"):
        open_newest(keys)
    publish(home / "status.jws", 1)
    with pytest.raises(StatusRollbackError):
        open_newest(keys)
    publish(home / "status.jws", 3, issuer=OTHER_VAULT)  # says nothing of this sensor, whose own list was used
    with pytest.raises(StatusMissingError, match="status list 2 of vault"):
        open_newest(keys)
    publish(home / "status.jws", 3)
    assert open_newest(keys)[0].grant.epoch == 2


def test_an_offline_camera_works_until_its_list_is_too_old(tmp_path: Path, home: Path, devices: Path) -> None:
    key = seal(tmp_path / "a.bin", POLICY, status_max_age=3 * DAY)
    with pytest.raises(StatusMissingError, match="there is none"):
        open_newest(key)
    place = tmp_path / "given.jws"
    publish(place, 1, age=2 * DAY)  # its next update is overdue
    assert open_newest(key, status=place)[0].grant.epoch == 1
    publish(place, 2, age=3 * DAY + 60)
    with pytest.raises(StatusExpiredError):
        open_newest(key, status=str(place))
    publish(place, 3, age=-DAY)
    with pytest.raises(StatusClockError):
        open_newest(key, status=place)


def test_a_fresh_key_that_needs_a_list_does_not_give_way_to_an_older_one(tmp_path: Path, devices: Path) -> None:
    old = seal(tmp_path / "old.bin", POLICY)
    new = seal(tmp_path / "new.bin", POLICY, epoch=2, status_max_age=60)
    with pytest.raises(StatusMissingError):
        open_newest([old, new])


def test_the_command_takes_a_list_and_says_what_is_wrong(
    tmp_path: Path, devices: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    seal(tmp_path / "old.bin", POLICY)
    seal(tmp_path / "new.bin", POLICY, epoch=2, status_max_age=60)
    publish(tmp_path / "s.jws")

    def capture(*arguments: str) -> tuple[int, str]:
        result = CliRunner().invoke(sensor_sim, ["capture", *arguments], prog_name="sensor-sim")
        return result.exit_code, result.stderr

    assert capture("--key", "new.bin", "--status", "s.jws", "-o", "a.dng")[0] == 0
    code, text = capture("--key", "old.bin", "--status", "s.jws", "-o", "b.dng")
    assert (code, text.count("\n")) == (8, 1)
    assert "older than epoch 2" in text
    assert "keyvault export --sensor cam" in text
    assert capture("--key", "new.bin", "--status", "s.jws", "-o", "s.jws")[0] == 4
    publish(tmp_path / "s.jws", 2, sensors={device().kid: "cam"})
    assert capture("--key", "new.bin", "--status", "s.jws", "-o", "b.dng")[0] == 7
    assert not (tmp_path / "b.dng").exists()
