"""From a stream to files: one a frame, until there are enough, time is up, or somebody says stop."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from sensor_sim.camera import Camera
from sensor_sim.errors import FramesDroppedError, FrameTimeoutError, SceneEndedError
from sensor_sim.metadata_file import MetadataFile
from sensor_sim.outputs import FrameNames
from sensor_sim.request import Request

_LOOK_S = 0.1  # how often a wait for a frame looks whether it is to stop
_GRACE_S = 1.0  # for a frame that was exposed in time and is not there yet
_SECOND_NS = 10**9


@dataclass(frozen=True, slots=True)
class Plan:
    """What to record.

    Attributes:
        names: of the files; a frame's number is that of its slot in the stream.
        encoding: of the files, None for that of their names.
        frames: how many; None: no limit.
        seconds: how long, counted in slots at a fixed frame rate; None: no limit.
    """

    names: FrameNames
    encoding: str | None = None
    frames: int | None = None
    seconds: float | None = None


@dataclass(slots=True)
class Recorded:
    """What was recorded so far.

    Attributes:
        frames: in files.
        slots: of the stream from its start to the last of these frames.
        dropped: frames that were made but given up for newer ones.
        moments: exposures of the first, the second and the last of them, nanoseconds.
        key_error: why a newer key could not be taken over, or None.
    """

    frames: int = 0
    slots: int = 0
    dropped: int = 0
    moments: list[int] = field(default_factory=list)
    key_error: str | None = None

    @property
    def missed(self) -> int:
        """Slots in which no frame was made."""
        return self.slots - self.frames - self.dropped

    @property
    def frame_rate(self) -> float | None:
        """Frames a second; the first one, for which much is loaded, does not count."""
        if len(self.moments) < 3:
            return None
        _, second, last = self.moments
        return (self.frames - 2) / (last - second) * _SECOND_NS

    def note(self, request: Request, camera: Camera) -> None:
        """Count a frame that was written."""
        stats = camera.stats
        self.frames, self.slots = self.frames + 1, request.sequence + 1
        self.dropped = min(stats.dropped, self.slots - self.frames)
        self.moments = [*self.moments[:2], request.frame.header.timestamp_ns]
        self.key_error = stats.key_error

    def summary(self) -> str:
        """In one line."""
        counts = f"{self.frames} frames, {self.dropped} dropped, {self.missed} missed"
        return counts if self.frame_rate is None else f"{counts}, {self.frame_rate:.2f} frames/s"

    def check_whole(self) -> None:
        """Raise FramesDroppedError if a frame between the first slot and the last is not there."""
        if self.slots > self.frames:
            raise FramesDroppedError(
                f"the recording has gaps: {self.summary()}",
                hint="ask for a lower --framerate or for more buffers, or write to a faster disk",
            )


def record(
    camera: Camera,
    plan: Plan,
    stop: threading.Event,
    *,
    metadata: MetadataFile | None = None,
    written: Callable[[Path], object] | None = None,
) -> Recorded:
    """Stream into files.

    Args:
        camera: open and configured; it does not stream afterwards.
        plan: what to record.
        stop: ends the recording when it is set; frames that were not written then are thrown away.
        metadata: gets a record a frame.
        written: told of each file.

    Raises:
        SceneEndedError: the scenes ended before there were ``plan.frames``.
        PrivcamError: what ended the stream, or writing; files of earlier frames are whole.
    """
    recorded = Recorded()
    camera.start()
    try:
        for request in _requests(camera, plan, stop):
            path = plan.names.path(request.sequence)
            request.save(path, plan.encoding)
            if metadata is not None:
                metadata.add({"file": str(path)} | request.metadata)
            recorded.note(request, camera)
            if written is not None:
                written(path)
    finally:
        camera.stop()
    return recorded


@contextmanager
def stopping(event: threading.Event) -> Iterator[None]:
    """Let the first SIGINT or SIGTERM set an event; the next one does what it does without this."""
    if threading.current_thread() is not threading.main_thread():  # only that one may handle signals
        yield
        return
    before: dict[int, Any] = {}

    def asked(number: int, _frame: FrameType | None) -> None:
        event.set()
        signal.signal(number, before[number])

    try:
        for which in (signal.SIGINT, signal.SIGTERM):
            before[which] = signal.signal(which, asked)
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _requests(camera: Camera, plan: Plan, stop: threading.Event) -> Iterator[Request]:
    """The requests that belong to the recording, each released before the next."""
    begun_s = first_ns = 0.0
    count = 0
    while count != plan.frames and not stop.is_set():
        try:
            request = camera.capture_request(timeout=_LOOK_S)
        except FrameTimeoutError:
            if count and plan.seconds is not None and time.monotonic() - begun_s > plan.seconds + _GRACE_S:
                return
            continue
        except SceneEndedError as error:
            if plan.frames is None:
                return
            what = f"{error} after {count} of {plan.frames} frames"
            raise SceneEndedError(what, hint="--loop plays them again and again") from error
        with request:
            if count == 0:
                begun_s, first_ns = time.monotonic(), request.frame.header.timestamp_ns
            if plan.seconds is not None and _elapsed(camera, request, first_ns) >= plan.seconds:
                return
            count += 1
            yield request


def _elapsed(camera: Camera, request: Request, first_ns: float) -> float:
    """Seconds from the recording's first exposure to this one."""
    rate = camera.configuration.frame_rate
    if rate is not None:
        return request.sequence / rate
    return (request.frame.header.timestamp_ns - first_ns) / _SECOND_NS
