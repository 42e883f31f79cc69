"""When exposures start: slots of equal length on the monotonic clock, without drift."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor

SECOND_NS = 10**9


@dataclass(frozen=True, slots=True)
class Timing:
    """How exposures follow each other.

    Attributes:
        period_ns: from one to the next, nanoseconds.
        fixed: whether they start at whole multiples of the period, or at that distance or more.
    """

    period_ns: Fraction
    fixed: bool

    @classmethod
    def of(cls, frame_rate: float | None, shortest_us: float) -> Timing:
        """Fixed slots at a frame rate, or without one as soon as the sensor allows (microseconds)."""
        if frame_rate is None:
            return cls(Fraction(shortest_us) * 1000, fixed=False)
        return cls(SECOND_NS / Fraction(frame_rate), fixed=True)


@dataclass(frozen=True, slots=True)
class Slot:
    """One exposure.

    Attributes:
        sequence: its number in the stream; those that were missed have numbers too.
        start_ns: monotonic clock, nanoseconds.
        missed: how many slots passed unused since the one before.
        duration_us: from slot to slot, microseconds; None where slots are not fixed.
    """

    sequence: int
    start_ns: int
    missed: int = 0
    duration_us: int | None = None


class SlotClock:
    """Hands out slots in order; slot n starts at t0 + n * period, rounded up to a nanosecond.

    Args:
        now_ns: start of slot 0, monotonic clock.
        timing: how the others follow.
    """

    def __init__(self, now_ns: int, timing: Timing) -> None:
        self._origin_ns, self._origin = now_ns, 0
        self._next = 0
        self._timing = timing

    @property
    def due_ns(self) -> int:
        """When the next slot starts, at the soonest."""
        return self._start(self._next)

    def begin(self, now_ns: int) -> None:
        """The next slot starts now, or when it is due: after a first exposure for which much had to be loaded."""
        self._origin_ns, self._origin = max(now_ns, self.due_ns), self._next

    def change(self, timing: Timing) -> None:
        """Slots follow so from now on, counted from the last one that was taken."""
        if timing != self._timing:
            if self._next > 0:
                last = self._next - 1
                self._origin_ns, self._origin = self._start(last), last
            self._timing = timing

    def take(self, now_ns: int, *, upcoming: bool) -> Slot:
        """The next slot.

        Args:
            now_ns: monotonic clock.
            upcoming: the slot must not have started before ``now_ns``; otherwise it may be late by
                less than a period.
        """
        timing, sequence = self._timing, self._next
        if not timing.fixed:
            self._origin_ns, self._origin = max(now_ns, self.due_ns), sequence
        else:
            passed = now_ns - self._origin_ns
            periods = floor((passed - 1) / timing.period_ns) + 1 if upcoming else floor(passed / timing.period_ns)
            sequence = max(sequence, self._origin + periods)
        missed, self._next = sequence - self._next, sequence + 1
        duration = round(timing.period_ns / 1000) if timing.fixed else None
        return Slot(sequence, self._start(sequence), missed, duration)

    def _start(self, sequence: int) -> int:
        return self._origin_ns + ceil((sequence - self._origin) * self._timing.period_ns)
