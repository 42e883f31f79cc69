"""Streaming: requests, order, flush, overflow, callbacks, controls, and stopping."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from camera_kit import enrol, open_sealed, plain, random_light, reveal, seal

import adc_firmware
from keyvault.policy import Policy
from sensor_sim import (
    Camera,
    CameraSettings,
    CameraStateError,
    DnScene,
    FrameTimeoutError,
    Request,
    SceneEndedError,
    SceneError,
    SettingsError,
    Shot,
    StreamConfiguration,
)

ROOT = Path(__file__).resolve().parent.parent.parent
POLICY = Policy(32, 24)
QUICK = CameraSettings(shutter_us=100, noise=False)
THREAD = "privcam camera"


@pytest.fixture
def key(tmp_path: Path, home: Path) -> Path:
    enrol(home)
    return seal(tmp_path / "sealed.bin", POLICY)


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    yield
    assert not producers()


def producers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith((THREAD, "privcam frame"))]


def dn_scenes(count: int) -> list[DnScene]:
    return [DnScene(np.full((24, 32), level), 3, 4000) for level in range(count)]


def wait_for(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.001)


def test_frames_come_in_order_and_hold_what_the_scene_was(key: Path) -> None:
    settings = CameraSettings(shutter_us=500, gain=1.5, seed=3)
    scene, opened = random_light(32, 24), open_sealed(key)
    with Camera(key, scene=scene, settings=settings) as camera:
        camera.start()
        for number in range(6):
            with camera.capture_request() as request:
                assert request.sequence == request.metadata["FrameSequence"] == number
                assert request.frame.header.counter == request.metadata["Counter"] == number
                assert np.array_equal(reveal(request.frame, opened), plain(scene, POLICY, settings, Shot(3, number)))
        stats = camera.stats
        assert stats.delivered == 6
        assert (stats.dropped, stats.missed, stats.held) == (0, 0, 0)


def test_the_array_is_a_view_that_cannot_be_written_to_and_outlives_the_request(key: Path) -> None:
    with Camera(key, settings=QUICK) as camera:
        camera.start()
        with camera.capture_request() as request:
            array = request.array("raw")
            assert np.shares_memory(array, request.frame.samples)
            before = array.copy()
            with pytest.raises(ValueError, match="read-only"):
                array[0, 0] = 1
            with pytest.raises(SettingsError, match="main"):
                request.array("main")
        for use in (
            lambda: request.array("raw"),
            lambda: request.metadata,
            lambda: request.frame,
            lambda: request.sequence,
            lambda: request.save("a.dng"),
            request.__enter__,
        ):
            with pytest.raises(CameraStateError, match="released"):
                use()
        request.release()
        camera.capture_metadata()
        assert np.array_equal(array, before)


def test_metadata_has_libcameras_names(key: Path) -> None:
    settings = CameraSettings(shutter_us=500, gain=2.0, temperature_c=40.0)
    with Camera(key, settings=settings) as camera:
        camera.configure(frame_rate=200)
        camera.start()
        metadata = camera.capture_metadata()
        header = camera.grant
    wanted = {
        "ExposureTime": 500,
        "AnalogueGain": 2.0,
        "SensorBlackLevels": [1024] * 4,
        "SensorTemperature": 40.0,
        "FrameDuration": 5000,
        "KeyId": header.key_id,
        "Epoch": 1,
        "Protection": "shuffle+mask",
    }
    assert {name: metadata[name] for name in wanted} == wanted
    assert abs(metadata["SensorTimestamp"] - time.time_ns()) < 600 * 10**9


def test_timestamps_lie_on_the_grid_that_sequence_numbers_say(key: Path) -> None:
    with Camera(key, settings=QUICK) as camera:
        camera.configure(frame_rate=250)
        camera.start()
        found = [camera.capture_metadata() for _ in range(25)][1:]  # slots count from the end of the first frame
        stats = camera.stats
    for record in found[1:]:
        slots = record["FrameSequence"] - found[0]["FrameSequence"]
        assert abs(record["SensorTimestamp"] - found[0]["SensorTimestamp"] - slots * 4_000_000) <= 1
    assert found[-1]["FrameSequence"] + 1 <= stats.produced + stats.missed


def test_a_slow_consumer_misses_slots_but_no_frames_when_blocking(key: Path) -> None:
    with Camera(key, settings=QUICK) as camera:
        camera.configure(frame_rate=1000, buffer_count=2)
        camera.start()
        wait_for(lambda: camera.stats.queued == 2)
        time.sleep(0.02)
        assert camera.stats.produced == 2
        found = [camera.capture_metadata() for _ in range(5)]
        stats = camera.stats
    sequences = [record["FrameSequence"] for record in found]
    assert [record["Counter"] for record in found] == list(range(5))
    gaps = sum(b - a - 1 for a, b in pairwise(sequences))
    assert gaps >= 10
    assert stats.missed >= gaps
    assert stats.dropped == 0


def test_drop_oldest_keeps_the_newest_frames(key: Path) -> None:
    with Camera(key, settings=QUICK) as camera:
        camera.configure(buffer_count=3, overflow="drop-oldest")
        camera.start()
        wait_for(lambda: camera.stats.dropped >= 10)
        first = camera.capture_metadata()["Counter"]
        held = [camera.capture_request() for _ in range(3)]
        wait_for(lambda: camera.stats.held == 3)
        stopped_at = camera.stats
        time.sleep(0.01)
        assert camera.stats.produced <= stopped_at.produced + 1  # with every buffer held none is made
        for request in held:
            request.release()
        counters = [first, *[camera.capture_metadata()["Counter"] for _ in range(20)]]
        camera.stop()
        stats = camera.stats
    assert first >= 10
    assert counters == sorted(set(counters))
    assert stats.produced == stats.delivered + stats.dropped + stats.flushed
    assert stats.missed == 0


def test_flush_gives_a_frame_that_began_after_the_call(key: Path) -> None:
    with Camera(key, settings=QUICK) as camera:
        camera.start()
        for _ in range(5):
            wait_for(lambda: camera.stats.queued == 4)
            before = time.time_ns()
            with camera.capture_request(flush=True) as request:
                # the wall clock may be adjusted by a little between these two readings
                assert request.metadata["SensorTimestamp"] >= before - 1_000_000
        assert camera.stats.flushed >= 5 * 4
        stats = camera.stats
    assert stats.produced == stats.delivered + stats.dropped + stats.flushed + stats.queued


def test_a_timeout_says_so_and_the_stream_goes_on(key: Path) -> None:
    with Camera(key, settings=QUICK) as camera:
        camera.configure(buffer_count=1)
        camera.start()
        with camera.capture_request():
            with pytest.raises(FrameTimeoutError, match=r"0\.01 s") as refusal:
                camera.capture_request(timeout=0.01)
            assert "release" in refusal.value.hint
        with camera.capture_request(timeout=60) as request:
            assert request.frame.header.counter == 1


def test_a_forgotten_request_is_no_leak(key: Path) -> None:
    with Camera(key, settings=QUICK) as camera:
        camera.configure(buffer_count=1)
        camera.start()
        for number in range(20):
            frame = camera.capture_request(timeout=60).frame
            assert frame.header.counter == number


def test_iterators_end_with_the_scenes_and_every_scene_is_seen_once(key: Path) -> None:
    opened = open_sealed(key)
    for frames in (lambda camera: camera.frames(), lambda camera: (each.frame for each in camera.requests())):
        with Camera(key, scene=dn_scenes(9), settings=QUICK) as camera:
            camera.start()
            assert [reveal(frame, opened)[0, 0] for frame in frames(camera)] == list(range(9))
            assert not camera.running
            for _ in range(2):
                with pytest.raises(SceneEndedError):
                    camera.capture_request()
            assert camera.stats.delivered == camera.stats.produced == 9
            camera.stop()
            with pytest.raises(SceneEndedError):
                camera.capture()


def test_single_frames_and_streams_share_scenes_and_noise(key: Path) -> None:
    with Camera(key, scene=dn_scenes(5), settings=QUICK) as camera:
        first = camera.capture()
        camera.configure(buffer_count=1)
        camera.start()
        with camera.capture_request() as request:
            second = request.frame
        camera.stop()
        rest = list(camera.frames())
    levels = [reveal(frame, open_sealed(key))[0, 0] for frame in (first, second, *rest)]
    assert levels[:2] == [0, 1]
    assert levels == sorted(set(levels))  # what a stop threw away is gone
    assert levels[-1] == 4


def test_loops_play_again(key: Path) -> None:
    camera = Camera(key, scene=dn_scenes(2), settings=QUICK)
    for configure in ("before", "after"):
        if configure == "before":
            camera.configure(loop=True)
        with camera:
            if configure == "after":
                camera.configure(loop=False)
                camera.configure(loop=True)
            camera.start()
            frames = list(camera.frames(5))
        assert [reveal(frame, open_sealed(key))[0, 0] for frame in frames] == [0, 1, 0, 1, 0]
        camera.configure(loop=False)


def test_a_broken_scene_is_told_after_the_frames_before_it(key: Path) -> None:
    def scenes() -> Iterator[DnScene]:
        yield from dn_scenes(3)
        raise SceneError("frame0003.png has gone")

    with Camera(key, scene=scenes(), settings=QUICK) as camera:
        camera.start()
        wait_for(lambda: not camera.running)
        assert "has gone" in camera.stats.error
        counters = [camera.capture_metadata()["Counter"] for _ in range(3)]
        assert counters == [0, 1, 2]
        with pytest.raises(SceneError, match="has gone"):
            camera.capture_request()
        with pytest.raises(CameraStateError, match="has gone"):
            camera.capture_request()


def test_nothing_is_delivered_after_a_frame_that_could_not_be_made(key: Path) -> None:
    scenes = dn_scenes(6)
    scenes[2] = DnScene(np.full((24, 32), 4096), 3, 4000)  # one more than 12 bits hold
    with Camera(key, scene=scenes, settings=QUICK) as camera:
        camera.configure(buffer_count=8)
        camera.start()
        wait_for(lambda: not camera.running)
        assert [camera.capture_metadata()["FrameSequence"] for _ in range(2)] == [0, 1]
        with pytest.raises(adc_firmware.SampleRangeError):
            camera.capture_request()
        stats = camera.stats
        assert (stats.produced, stats.delivered, stats.queued, stats.missed) == (2, 2, 0, 0)


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
