"""Streaming: states, and how a stream ends: by exceptions, other threads, and the end of the program."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from camera_kit import open_sealed
from stream_kit import QUICK, ROOT, THREAD, producers

import adc_firmware
from sensor_sim import (
    Camera,
    CameraStateError,
)

pytestmark = pytest.mark.usefixtures("no_thread_is_left")


def test_states_are_kept_apart(key: Path) -> None:
    camera = Camera(key, settings=QUICK)
    camera.close()
    camera.stop()
    for use in (camera.start, camera.capture_request, lambda: camera.set_controls({}), camera.rotate_key):
        with pytest.raises(CameraStateError, match="not open"):
            use()
    with camera:
        with pytest.raises(CameraStateError, match="not started"):
            camera.capture_request()
        camera.start()
        camera.start()
        assert [thread.name for thread in producers()].count(THREAD) == 1
        with pytest.raises(CameraStateError, match="stream"):
            camera.capture()
        with pytest.raises(CameraStateError, match="configure"):
            camera.configure(frame_rate=1)
        held = camera.capture_request()
        camera.stop()
        camera.stop()
        assert not camera.running
        assert held.array("raw").shape == (24, 32)  # stays valid
        held.release()
        assert camera.capture().header.counter > 0
    camera.close()
    assert camera.stats.delivered == 1


def test_an_exception_in_the_with_leaves_no_thread(key: Path) -> None:
    def use() -> None:
        with Camera(key, settings=QUICK) as camera:
            camera.start()
            with camera.capture_request():
                raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        use()
    assert not producers()


def test_a_camera_that_nobody_has_any_more_stops(key: Path) -> None:
    camera = Camera(key, settings=QUICK)
    camera.open()
    camera.start()
    del camera
    gc.collect()
    assert not producers()


def test_a_stop_from_another_thread_wakes_the_waiting(key: Path) -> None:
    with Camera(key, settings=QUICK) as camera:
        camera.configure(buffer_count=1)
        camera.start()
        with camera.capture_request():
            timer = threading.Timer(0.05, camera.stop)
            timer.start()
            with pytest.raises(CameraStateError, match="stopped"):
                camera.capture_request()
            timer.join()


def test_two_cameras_share_a_key_and_never_a_session(key: Path) -> None:
    with Camera(key, settings=QUICK) as one, Camera(key, settings=QUICK) as other:
        one.start()
        other.start()
        found = [camera.capture_metadata()["Session"] for camera in (one, other)]
    assert found[0] != found[1]


def test_files_of_a_stream_verify(key: Path, tmp_path: Path) -> None:
    opened = open_sealed(key)
    grants = {opened.grant.key_id: opened.grant}
    with Camera(key, settings=QUICK) as camera:
        camera.start()
        with camera.capture_request() as request:
            request.save(tmp_path / "a.dng")
            request.save(str(tmp_path / "b.bin"), encoding="npy")
            frame = request.frame
        metadata = camera.capture_file(tmp_path / "c.png")
        array = camera.capture_array()
        assert (array.dtype, array.shape, array.flags.writeable) == (np.uint16, frame.samples.shape, False)
        assert not np.array_equal(array, frame.samples)
    for name in ("a.dng", "b.bin"):
        assert np.array_equal(adc_firmware.read(tmp_path / name, grants).samples, frame.samples)
    assert adc_firmware.read(tmp_path / "c.png", grants).header.counter == metadata["Counter"] == 1


PROGRAM = """
import sys
sys.path[:0] = {paths!r}
from camera_kit import device
from sensor_sim import Camera, CameraSettings
camera = Camera({key!r}, device=device(), settings=CameraSettings(shutter_us=100))
camera.open()
camera.configure(buffer_count=1)
camera.start()
request = camera.capture_request()
print("started", flush=True)
{rest}
"""


def program(key: Path, rest: str) -> list[str]:
    paths = [str(ROOT), str(ROOT / "tests" / "sensor_sim")]
    return [sys.executable, "-c", PROGRAM.format(paths=paths, key=str(key), rest=rest)]


def test_leaving_the_program_with_a_running_camera_does_not_hang(key: Path) -> None:
    for rest, code in (("", 0), ("raise SystemExit(7)", 7)):
        run = subprocess.run(program(key, rest), check=False, timeout=120, capture_output=True, text=True)
        assert (run.returncode, run.stdout, run.stderr) == (code, "started\n", "")


def test_a_keyboard_interrupt_ends_the_wait(key: Path) -> None:
    with subprocess.Popen(program(key, "camera.capture_request()"), stdout=-1, stderr=-1, text=True) as run:
        assert run.stdout.readline() == "started\n"
        time.sleep(0.2)
        os.kill(run.pid, signal.SIGINT)
        try:
            _, errors = run.communicate(timeout=120)
        finally:
            run.kill()
    assert "KeyboardInterrupt" in errors
    assert run.returncode != 0
