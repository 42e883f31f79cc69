"""A running camera honours the status list: a key that was taken back ends the stream, and nothing else does."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from camera_kit import DAY, ISSUER, device, enrol, random_light, seal
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from keyvault.envelope import read_sealed
from keyvault.errors import (
    DisabledKeyError,
    PrivcamError,
    RetiredEpochError,
    RevokedError,
    StatusClockError,
    StatusExpiredError,
    StatusMissingError,
)
from keyvault.identity import thumbprint
from keyvault.policy import Policy
from keyvault.status_list import StatusList, sign
from sensor_sim import Camera, CameraSettings

POLICY = Policy(32, 24)
QUICK = CameraSettings(shutter_us=100, seed=5)
SCENE = random_light(32, 24)


@pytest.fixture
def status(home: Path) -> Path:
    """The status list of an enrolled sensor, which takes nothing back."""
    enrol(home)
    return publish(home / "status.jws", 1)


def publish(path: Path, number: int, issuer: Ed25519PrivateKey = ISSUER, age: int = 0, **names: object) -> Path:
    """Put a status list of some seconds ago in the place of another, as a whole."""
    issued = int(time.time()) - age
    listed = StatusList(thumbprint(issuer.public_key()), number, issued, issued + DAY, **names)  # type: ignore[arg-type]
    part = path.with_suffix(".part")
    part.write_bytes(sign(listed, issuer))
    return part.replace(path)


def key_id(key: Path) -> str:
    return read_sealed(key, ISSUER.public_key()).grant.key_id


def watching(key: Path | list[Path]) -> Camera:
    """A camera that looks before every frame."""
    camera = Camera(key, scene=SCENE, settings=QUICK)
    camera.configure(watch_key=0)
    return camera


def revoke(key: Path, status: Path) -> None:
    publish(status, 2, sensors={device().kid: "cam"})


def disable(key: Path, status: Path) -> None:
    publish(status, 2, disabled=frozenset({key_id(key)}))


def retire(key: Path, status: Path) -> None:
    publish(status, 2, min_epochs={"cam": 2})


def remove(key: Path, status: Path) -> None:
    status.unlink()


@pytest.mark.parametrize(
    ("act", "error"),
    [
        (revoke, RevokedError),
        (disable, DisabledKeyError),
        (retire, RetiredEpochError),
        (remove, StatusMissingError),
    ],
)
def test_a_key_that_is_taken_back_ends_the_stream_after_the_frames_before_it(
    tmp_path: Path, status: Path, act: Callable[[Path, Path], None], error: type[PrivcamError]
) -> None:
    key = seal(tmp_path / "sealed.bin", POLICY, status_max_age=DAY)
    with watching(key) as camera:
        camera.start()
        counters = [frame.header.counter for frame in camera.frames(3)]
        act(key, status)
        with pytest.raises(error):
            counters.extend(frame.header.counter for frame in camera.frames())
        assert not camera.running
        assert counters == list(range(len(counters)))
        assert camera.stats.produced == camera.stats.delivered == len(counters)
    with pytest.raises(error), watching(key) as camera:
        camera.start()


@pytest.mark.parametrize(("days", "error"), [(2, StatusExpiredError), (-1, StatusClockError)])
def test_a_list_ages_while_no_file_changes(
    tmp_path: Path, status: Path, monkeypatch: pytest.MonkeyPatch, days: int, error: type[PrivcamError]
) -> None:
    key = seal(tmp_path / "sealed.bin", POLICY, status_max_age=DAY, days=(-9, 9))
    with watching(key) as camera:
        camera.start()
        list(camera.frames(3))
        monkeypatch.setattr("keyvault.status_list.time", SimpleNamespace(time=lambda: time.time() + days * DAY))
        with pytest.raises(error):
            list(camera.frames())


def test_a_newer_key_takes_the_place_of_one_that_is_taken_back(tmp_path: Path, status: Path) -> None:
    folder = tmp_path / "keys"
    folder.mkdir()
    key = seal(folder / "1.bin", POLICY)
    with watching(folder) as camera:
        camera.start()
        list(camera.frames(3))
        seal(tmp_path / "2.bin", POLICY, epoch=2).replace(folder / "2.bin")
        disable(key, status)
        assert [frame.header.epoch for frame in camera.frames(8)][-1] == 2
        assert camera.stats.key_error is None


def test_a_list_that_cannot_be_used_changes_nothing(tmp_path: Path, status: Path) -> None:
    key = seal(tmp_path / "sealed.bin", POLICY, status_max_age=DAY)
    good = status.read_bytes()
    with watching(key) as camera:
        camera.start()
        list(camera.frames(2))
        status.write_bytes(good[:100])
        assert len(list(camera.frames(8))) == 8
        assert "not a status list" in str(camera.stats.key_error)
        publish(status, 2)
        list(camera.frames(8))
        assert camera.stats.key_error is None
        status.write_bytes(good)  # set back
        list(camera.frames(8))
        assert camera.running
        assert camera.stats.key_error is not None
        key.unlink()
        publish(status, 3, sensors={device().kid: "cam"})
        with pytest.raises(RevokedError):
            list(camera.frames())


def test_a_camera_without_watch_goes_on(tmp_path: Path, status: Path) -> None:
    key = seal(tmp_path / "sealed.bin", POLICY)
    with Camera(key, scene=SCENE, settings=QUICK) as camera:
        camera.start()
        revoke(key, status)
        assert len(list(camera.frames(8))) == 8
        with pytest.raises(RevokedError):
            camera.rotate_key()
