"""What a camera has while it is open."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from itertools import count

from adc_firmware import PrivateFrame
from keyvault.grant import Grant
from sensor_sim.configuration import StreamConfiguration
from sensor_sim.desk import Callback, Desk, Setup
from sensor_sim.feed import SceneFeed
from sensor_sim.keys import KeyPlace, KeySource
from sensor_sim.rotation import KeyWatch, take_over
from sensor_sim.scene import Scene
from sensor_sim.sensor import Take
from sensor_sim.stream import Stream, Supplies


class Session:
    """A sensor that is powered up, the scenes in front of it, and the stream that draws on both.

    Args:
        setup: what the first frame is made with.
        feed: the scenes.
        place: where the key was found.

    Attributes:
        stream: the one that was started and not stopped, also if it has ended by itself.
    """

    def __init__(self, setup: Setup, feed: SceneFeed, place: KeyPlace) -> None:
        self._supplies = Supplies(Desk(setup), feed, count())
        self._place = place
        self.stream: Stream | None = None

    @property
    def setup(self) -> Setup:
        """What the next frame is made with."""
        return self._supplies.desk.setup

    @property
    def scene(self) -> Scene:
        """The scene of the last frame, or of the first one to come."""
        return self._supplies.feed.current

    def change(self, change: Callable[[Setup], Setup]) -> None:
        """Change what the next frame is made with; what ``change`` raises leaves it as it is."""
        self._supplies.desk.change(change)

    def call_back(self, callback: Callback | None) -> None:
        """Let the next frame be shown to another callback."""
        self.change(lambda setup: replace(setup, callback=callback))

    def reconfigure(self, configuration: StreamConfiguration, scenes: Callable[[], SceneFeed] | None) -> None:
        """Stream otherwise from now on, with the scenes opened again if that is how; all or nothing."""
        replace(self.setup, frame_rate=configuration.frame_rate)  # refused before the scenes change
        if scenes is not None:
            feed = scenes()
            self._supplies.feed.close()
            self._supplies = replace(self._supplies, feed=feed)
        self.change(lambda setup: replace(setup, frame_rate=configuration.frame_rate))

    def capture(self, scene: Scene | None, number: int | None) -> PrivateFrame:
        """One frame in this thread."""
        setup, counted = self.setup, next(self._supplies.numbers)
        setup.sensor.grant.check_validity()
        seen = self._supplies.next_scene() if scene is None else scene
        take = Take(setup.settings, counted if number is None else number, time.time_ns())
        return setup.sensor.read_out(seen, take)

    def prepare(self, configuration: StreamConfiguration) -> Stream:
        """A stream that is still to be started."""
        self.stream = Stream(self._supplies, configuration, KeyWatch(self._place, configuration.watch_key))
        return self.stream

    def stop(self) -> None:
        """Stop the stream, if there is one."""
        if self.stream is not None:
            self.stream.stop()
            self.stream = None

    def rotate_key(self, key: KeySource | None) -> Grant:
        """Take over a newer key, from another place or from the same; raises as :meth:`Sensor.with_key` does."""
        place = self._place if key is None else replace(self._place, key=key)
        grant = take_over(place, self._supplies.desk)
        self._place = place
        if self.stream is not None:
            self.stream.watch.place = place
        return grant

    def close(self) -> None:
        """Stop, and let go of the scenes."""
        self.stop()
        self._supplies.feed.close()
