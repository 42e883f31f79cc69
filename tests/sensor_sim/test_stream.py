"""Streaming: requests, order, metadata, overflow, flush and the end of scenes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from camera_kit import open_sealed, plain, random_light, reveal
from stream_kit import POLICY, QUICK, dn_scenes, wait_for

import adc_firmware
from sensor_sim import (
    Camera,
    CameraSettings,
    CameraStateError,
    DnScene,
    FrameTimeoutError,
    SceneEndedError,
    SceneError,
    SettingsError,
    Shot,
)

pytestmark = pytest.mark.usefixtures("no_thread_is_left")


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
