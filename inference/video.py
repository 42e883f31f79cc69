"""Frames of a stream, made ready while the network works on those before them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

from inference.errors import InputMismatchError
from inference.imaging import IspSettings, isp
from inference.imaging.pipeline import Frame
from inference.layout import KeyedTensor
from inference.session import Session


def stream(
    frames: Iterable[Frame],
    session: Session | None = None,
    settings: IspSettings | None = None,
    *,
    size: tuple[int, int] | None = None,
    ahead: int = 1,
) -> Iterator[KeyedTensor]:
    """Develop the frames of a stream one by one, like :func:`inference.isp`, and some of them ahead.

    While the caller works on a frame, a thread reads the next one, verifies it, expands its key and
    develops it.  A camera that captures when it is asked for a frame is asked in that thread.

    Args:
        frames: private frames, their files, or what session.open returned, in the order of the stream.
        session, settings, size: see :func:`inference.isp`.
        ahead: how many frames may be ready before they are asked for.

    Yields a KeyedTensor (1, 3, h, w) for each frame.  Raises, in the frame's turn, what isp raises for
    it, which ends the stream, and InputMismatchError at once if ``ahead`` is not 1 or more.
    """
    if type(ahead) is not int or ahead < 1:
        raise InputMismatchError(f"{ahead} frames cannot be ready ahead", hint="give 1 or more")
    return _stream(iter(frames), session, settings, size, ahead)


def _stream(
    frames: Iterator[Frame],
    session: Session | None,
    settings: IspSettings | None,
    size: tuple[int, int] | None,
    ahead: int,
) -> Iterator[KeyedTensor]:
    def develop() -> KeyedTensor | None:
        for frame in frames:
            return isp(frame, session, settings, size=size)
        return None

    with ThreadPoolExecutor(1, thread_name_prefix="privcam-stream") as worker:
        ready: deque[Future[KeyedTensor | None]] = deque(worker.submit(develop) for _ in range(ahead))
        try:
            while (frame := ready.popleft().result()) is not None:
                ready.append(worker.submit(develop))
                yield frame
        finally:
            for waiting in ready:
                waiting.cancel()
