"""New keys while the camera runs: taken over between two frames, or refused while the old one goes on."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from camera_kit import DAY, device, enrol, open_sealed, plain, random_light, reveal, seal

from adc_firmware import PrivateFrame
from keyvault.errors import (
    ExpiredGrantError,
    GrantFormatError,
    InputError,
    NotYetValidError,
    PolicyError,
    PrivcamError,
    WrongDeviceError,
)
from keyvault.policy import Policy
from sensor_sim import Camera, CameraSettings, CameraStateError, Shot

POLICY = Policy(32, 24)
QUICK = CameraSettings(shutter_us=100, seed=5)
SCENE = random_light(32, 24)


@pytest.fixture
def key(tmp_path: Path, home: Path) -> Path:
    enrol(home)
    return seal(tmp_path / "sealed.bin", POLICY)


def replace(path: Path, **terms: object) -> None:
    """A new key takes the name of the old one, as a vault would do it."""
    seal(path.with_suffix(".part"), POLICY, **terms).replace(path)


def epochs(frames: list[PrivateFrame]) -> list[int]:
    return [frame.header.epoch for frame in frames]


def take(camera: Camera, count: int) -> list[PrivateFrame]:
    return list(camera.frames(count))


def take_until(camera: Camera, holds: Callable[[PrivateFrame], bool]) -> list[PrivateFrame]:
    frames = []
    end = time.monotonic() + 60
    while not frames or not holds(frames[-1]):
        assert time.monotonic() < end
        frames += take(camera, 1)
    return frames


def check_continuous(frames: list[PrivateFrame], keys: dict[int, Path]) -> None:
    """Nothing lost, nothing mixed: each frame is whole under its own key, and their noise goes on."""
    for number, frame in enumerate(frames):
        dn = reveal(frame, open_sealed(keys[frame.header.epoch]))
        assert np.array_equal(dn, plain(SCENE, POLICY, QUICK, Shot(5, number)))
    for before, after in pairwise(frames):
        same = before.header.epoch == after.header.epoch
        assert after.header.counter == (before.header.counter + 1 if same else 0)
        assert (after.header.session == before.header.session) is same
        assert after.header.timestamp_ns > before.header.timestamp_ns


def test_a_newer_key_takes_over_between_two_frames(key: Path, tmp_path: Path) -> None:
    keys = {1: key, 2: seal(tmp_path / "2.bin", POLICY, epoch=2), 3: seal(tmp_path / "3.bin", POLICY, epoch=3)}
    with Camera(key, scene=SCENE, settings=QUICK) as camera:
        camera.start()
        frames = take(camera, 5)
        for epoch in (2, 3):
            assert camera.rotate_key(keys[epoch]).epoch == camera.grant.epoch == epoch
            frames += take(camera, 12)
        stats = camera.stats
    assert sorted(epochs(frames)) == epochs(frames)
    assert set(epochs(frames[-7:])) == {3}
    assert len(set(epochs(frames))) == 3
    check_continuous(frames, keys)
    assert (stats.delivered, stats.dropped, stats.missed) == (29, 0, 0)


def test_it_can_change_without_a_stream_too(key: Path) -> None:
    with Camera(key, settings=QUICK) as camera:
        camera.capture()
        assert camera.rotate_key().epoch == 1  # nothing new
        assert camera.capture().header.counter == 1
        replace(key, epoch=2)
        assert camera.rotate_key().epoch == 2
        header = camera.capture().header
    assert (header.epoch, header.counter) == (2, 0)


@pytest.mark.parametrize(
    ("terms", "error", "words"),
    [
        ({"policy": Policy(32, 22)}, PolicyError, "another policy"),
        ({"owner": device("other", 2)}, WrongDeviceError, "other"),
        ({"epoch": 1}, InputError, "epoch 2 is in use"),
        ({"days": (-3, -1)}, ExpiredGrantError, "expired"),
        ({"days": (1, 2)}, NotYetValidError, "valid from"),
        (None, GrantFormatError, "new.bin"),
    ],
)
def test_what_is_refused_leaves_the_old_key_at_work(
    key: Path, tmp_path: Path, terms: dict | None, error: type[PrivcamError], words: str
) -> None:
    replace(key, epoch=2)
    new = tmp_path / "new.bin"
    if terms is None:
        new.write_bytes(key.read_bytes()[:100])
    else:
        seal(new, **{"policy": POLICY, "epoch": 3} | terms)
    with Camera(key, scene=SCENE, settings=QUICK) as camera:
        camera.start()
        frames = take(camera, 2)
        with pytest.raises(error, match=words):
            camera.rotate_key(new)
        frames += take(camera, 6)
        assert camera.rotate_key().epoch == 2  # it still looks where it did
    check_continuous(frames, {2: key})


def test_another_sensors_key_is_refused_even_with_its_device_at_hand(key: Path, tmp_path: Path, home: Path) -> None:
    enrol(home, device("other", 2))
    new = seal(tmp_path / "new.bin", POLICY, owner=device("other", 2), epoch=9)
    with Camera(key, settings=QUICK) as camera:
        camera.start()
        with pytest.raises(InputError, match="for sensor other, this is cam"):
            camera.rotate_key(new)
        assert epochs(take(camera, 6)) == [1] * 6


def test_a_watched_file_takes_over_when_it_is_replaced(key: Path, tmp_path: Path) -> None:
    keys = {1: key.rename(tmp_path / "old.bin"), 2: seal(tmp_path / "2.bin", POLICY, epoch=2)}
    key.write_bytes(keys[1].read_bytes())
    with Camera(key, scene=SCENE, settings=QUICK) as camera:
        camera.configure(watch_key=0)
        camera.start()
        frames = take(camera, 3)
        key.write_bytes(keys[2].read_bytes()[:200])  # half of it: no way to replace a file, but it happens
        frames += take(camera, 8)
        assert "sealed.bin" in camera.stats.key_error
        key.unlink()
        frames += take(camera, 8)
        assert "cannot read" in camera.stats.key_error
        assert camera.grant.epoch == 1
        key.write_bytes(keys[2].read_bytes())
        frames += take_until(camera, lambda frame: frame.header.epoch == 2)
        frames += take(camera, 3)
        stats = camera.stats
    assert (stats.key_error, stats.dropped, stats.missed) == (None, 0, 0)
    check_continuous(frames, keys)


def test_a_watched_folder_takes_over_what_is_put_there(key: Path, tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    folder.mkdir()
    keys = {1: key.rename(folder / "1.bin")}
    with Camera(folder, scene=SCENE, settings=QUICK) as camera:
        camera.configure(watch_key=0.001)
        camera.start()
        frames = take(camera, 2)
        for epoch in (2, 3):
            keys[epoch] = seal(tmp_path / "part", POLICY, epoch=epoch).rename(folder / f"{epoch}.bin")
            frames += take_until(camera, lambda frame, epoch=epoch: frame.header.epoch == epoch)
        assert camera.stats.key_error is None
    check_continuous(frames, keys)


def test_an_unwatched_file_may_change(key: Path) -> None:
    with Camera(key, settings=QUICK) as camera:
        camera.start()
        replace(key, epoch=2)
        assert epochs(take(camera, 10)) == [1] * 10
        assert camera.rotate_key().epoch == 2
        assert epochs(take(camera, 6))[-1] == 2


def test_a_watch_notices_what_changed_before_it_began(key: Path) -> None:
    with Camera(key, settings=QUICK) as camera:
        replace(key, epoch=2)
        camera.configure(watch_key=1000)
        camera.start()
        assert epochs(take(camera, 3)) == [2] * 3


def later(monkeypatch: pytest.MonkeyPatch, days: float) -> None:
    """Let grants believe that so much time has passed."""
    monkeypatch.setattr("keyvault.grant.time", SimpleNamespace(time=lambda: time.time() + days * DAY))


def test_an_expired_key_ends_the_stream_after_the_frames_before_it(key: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Camera(key, settings=QUICK) as camera:
        camera.start()
        take(camera, 3)
        while camera.stats.queued < 4:
            time.sleep(0.001)
        later(monkeypatch, 2)
        counters = [frame.header.counter for frame in take(camera, 4)]
        with pytest.raises(ExpiredGrantError):
            take(camera, 3)
        assert counters == [3, 4, 5, 6]
        stats = camera.stats
        assert stats.produced == stats.delivered
        assert "expired" in stats.error
        camera.stop()
        with pytest.raises(ExpiredGrantError):
            camera.capture()


def test_a_key_that_waits_takes_over_when_the_one_in_use_expires(
    key: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = {1: key, 2: seal(tmp_path / "2.bin", POLICY, epoch=2, days=(0.5, 4))}
    with Camera(list(keys.values()), scene=SCENE, settings=QUICK) as camera:
        camera.configure(watch_key=1000)
        camera.start()
        frames = take(camera, 3)
        later(monkeypatch, 2)
        frames += take(camera, 9)
        assert camera.stats.missed == 0
    monkeypatch.undo()
    assert [epoch for epoch in (1, 2) if epoch in epochs(frames)] == [1, 2]
    assert epochs(frames)[-1] == 2
    counters = [frame.header.counter for frame in frames]
    assert counters.count(0) == 2


def test_a_running_camera_outlives_its_device_file_but_takes_no_new_key(key: Path, tmp_path: Path, home: Path) -> None:
    file = home / "devices" / "cam.json"
    new = seal(tmp_path / "2.bin", POLICY, epoch=2)
    with Camera(key, settings=QUICK) as camera:
        camera.start()
        file.unlink()
        with pytest.raises(InputError, match="no device file"):
            camera.rotate_key(new)
        device("cam", 7).save(file)  # enrolled again
        with pytest.raises(WrongDeviceError, match="not the one enrolled"):
            camera.rotate_key(new)
        frames = take(camera, 8)
        assert epochs(frames) == [1] * 8
        again = seal(tmp_path / "3.bin", POLICY, owner=device("cam", 7), epoch=3)
        assert camera.rotate_key(again).epoch == 3  # sealed for the device that is there now
        last = take(camera, 8)[-1]
    assert reveal(last, open_sealed(again, device("cam", 7))).shape == (24, 32)


def test_a_watch_reports_a_device_that_was_replaced(key: Path, home: Path) -> None:
    file = home / "devices" / "cam.json"
    with Camera(key, settings=QUICK) as camera:
        camera.configure(watch_key=0)
        camera.start()
        take(camera, 1)
        file.unlink()
        device("cam", 7).save(file)
        replace(key, epoch=2)
        assert epochs(take(camera, 8)) == [1] * 8
        assert "not the one enrolled" in camera.stats.key_error
        assert camera.running


def test_no_key_is_taken_over_by_a_closed_camera(key: Path) -> None:
    with pytest.raises(CameraStateError):
        Camera(key).rotate_key()
