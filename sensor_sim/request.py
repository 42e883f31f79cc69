"""A completed request: one frame of a stream in the hands of the application."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from adc_firmware import PrivateFrame, write
from sensor_sim.errors import CameraStateError, SettingsError
from sensor_sim.finished import Finished
from sensor_sim.outputs import describe_frame

RAW = "raw"


class Request:
    """A frame with its buffer, which goes back to the stream on release.

    Use it in a ``with`` statement, or call :meth:`release`; one that is forgotten gives its buffer
    back when it is collected.  Arrays and frames that were taken from it stay valid after that.
    Everything here raises CameraStateError once it is released.
    """

    __slots__ = ("__weakref__", "_finished", "_give_back")

    def __init__(self, finished: Finished, give_back: Callable[[], None]) -> None:
        self._finished: Finished | None = finished
        self._give_back = weakref.finalize(self, give_back)
        self._give_back.atexit = False

    def __enter__(self) -> Self:
        self._use()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.release()

    def __repr__(self) -> str:
        finished = self._finished
        return "Request(released)" if finished is None else f"Request({finished.slot.sequence}, {finished.frame!r})"

    @property
    def frame(self) -> PrivateFrame:
        """The frame as it left the chip: header, samples, signature."""
        return self._use().frame

    @property
    def sequence(self) -> int:
        """Number of its slot in the stream, from 0; slots that were missed leave gaps."""
        return self._use().slot.sequence

    @property
    def metadata(self) -> dict[str, Any]:
        """What is known of the frame, by libcamera's names where it has one (docs/sdk.md)."""
        made = self._use()
        return describe_frame(made.frame, made.profile, made.settings, made.slot)

    def array(self, name: str = RAW) -> NDArray[np.uint16]:
        """The samples in stored order, shuffled and masked.

        Args:
            name: of the stream; there is one, ``"raw"``: a chip that puts out private frames has no
                processed picture to give.

        Returns:
            uint16 (h, w), or (h, w, 3) for a stacked sensor; a view that cannot be written to.

        Raises:
            SettingsError: there is no such stream.
        """
        if name != RAW:
            raise SettingsError(f"there is no stream {name!r:.40}, only {RAW!r}")
        return self._use().frame.samples

    def save(self, path: Path | str, encoding: str | None = None) -> None:
        """Write the frame's file, whole or not at all; raises as :func:`adc_firmware.write` does."""
        write(self._use().frame, Path(path), encoding)

    def release(self) -> None:
        """Give the buffer back; more than once does nothing."""
        self._finished = None
        self._give_back()

    def _use(self) -> Finished:
        if self._finished is None:
            raise CameraStateError("this request was released", hint="take what you need from it before")
        return self._finished
