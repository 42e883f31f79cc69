"""The producer: one thread that exposes, reads out and queues frame after frame."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from sensor_sim.buffers import FrameBuffers
from sensor_sim.configuration import StreamConfiguration
from sensor_sim.desk import Desk
from sensor_sim.errors import SceneEndedError
from sensor_sim.feed import SceneFeed
from sensor_sim.making import Making
from sensor_sim.request import Request
from sensor_sim.rotation import KeyWatch
from sensor_sim.scene import Scene
from sensor_sim.sensor import Take
from sensor_sim.slots import SlotClock


@dataclass(frozen=True, slots=True)
class Supplies:
    """What a stream draws on, and a camera keeps from one stream to the next.

    Attributes:
        desk: the setup of the next frame.
        feed: the scenes.
        numbers: of the noise of each frame.
    """

    desk: Desk
    feed: SceneFeed
    numbers: Iterator[int]

    def next_scene(self) -> Scene:
        """What the next frame sees; SceneEndedError if there is nothing any more."""
        scene = self.feed.next()
        if scene is None:
            raise SceneEndedError(self.feed.ended(), hint="configure(loop=True) plays them again and again")
        return scene


class Stream:
    """A producer, and the frames that it has made.

    Args:
        supplies: what it draws on.
        configuration: how it streams.
        watch: looks for newer keys between frames.
    """

    def __init__(self, supplies: Supplies, configuration: StreamConfiguration, watch: KeyWatch) -> None:
        self.buffers = FrameBuffers(configuration)
        self.watch = watch
        self._supplies = supplies
        self._thread = threading.Thread(target=self._run, name="privcam camera", daemon=True)

    def start(self) -> None:
        """Begin; a stream does so once."""
        self._thread.start()

    @property
    def running(self) -> bool:
        """Whether frames are still made."""
        return self._thread.is_alive()

    def stop(self, wait_s: float | None = None) -> None:
        """Make no more frames, throw away what is queued, and wait for the thread; more than once does nothing.

        From the callback, which the thread itself calls, it does not wait.

        Args:
            wait_s: for so many seconds at most; None for as long as a scene or callback takes.
        """
        self.buffers.stop()
        if threading.current_thread() is not self._thread and self.running:
            self._thread.join(wait_s)

    def _run(self) -> None:
        try:
            self._produce()
        except BaseException as error:  # whatever it is, the application is told
            self.buffers.end(error)

    def _produce(self) -> None:
        buffers, desk = self.buffers, self._supplies.desk
        now_ns = time.monotonic_ns()
        clock, since_1970_ns = SlotClock(now_ns, desk.setup.timing), time.time_ns() - now_ns
        with Making(buffers.wake) as making:
            try:
                while self._until(making, lambda busy: buffers.wait_until(clock.due_ns, busy)):
                    if not self._until(making, buffers.reserve):
                        return
                    self._look_for_key()
                    setup = desk.setup
                    setup.sensor.grant.check_validity()
                    clock.change(setup.timing)
                    slot = clock.take(time.monotonic_ns(), upcoming=buffers.starved())
                    if not self._until(making, partial(buffers.wait_until, slot.start_ns)):
                        return
                    scene = self._supplies.next_scene()
                    take = Take(setup.settings, next(self._supplies.numbers), since_1970_ns + slot.start_ns)
                    making.begin(setup, scene, take, slot)
                    if slot.sequence == 0:
                        self._finish(making)
                        clock.begin(time.monotonic_ns())
            finally:  # frames that were begun before the scenes ended, or one could not be read
                while not (making.empty or buffers.stopped):
                    self._finish(making)

    def _until(self, making: Making, wait: Callable[[Callable[[], bool]], bool]) -> bool:
        """Wait for something, and finish frames meanwhile; False once the stream is stopped."""
        while not self.buffers.stopped:
            if making.full or making.done():
                self._finish(making)
            elif wait(making.done):
                return True
        return False

    def _finish(self, making: Making) -> None:
        """Wait for the oldest frame in the making, show it to the callback, and queue it."""
        try:
            finished, callback = making.finish()
            if callback is not None:
                with Request(finished, _nothing) as request:
                    callback(request)
        except BaseException:
            making.give_up()  # what comes after a gap is not delivered
            raise
        self.buffers.put(finished)

    def _look_for_key(self) -> None:
        before = self.watch.error
        self.watch.look(self._supplies.desk, time.monotonic_ns())
        if self.watch.error != before:
            self.buffers.note_key_error(self.watch.error)


def _nothing() -> None:
    """A callback's request has no buffer to give back."""
