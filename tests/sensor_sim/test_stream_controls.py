"""Streaming: callbacks, controls, configurations and pace."""

from __future__ import annotations

import threading
from itertools import pairwise
from pathlib import Path

import pytest
from stream_kit import QUICK, THREAD, producers, wait_for

from sensor_sim import (
    Camera,
    CameraSettings,
    CameraStateError,
    Request,
    SettingsError,
    StreamConfiguration,
)

pytestmark = pytest.mark.usefixtures("no_thread_is_left")


def test_the_callback_sees_every_frame_first_and_keeps_none(key: Path) -> None:
    seen: list[tuple[int, str]] = []
    kept: list[Request] = []

    def callback(request: Request) -> None:
        seen.append((request.sequence, threading.current_thread().name))
        kept.append(request)

    with Camera(key, settings=QUICK) as camera:
        camera.post_callback = callback
        camera.start()
        for number in range(5):
            with camera.capture_request() as request:
                assert seen[number] == (request.sequence, THREAD)
        camera.post_callback = None
        assert camera.post_callback is None
        with pytest.raises(CameraStateError):
            kept[0].array("raw")


def test_what_a_callback_raises_reaches_the_application(key: Path) -> None:
    def callback(request: Request) -> None:
        if request.sequence == 2:
            raise ZeroDivisionError("on purpose")

    with Camera(key, settings=QUICK) as camera:
        camera.post_callback = callback
        camera.start()
        assert [camera.capture_metadata()["FrameSequence"] for _ in range(2)] == [0, 1]
        with pytest.raises(ZeroDivisionError, match="on purpose"):
            camera.capture_request()
        assert not camera.running
        camera.post_callback = None
        camera.start()  # begins anew
        assert camera.capture_metadata()["FrameSequence"] == 0


def test_a_callback_may_stop_the_stream(key: Path) -> None:
    with Camera(key, settings=QUICK) as camera:
        camera.post_callback = lambda request: camera.stop() if request.sequence == 1 else None
        camera.start()
        wait_for(lambda: not camera.running)
        wait_for(lambda: camera.stats.produced == 2)
        assert camera.stats.flushed + camera.stats.delivered == 2
    wait_for(lambda: not producers())


def test_controls_take_effect_between_two_frames(key: Path) -> None:
    with Camera(key, settings=QUICK, profile="industrial-global") as camera:
        camera.configure(buffer_count=1)
        camera.start()
        camera.capture_metadata()
        camera.set_controls({"ExposureTime": 300, "AnalogueGain": 2.0})
        found = [camera.capture_metadata() for _ in range(4)]
        assert camera.settings == CameraSettings(shutter_us=300, gain=2.0, noise=False)
        assert camera.camera_controls["ExposureTime"][2] == 300
    pairs = [(record["ExposureTime"], record["AnalogueGain"]) for record in found]
    assert set(pairs[:2]) <= {(100, 1.0), (300, 2.0)}  # one may have been under way
    assert pairs[2:] == [(300, 2.0)] * 2


def test_the_frame_rate_can_change_while_it_runs(key: Path) -> None:
    with Camera(key, settings=QUICK) as camera:
        camera.configure(frame_rate=500, buffer_count=1)
        camera.start()
        assert camera.capture_metadata()["FrameDuration"] == 2000
        camera.set_controls({"FrameRate": 250})
        found = [camera.capture_metadata() for _ in range(5)][-2:]
        assert [record["FrameDuration"] for record in found] == [4000, 4000]
        slots = found[1]["FrameSequence"] - found[0]["FrameSequence"]
        assert found[1]["SensorTimestamp"] - found[0]["SensorTimestamp"] == 4_000_000 * slots
        camera.set_controls({"FrameRate": None})
        assert "FrameDuration" not in [camera.capture_metadata() for _ in range(3)][-1]


@pytest.mark.parametrize(
    "controls",
    [
        {"ExposureTime": 5},
        {"ExposureTime": 100.0},
        {"ExposureTime": 300, "AnalogueGain": 1e6},
        {"AnalogueGain": "2"},
        {"FrameRate": 1e5},
        {"FrameRate": 0},
        {"FrameRate": 100, "ExposureTime": 10_001},
        {"AeEnable": True},
    ],
)
def test_refused_controls_change_nothing(key: Path, controls: dict) -> None:
    with Camera(key, settings=QUICK, profile="industrial-global") as camera:
        with pytest.raises(SettingsError):
            camera.set_controls(controls)
        assert camera.settings == QUICK


@pytest.mark.parametrize(
    "fields",
    [
        {"frame_rate": 0},
        {"frame_rate": float("nan")},
        {"frame_rate": "30"},
        {"buffer_count": 0},
        {"buffer_count": 2.0},
        {"overflow": "newest"},
        {"loop": 1},
        {"watch_key": -1},
        {"watch_key": True},
        {"fps": 30},
        {"frame_rate": 4167},  # 24 rows at 10 us
    ],
)
def test_refused_configurations_change_nothing(key: Path, fields: dict) -> None:
    with Camera(key, settings=QUICK) as camera:
        with pytest.raises(SettingsError):
            camera.configure(**fields)
        assert camera.configuration == StreamConfiguration()
    camera = Camera(key, settings=QUICK)
    if fields != {"frame_rate": 4167}:
        with pytest.raises(SettingsError):
            camera.configure(**fields)
    else:
        camera.configure(**fields)
        with pytest.raises(SettingsError, match="need 240"), camera:
            pass


def test_the_sensors_own_pace_is_kept_without_a_frame_rate(key: Path) -> None:
    with Camera(key, settings=CameraSettings(shutter_us=3000, noise=False)) as camera:
        camera.start()
        stamps = [camera.capture_metadata()["SensorTimestamp"] for _ in range(10)]
        assert camera.stats.missed == 0
    assert min(b - a for a, b in pairwise(stamps)) >= 3_000_000
