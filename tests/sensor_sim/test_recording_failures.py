"""A recording that is killed, has no room or nowhere to write: whole files or none, and true counts."""

from __future__ import annotations

import errno
import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import pytest
from camera_kit import device, open_sealed, seal

import adc_firmware
from keyvault.errors import InputError, OutputError
from keyvault.policy import Policy
from sensor_sim import Camera, CameraSettings, Request, SceneError
from sensor_sim.metadata_file import MetadataFile

ROOT = Path(__file__).resolve().parent.parent.parent
POLICY = Policy(64, 48)
QUICK = CameraSettings(shutter_us=100, noise=False)

RECORDER = """
import sys
sys.path[:0] = {paths!r}
from camera_kit import device
from sensor_sim import Camera, CameraSettings
with Camera("sealed.bin", device=device(), settings=CameraSettings(shutter_us=100)) as camera:
    camera.start()
    for request in camera.requests():
        number = request.sequence
        name = ["old.dng", f"{{number}}.dng", f"{{number}}.png", f"{{number}}.npy"][number % 4]
        request.save({run!r} + name)
        print(number, flush=True)
"""


@pytest.fixture
def key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return seal(tmp_path / "sealed.bin", POLICY)


def record_and_kill(run: str, frames: int, delay: float) -> None:
    """Kill a recorder a little after it has written so many frames."""
    program = RECORDER.format(paths=[str(ROOT), str(ROOT / "tests" / "sensor_sim")], run=run)
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as recorder:
        for _ in range(frames):
            assert recorder.stdout.readline()
        time.sleep(delay)
        recorder.send_signal(signal.SIGKILL)
    assert recorder.returncode == -signal.SIGKILL


def check_files(folder: Path, grants: dict) -> list[tuple[bytes, int]]:
    """Every file that has its name is a whole frame, or a data file whose sidecar was still to come."""
    found = []
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.suffix not in (".dng", ".png", ".npy"):
            continue
        if path.suffix == ".npy" and not Path(f"{path}.json").exists():
            with pytest.raises(InputError):
                adc_firmware.read(path, grants)
            continue
        header = adc_firmware.read(path, grants).header
        found.append((header.session, header.counter))
    return found


def killed(folder: Path, key: Path, runs: int) -> None:
    opened = open_sealed(key)
    for run in range(runs):
        record_and_kill(f"{run}-", frames=5 + 3 * run, delay=0.0007 * run)
    found = check_files(folder, {opened.grant.key_id: opened.grant})
    assert len(found) >= 5 * runs - 3 * runs  # one name in four is written again and again
    assert len(found) == len(set(found))
    assert len({session for session, _ in found}) == runs


def test_a_killed_recorder_leaves_no_half_frame_and_uses_no_counter_twice(tmp_path: Path, key: Path) -> None:
    killed(tmp_path, key, 3)


@pytest.mark.full
def test_so_does_one_that_is_killed_often(tmp_path: Path, key: Path) -> None:
    killed(tmp_path, key, 40)


@contextmanager
def no_room() -> Iterator[None]:
    """No file of this process may grow beyond 4 KiB, which is less than a frame."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("name", ["frame.dng", "frame.npy", "frame.tif"])
def test_without_room_nothing_is_left_and_the_stream_goes_on(tmp_path: Path, key: Path, name: str) -> None:
    with Camera(key, device=device(), settings=QUICK) as camera:
        before = sorted(tmp_path.iterdir())
        camera.start()
        with camera.capture_request() as request:
            with no_room(), pytest.raises(OutputError, match=name):
                request.save(tmp_path / name)
            assert sorted(tmp_path.iterdir()) == before
            request.save(tmp_path / name)
        camera.capture_metadata()
        stats = camera.stats
    assert (stats.delivered, stats.held, stats.error) == (2, 0, None)
    opened = open_sealed(key)
    assert adc_firmware.read(tmp_path / name, {opened.grant.key_id: opened.grant}).header.counter == 0


def test_a_metadata_file_without_room_keeps_the_records_before(tmp_path: Path) -> None:
    path, filler = tmp_path / "all.json", "x" * 1500
    with MetadataFile(path) as metadata:
        for number in range(2):
            metadata.add({"number": number, "filler": filler})
        with no_room(), pytest.raises(OutputError, match=r"all\.json"):
            metadata.add({"number": 2, "filler": filler})
        assert [record["number"] for record in json.loads(path.read_text())] == [0, 1]
        metadata.add({"number": 3, "filler": filler})
    assert [record["number"] for record in json.loads(path.read_text())] == [0, 1, 3]


def test_a_callback_without_room_ends_the_stream_with_its_error(tmp_path: Path, key: Path) -> None:
    def save(request: Request) -> None:
        if request.sequence < 2:
            request.save(tmp_path / f"{request.sequence}.dng")
        else:
            with no_room():
                request.save(tmp_path / f"{request.sequence}.dng")

    with Camera(key, device=device(), settings=QUICK) as camera:
        camera.post_callback = save
        camera.start()
        assert [camera.capture_metadata()["Counter"] for _ in range(2)] == [0, 1]
        with pytest.raises(OutputError, match=r"2\.dng"):
            camera.capture_request()
        stats = camera.stats
    assert (stats.produced, stats.delivered, stats.queued) == (2, 2, 0)
    assert sorted(path.name for path in tmp_path.glob("*.dng")) == ["0.dng", "1.dng"]


def test_a_scene_that_vanishes_while_it_runs(tmp_path: Path, key: Path) -> None:
    folder = tmp_path / "scenes"
    folder.mkdir()
    for number in range(9):
        cv2.imwrite(str(folder / f"{number}.png"), np.full((48, 64, 3), 20 * number, np.uint8))
    with Camera(key, scene=folder, device=device(), settings=QUICK) as camera:
        camera.configure(buffer_count=1)
        camera.start()
        request = camera.capture_request()
        (folder / "5.png").unlink()
        request.release()
        counters = [camera.capture_metadata()["Counter"] for _ in range(4)]
        with pytest.raises(SceneError, match=r"5\.png"):
            camera.capture_request()
        stats = camera.stats
    assert counters == [1, 2, 3, 4]
    assert (stats.produced, stats.delivered, stats.missed) == (5, 5, 0)
    assert "5.png" in stats.error


def test_a_folder_that_cannot_be_written_to(tmp_path: Path, key: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.open

    def read_only(path: object, flags: int, *rest: int) -> int:
        if flags & os.O_CREAT:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        return real(path, flags, *rest)

    with Camera(key, device=device(), settings=QUICK) as camera:
        camera.start()
        with camera.capture_request() as request:
            with monkeypatch.context() as patch:
                patch.setattr(os, "open", read_only)
                with pytest.raises(OutputError, match="Read-only"):
                    request.save(tmp_path / "frame.dng")
            with pytest.raises(OutputError, match="cannot write"):
                request.save(tmp_path / "missing" / "frame.dng")
        assert camera.capture_metadata()["Counter"] == 1
    assert list(tmp_path.glob("**/*.dng")) == []
