"""The queue of frames: its counts belong together at every instant, whatever the threads do."""

from __future__ import annotations

import gc
import threading
import time
from contextlib import suppress
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensor_sim.buffers import FrameBuffers
from sensor_sim.configuration import Overflow, StreamConfiguration
from sensor_sim.errors import CameraStateError, FrameTimeoutError, SceneEndedError
from sensor_sim.finished import Finished
from sensor_sim.request import Request
from sensor_sim.slots import Slot
from sensor_sim.stats import StreamStats


def buffers(size: int = 4, overflow: str = "block") -> FrameBuffers:
    return FrameBuffers(StreamConfiguration(buffer_count=size, overflow=Overflow(overflow)))


def idle() -> bool:
    return False


def finished(sequence: int, missed: int = 0, start_ns: int | None = None) -> Finished:
    return Finished(None, Slot(sequence, sequence if start_ns is None else start_ns, missed), None, None)


def check(stats: StreamStats, size: int) -> None:
    assert stats.produced == stats.delivered + stats.dropped + stats.flushed + stats.queued
    assert stats.queued + stats.held <= size
    assert min(stats.queued, stats.held, stats.dropped, stats.flushed, stats.missed) >= 0


STEPS = st.lists(st.sampled_from(["put", "put", "put", "take", "take", "release", "flush"]), max_size=60)


@given(st.integers(1, 5), STEPS, st.data())
def test_drop_oldest_keeps_the_newest(size: int, steps: list[str], data: st.DataObject) -> None:
    queue, held = buffers(size, "drop-oldest"), []
    model: list[int] = []
    produced = dropped = delivered = flushed = 0
    for step in steps:
        if step == "put" and len(held) < size:
            if len(model) + len(held) == size:
                model.pop(0)
                dropped += 1
            assert queue.reserve(idle)
            queue.put(finished(produced))
            model.append(produced)
            produced += 1
        elif step == "take" and model:
            held.append(queue.take(None, 0))
            assert held[-1].sequence == model.pop(0)
            delivered += 1
        elif step == "release" and held:
            held.pop(data.draw(st.integers(0, len(held) - 1))).release()
        elif step == "flush":
            with pytest.raises(FrameTimeoutError):
                queue.take(produced, 0)
            flushed += len(model)
            model.clear()
        stats = queue.stats()
        check(stats, size)
        assert (stats.produced, stats.dropped, stats.delivered, stats.flushed) == (
            produced,
            dropped,
            delivered,
            flushed,
        )
        assert (stats.queued, stats.held) == (len(model), len(held))


def test_the_frame_rate_is_that_of_the_exposures_after_the_first() -> None:
    queue = buffers(9)
    for sequence, start_s in enumerate([0, 7, 7.25, 7.75, 8]):
        assert (queue.stats().frame_rate is None) is (sequence < 3)
        queue.put(finished(sequence, start_ns=int(start_s * 10**9)))
    assert queue.stats().frame_rate == 3.0


def test_a_flush_keeps_what_began_after_it() -> None:
    queue = buffers()
    for sequence in range(4):
        queue.put(finished(sequence, start_ns=100 + sequence))
    assert queue.take(102, 0).sequence == 2
    stats = queue.stats()
    assert (stats.flushed, stats.queued, stats.delivered) == (2, 1, 1)


def test_those_who_wait_with_a_flush_do_not_keep_each_other_awake() -> None:
    queue, woken = buffers(), []

    def flush() -> None:
        with pytest.raises(FrameTimeoutError):
            queue.take(time.monotonic_ns(), 0.2)

    threads = [threading.Thread(target=flush) for _ in range(2)]
    for thread in threads:
        thread.start()
    assert queue.wait_until(time.monotonic_ns() + 10**8, lambda: bool(woken.append(None)))
    for thread in threads:
        thread.join()
    assert len(woken) < 10


def test_a_forgotten_request_gives_its_buffer_back_and_a_released_one_only_once() -> None:
    queue = buffers(2)
    for sequence in range(2):
        queue.put(finished(sequence))
    request, other = queue.take(None, 0), queue.take(None, 0)
    assert queue.stats().held == 2
    del request
    gc.collect()
    assert queue.stats().held == 1
    other.release()
    other.release()
    del other
    gc.collect()
    assert queue.stats().held == 0


def test_a_request_collected_inside_the_lock_does_not_hang() -> None:
    queue = buffers(2)
    queue.put(finished(0))
    ring = [queue.take(None, 0)]
    ring.append(ring)  # only the collector finds it
    del ring
    with queue._changed:
        gc.collect()
    assert queue.stats().held == 0


def test_the_end_comes_after_the_last_frame_and_stays() -> None:
    queue = buffers()
    queue.put(finished(0))
    queue.end(SceneEndedError("over"))
    queue.end(ValueError("later"))
    with queue.take(None, None) as request:
        assert request.sequence == 0
    for _ in range(2):
        with pytest.raises(SceneEndedError, match="over"):
            queue.take(None, None)
    assert queue.stats().error == "over"
    queue.stop()
    with pytest.raises(CameraStateError, match="stopped"):
        queue.take(None, None)
    assert queue.stats().error is None


def test_what_went_wrong_is_told_once_and_keeps_no_request() -> None:
    queue = buffers()
    queue.put(finished(0))
    queue.end(ZeroDivisionError("a callback's"))

    def consume() -> None:
        request = queue.take(None, None)
        assert request.sequence == 0
        queue.take(None, None)  # leaves the request to the traceback

    with pytest.raises(ZeroDivisionError):
        consume()
    gc.collect()
    assert queue.stats().held == 0
    with pytest.raises(CameraStateError, match="a callback's"):
        queue.take(None, None)
    assert queue.stats().error == "a callback's"


def test_a_stop_wakes_everybody() -> None:
    queue = buffers(1)
    queue.put(finished(0))
    woken = []

    def consume() -> None:
        with pytest.raises(CameraStateError):
            queue.take(10, None)
        woken.append("consumer")

    def produce() -> None:
        queue.put(finished(1))
        queue.reserve(idle)
        woken.append("producer")

    def sleep() -> None:
        assert not queue.wait_until(time.monotonic_ns() + 10**13, idle)
        woken.append("sleeper")

    threads = [threading.Thread(target=work) for work in (consume, produce, sleep)]
    for thread in threads:
        thread.start()
    queue.stop()
    for thread in threads:
        thread.join(20)
    assert sorted(woken) == ["consumer", "producer", "sleeper"]
    queue.put(finished(2))  # was under way
    stats = queue.stats()
    check(stats, 1)
    assert (stats.produced, stats.queued, stats.flushed) == (3, 0, 3)


def produce(queue: FrameBuffers, total: int) -> None:
    sequence = -1
    for number in range(total):
        queue.reserve(idle)
        missed = 2 if number % 5 == 3 else 0
        sequence += 1 + missed
        queue.put(finished(sequence, missed))
    queue.end(SceneEndedError("over"))


def consume(queue: FrameBuffers, got: list[int], may_hold: int) -> None:
    """Hold up to so many requests; release most of them, forget the others."""
    kept: list[Request] = []
    with suppress(SceneEndedError):
        for number in count():
            kept.append(queue.take(None, None))
            got.append(kept[-1].sequence)
            if number % 50 == 7:
                time.sleep(0.001)
            if number % 3 == 0:
                del kept[:]
            elif len(kept) >= may_hold:
                kept.pop(0).release()


@pytest.mark.parametrize("overflow", ["block", "drop-oldest"])
@pytest.mark.parametrize("consumers", [1, 3])
def test_counts_are_exact_while_threads_race(overflow: str, consumers: int) -> None:
    size, total, got = 3, 1000, []
    queue = buffers(size, overflow)
    work = [(produce, queue, total), *[(consume, queue, got, size if consumers == 1 else 1)] * consumers]
    threads = [threading.Thread(target=target, args=arguments) for target, *arguments in work]
    for thread in threads:
        thread.start()
    snapshots = []
    while any(thread.is_alive() for thread in threads):
        snapshots.append(queue.stats())
        time.sleep(0.0001)
    stats = queue.stats()
    for snapshot in [*snapshots, stats]:
        check(snapshot, size)
    assert (stats.produced, stats.queued, stats.held) == (total, 0, 0)
    assert stats.missed == 2 * total // 5
    assert stats.delivered == len(got) == len(set(got))
    if consumers == 1:
        assert got == sorted(got)
    if overflow == "block":
        assert stats.dropped == 0
