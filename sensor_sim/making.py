"""Frames in the making: two at a time, so that one fills the processor where the other leaves it idle."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Self

from adc_firmware import PrivateFrame
from sensor_sim.desk import Callback, Setup
from sensor_sim.finished import Finished
from sensor_sim.scene import Scene
from sensor_sim.sensor import Take
from sensor_sim.slots import Slot

AT_ONCE = 2


class Making:
    """Makes frames in threads of its own; they are finished in the order in which they were begun.

    Used in a ``with`` statement, which waits for what was begun.

    Args:
        tell: called from another thread whenever a frame is made.
    """

    def __init__(self, tell: Callable[[], None]) -> None:
        self._tell = tell
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="privcam frame")
        self._begun: deque[tuple[Future[PrivateFrame], Setup, Slot]] = deque()
        self._numbered = threading.Event()
        self._numbered.set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._threads.shutdown()

    @property
    def empty(self) -> bool:
        """Whether no frame is in the making."""
        return not self._begun

    @property
    def full(self) -> bool:
        """Whether one has to be finished before another can be begun."""
        return len(self._begun) == AT_ONCE

    def done(self) -> bool:
        """Whether the oldest frame is made and can be finished without waiting."""
        return bool(self._begun) and self._begun[0][0].done()

    def begin(self, setup: Setup, scene: Scene, take: Take, slot: Slot) -> None:
        """Begin a frame; the chip numbers it after those that were begun before."""
        before, self._numbered = self._numbered, threading.Event()
        future = self._threads.submit(_make, setup, scene, take, (before, self._numbered))
        self._begun.append((future, setup, slot))
        future.add_done_callback(lambda _: self._tell())

    def finish(self) -> tuple[Finished, Callback | None]:
        """The oldest frame, and who is to see it; waits until it is made, and raises what came in the way."""
        future, setup, slot = self._begun.popleft()
        return Finished(future.result(), slot, setup.settings, setup.sensor.profile), setup.callback

    def give_up(self) -> None:
        """Nobody wants what is in the making any more."""
        self._begun.clear()


def _make(setup: Setup, scene: Scene, take: Take, turns: tuple[threading.Event, threading.Event]) -> PrivateFrame:
    before, numbered = turns
    before.wait()
    try:
        return setup.sensor.read_out(scene, take, numbered.set)
    finally:
        numbered.set()
