"""The counts of a stream."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StreamStats:
    """What became of the frames of a stream, all at one moment.

    ``produced == delivered + dropped + flushed + queued`` always holds.

    Attributes:
        produced: frames that were made.
        delivered: frames that the application got.
        dropped: frames whose buffer ``drop-oldest`` gave to a newer one.
        flushed: frames that ``flush=True`` or ``stop()`` threw away.
        missed: slots in which no frame was made, because the frame before took too long or no
            buffer was free; the gaps in FrameSequence.
        queued: frames that wait for the application.
        held: frames that the application got and has not released.
        frame_rate: frames made a second, from the second exposure on (the first frame takes long,
            since much is loaded for it); None before the third.
        key_error: why a newer sealed key could not be taken over; None while all is well.
        error: why the stream ended by itself; None while it runs and after ``stop()``.
    """

    produced: int = 0
    delivered: int = 0
    dropped: int = 0
    flushed: int = 0
    missed: int = 0
    queued: int = 0
    held: int = 0
    frame_rate: float | None = None
    key_error: str | None = None
    error: str | None = None
