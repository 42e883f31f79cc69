"""What follows from being able to capture a request."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import suppress
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adc_firmware import PrivateFrame
from sensor_sim.errors import SceneEndedError
from sensor_sim.request import RAW, Request


class RequestSource(ABC):
    """A camera that streams; everything here raises what :meth:`capture_request` raises."""

    @abstractmethod
    def capture_request(self, flush: bool = False, timeout: float | None = None) -> Request:
        """The oldest frame that waits, or the next one."""

    def requests(self, count: int | None = None) -> Iterator[Request]:
        """The stream's requests, until ``count`` or the end of the scenes; each is released before the next."""
        with suppress(SceneEndedError):
            for _ in _times(count):
                with self.capture_request() as request:
                    yield request

    def frames(self, count: int | None = None) -> Iterator[PrivateFrame]:
        """Frames until ``count`` or the end of the scenes: the stream's, or without one single ones when asked for."""
        with suppress(SceneEndedError):
            for _ in _times(count):
                yield self._next_frame()

    def capture_array(self, name: str = RAW) -> NDArray[np.uint16]:
        """The samples of the stream's next frame, as :meth:`Request.array` gives them."""
        with self.capture_request() as request:
            return request.array(name)

    def capture_metadata(self) -> dict[str, Any]:
        """The metadata of the stream's next frame."""
        with self.capture_request() as request:
            return request.metadata

    def capture_file(self, path: Path | str, encoding: str | None = None) -> dict[str, Any]:
        """Write the stream's next frame to a file, as :meth:`Request.save` does; returns its metadata."""
        with self.capture_request() as request:
            request.save(path, encoding)
            return request.metadata

    def _next_frame(self) -> PrivateFrame:
        with self.capture_request() as request:
            return request.frame


def _times(count: int | None) -> Iterator[None]:
    return repeat(None) if count is None else repeat(None, count)
