"""Many frames: memory stays flat, counters go on, and nothing goes missing."""

from __future__ import annotations

import gc
import tracemalloc
from itertools import pairwise
from pathlib import Path

import pytest
from camera_kit import device, random_light, seal

from keyvault.policy import Policy
from sensor_sim import Camera, CameraSettings

POLICY = Policy(16, 12)
EPOCH_FRAMES = 500  # frames until a new key takes over
PAGE = 4096


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE


def soak(tmp_path: Path, frames: int, overflow: str) -> list[tuple[int, int]]:
    """Stream frames under changing keys and controls; Python's memory and the process's after every epoch, bytes."""
    key = seal(tmp_path / "sealed.bin", POLICY)
    with Camera(key, device=device(), scene=random_light(16, 12), settings=CameraSettings(100)) as camera:
        camera.configure(overflow=overflow, watch_key=0.01)
        camera.start()
        last = (b"", -1)
        held, used = [], []
        for number in range(frames):
            request = camera.capture_request(flush=number % 97 == 0, timeout=60)
            header = request.frame.header
            assert header.session != last[0] or header.counter > last[1]
            last = (header.session, header.counter)
            held.append(request)
            if number % 3 or len(held) > 2:
                held.clear()  # forgotten
            if number % 50 == 0:
                camera.set_controls({"ExposureTime": 100 + number % 7})
            if number % EPOCH_FRAMES == EPOCH_FRAMES - 1:
                seal(tmp_path / "part", POLICY, epoch=2 + number).replace(key)
                camera.rotate_key()
                gc.collect()
                used.append((tracemalloc.get_traced_memory()[0], resident_bytes()))
        held.clear()
        del request
        camera.stop()
        stats = camera.stats
    assert stats.delivered == frames
    assert stats.produced == frames + stats.dropped + stats.flushed
    assert (stats.held, stats.queued, stats.missed, stats.error) == (0, 0, 0, None)
    return used


@pytest.mark.parametrize("overflow", ["block", "drop-oldest"])
def test_memory_stays_flat(tmp_path: Path, overflow: str) -> None:
    tracemalloc.start()
    try:
        used = [python for python, _ in soak(tmp_path, 2500, overflow)]
    finally:
        tracemalloc.stop()
    growth = [after - before for before, after in pairwise(used)]
    assert min(growth) < 20 * EPOCH_FRAMES  # 20 bytes a frame; what is kept for good is kept in every epoch


@pytest.mark.full
def test_memory_stays_flat_for_the_frames_of_an_hour(tmp_path: Path) -> None:
    used = [process for _, process in soak(tmp_path, 30 * 3600, "block")]
    assert used[-1] - used[1] < 4 * 2**20
