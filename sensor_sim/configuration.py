"""How a camera streams: plain values, checked when made."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from sensor_sim.errors import SettingsError

MAX_BUFFERS = 1024
MAX_RATE = 1e6


class Overflow(StrEnum):
    """What happens to a frame for which no buffer is free."""

    BLOCK = "block"
    DROP_OLDEST = "drop-oldest"


@dataclass(frozen=True, slots=True)
class StreamConfiguration:
    """How a camera streams.

    Attributes:
        frame_rate: exposures a second, at fixed times; None: each as soon as it can be made, but
            not sooner after the one before than the sensor's readout and the exposure time allow.
        buffer_count: frames there are at most at any time: being made, queued, and held by the
            application.
        overflow: without a free buffer, ``block`` makes no frame until there is one;
            ``drop-oldest`` gives the buffer of the oldest queued frame to the next one.
        loop: begin the scenes again when they have ended.
        watch_key: look every so many seconds whether the sealed key or the status list has changed on
            disk; take over a newer key, and end if the one in use was taken back.  None: keys change
            by :meth:`Camera.rotate_key` alone.

    Raises SettingsError when constructed with values out of range.
    """

    frame_rate: float | None = None
    buffer_count: int = 4
    overflow: Overflow = Overflow.BLOCK
    loop: bool = False
    watch_key: float | None = None

    def __post_init__(self) -> None:
        if self.overflow not in tuple(Overflow):
            raise SettingsError(f"overflow {self.overflow!r:.40} is not {' or '.join(Overflow)}")
        object.__setattr__(self, "overflow", Overflow(self.overflow))
        check_rate(self.frame_rate)
        if type(self.buffer_count) is not int or not 1 <= self.buffer_count <= MAX_BUFFERS:
            raise SettingsError(f"buffer_count {self.buffer_count!r:.40} is not a whole number 1 to {MAX_BUFFERS}")
        if type(self.loop) is not bool:
            raise SettingsError(f"loop {self.loop!r:.40} is not true or false")
        if self.watch_key is not None and not _real(self.watch_key, 0, 1e6):
            raise SettingsError(f"watch_key {self.watch_key!r:.40} is not 0 to 1000000 seconds")

    def with_fields(self, fields: dict[str, Any]) -> StreamConfiguration:
        """The same but for some fields; SettingsError for one that there is not."""
        unknown = [name for name in fields if name not in self.__slots__]
        if unknown:
            raise SettingsError(
                f"a stream has no {unknown[0]!r:.40} to configure", hint=f"there are {', '.join(self.__slots__)}"
            )
        return replace(self, **fields)


def check_rate(rate: Any) -> None:
    """Raise SettingsError unless ``rate`` is None or 0.000001 to 1,000,000 frames a second."""
    if rate is not None and not _real(rate, 1 / MAX_RATE, MAX_RATE):
        raise SettingsError(f"frame rate {rate!r:.40} is not 0.000001 to 1000000 frames a second")


def _real(value: Any, low: float, high: float) -> bool:
    return isinstance(value, int | float) and type(value) is not bool and math.isfinite(value) and low <= value <= high
