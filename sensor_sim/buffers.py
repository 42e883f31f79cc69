"""Frames on their way from the producer to the application, and their exact counts."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from functools import partial

from sensor_sim.configuration import Overflow, StreamConfiguration
from sensor_sim.errors import CameraStateError, FrameTimeoutError
from sensor_sim.finished import Finished
from sensor_sim.request import Request
from sensor_sim.slots import SECOND_NS
from sensor_sim.stats import StreamStats

_MAX_WAIT_S = 3600.0  # a condition takes no longer ones on some platforms; the wait goes on


class FrameBuffers:
    """The queue between one producer and any number of consumers.

    One lock guards everything, so counts belong together.  It is reentrant, and what is held is a
    set, because a forgotten request gives its buffer back whenever it is collected: also in a
    thread that holds the lock.
    """

    def __init__(self, configuration: StreamConfiguration) -> None:
        self._changed = threading.Condition(threading.RLock())
        self._count = configuration.buffer_count
        self._drop = configuration.overflow is Overflow.DROP_OLDEST
        self._queue: deque[Finished] = deque()
        self._held: set[int] = set()
        self._making = 0
        self._starved = False
        self._waiting = 0
        self._over: BaseException | None = None
        self._error: str | None = None
        self._stopped = False
        self._key_error: str | None = None
        self._produced = self._delivered = self._dropped = self._flushed = self._missed = 0
        self._second_ns = self._last_ns = 0

    # the producer's side

    def wait_until(self, moment_ns: int, busy: Callable[[], bool]) -> bool:
        """Sleep until ``moment_ns`` of the monotonic clock; False if there is something else to do before.

        Args:
            moment_ns: monotonic clock, nanoseconds.
            busy: whether there is something else to do; looked at again after :meth:`wake`.
        """
        with self._changed:
            while not (self._stopped or busy()):
                left = moment_ns - time.monotonic_ns()
                if left <= 0:
                    return True
                self._changed.wait(min(left / SECOND_NS, _MAX_WAIT_S))
            return False

    def reserve(self, busy: Callable[[], bool]) -> bool:
        """Find a buffer for the next frame; False, without one, if there is something else to do before.

        Args:
            busy: as in :meth:`wait_until`.
        """
        with self._changed:
            while not (self._stopped or busy()):
                taken = len(self._queue) + len(self._held)
                if taken + self._making < self._count:
                    self._making += 1
                    return True
                if self._drop and len(self._queue) > self._waiting:
                    self._queue.popleft()
                    self._dropped += 1
                else:
                    self._starved = self._starved or taken >= self._count
                    self._changed.wait()
            return False

    def starved(self) -> bool:
        """Whether the application's frames left no buffer for the one reserved last."""
        with self._changed:
            starved, self._starved = self._starved, False
            return starved

    def wake(self) -> None:
        """Let the producer look whether there is something to do."""
        with self._changed:
            self._changed.notify_all()

    @property
    def stopped(self) -> bool:
        """Whether nobody wants frames any more."""
        return self._stopped

    def put(self, finished: Finished) -> None:
        """Queue a frame in the buffer that was reserved for it; after a stop nobody wants it."""
        with self._changed:
            self._making -= 1
            self._last_ns = finished.slot.start_ns
            if self._produced <= 1:
                self._second_ns = self._last_ns
            self._produced += 1
            self._missed += finished.slot.missed
            if self._stopped:
                self._flushed += 1
            else:
                self._queue.append(finished)
                self._changed.notify_all()

    def end(self, why: BaseException) -> None:
        """No frame comes any more; consumers are told why once the queue is empty."""
        with self._changed:
            if self._over is None:
                self._over, self._error = why, str(why) or repr(why)
            self._changed.notify_all()

    def note_key_error(self, message: str | None) -> None:
        """Why a newer key was not taken over, for the statistics."""
        with self._changed:
            self._key_error = message

    # the application's side

    def take(self, after_ns: int | None, timeout: float | None) -> Request:
        """The oldest frame that is queued, or the next one.

        Args:
            after_ns: frames whose exposure started before this moment of the monotonic clock are
                thrown away.
            timeout: seconds.

        Raises:
            FrameTimeoutError: none came in time.
            SceneEndedError: there are no more scenes.
            CameraStateError: the stream was stopped.
            BaseException: what ended the producer, to the first who asks; CameraStateError to others.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        with self._changed:
            while True:
                self._flush(after_ns)
                if self._queue:
                    return self._hand_over()
                if self._over is not None:
                    raise self._reason(self._over)
                self._wait(deadline, timeout)

    def give_back(self, sequence: int) -> None:
        """A frame that was delivered is not used any more."""
        with self._changed:
            self._held.discard(sequence)
            self._changed.notify_all()

    def stop(self) -> None:
        """Throw away what is queued, and send everybody home who waits here."""
        with self._changed:
            if not self._stopped:
                self._stopped = True
                self._flushed += len(self._queue)
                self._queue.clear()
                self._over = CameraStateError("the stream was stopped", hint="camera.start() begins a new one")
                self._error = None
                self._changed.notify_all()

    def stats(self) -> StreamStats:
        """All counts at one moment."""
        with self._changed:
            seconds = (self._last_ns - self._second_ns) / SECOND_NS
            return StreamStats(
                produced=self._produced,
                delivered=self._delivered,
                dropped=self._dropped,
                flushed=self._flushed,
                missed=self._missed,
                queued=len(self._queue),
                held=len(self._held),
                frame_rate=(self._produced - 2) / seconds if seconds > 0 else None,
                key_error=self._key_error,
                error=self._error,
            )

    def _reason(self, over: BaseException) -> BaseException:
        """What to raise.  Nothing that was raised is kept: its traceback would keep its raiser's requests."""
        if isinstance(over, CameraStateError):
            return type(over)(str(over), hint=over.hint)
        self._over = CameraStateError(f"the stream has ended: {self._error}", hint="camera.start() begins a new one")
        return over

    def _flush(self, after_ns: int | None) -> None:
        if after_ns is None:
            return
        before = self._flushed
        while self._queue and self._queue[0].slot.start_ns < after_ns:
            self._queue.popleft()
            self._flushed += 1
        if self._flushed > before:  # or those who wait to flush would wake each other without end
            self._changed.notify_all()

    def _hand_over(self) -> Request:
        sequence = self._queue[0].slot.sequence
        request = Request(self._queue[0], partial(self.give_back, sequence))  # first: so no interrupt loses a buffer
        self._held.add(sequence)
        self._queue.popleft()
        self._delivered += 1
        return request

    def _wait(self, deadline: float | None, timeout: float | None) -> None:
        left = _MAX_WAIT_S if deadline is None else deadline - time.monotonic()
        if left <= 0:
            raise FrameTimeoutError(
                f"no frame came within {timeout:g} s",
                hint="wait longer, or release requests: without a free buffer no frame is made",
            )
        self._waiting += 1
        try:
            self._changed.wait(min(left, _MAX_WAIT_S))
        finally:
            self._waiting -= 1
