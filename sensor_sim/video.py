"""Moving scenes through OpenCV: video files, and cameras that are plugged in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from sensor_sim.errors import SceneError

_KINDS = "3gp asf avi flv m2ts m4v mjpeg mjpg mkv mov mp4 mpeg mpg mts ogv ts vob webm wmv y4m"
SUFFIXES = frozenset(f".{kind}" for kind in _KINDS.split())
_LAST_CAMERA = 99  # greater numbers choose drivers, and OpenCV crashes on negative ones
_MISSING, _MISSING_SHARE = 2, 0.01  # frames that a container's own count may be too high by


def frame_rate(path: Path) -> float | None:
    """Frames a second that a video file states, or None; SceneError if it cannot be read."""
    with _opened(path) as video:
        rate = video.get(cv2.CAP_PROP_FPS)
    return float(rate) if 0 < rate < np.inf else None


def count(path: Path) -> int | None:
    """How many frames a video file says it has, or None; SceneError if it cannot be read."""
    with _opened(path) as video:
        return _stated(video)


def frames(path: Path) -> Iterator[NDArray[np.uint8]]:
    """The frames of a video file: uint8 RGB (h, w, 3), upright.

    Raises:
        SceneError: it cannot be read, or ends more than 2 frames and 1 % before the end that it states.
    """
    with _opened(path) as video:
        expected, found = _stated(video), 0
        while (image := _next(video)) is not None:
            found += 1
            yield image
    if not found or (expected is not None and found < expected - max(_MISSING, _MISSING_SHARE * expected)):
        raise SceneError(
            f"scene {path} ends after {found} of {expected or 'an unknown number of'} frames",
            hint="the video is damaged or incomplete; fetch it again, or encode it anew",
        )


def live(number: int) -> Iterator[NDArray[np.uint8]]:
    """What a camera of this machine sees, without end: uint8 RGB (h, w, 3).

    Raises:
        SceneError: there is no such camera, or it stops answering.
    """
    if not 0 <= number <= _LAST_CAMERA:
        raise _no_camera(number)
    camera = cv2.VideoCapture(number)
    try:
        if not camera.isOpened():
            raise _no_camera(number)
        while (image := _next(camera)) is not None:
            yield image
        raise SceneError(f"camera {number} has stopped answering", hint="check its cable")
    finally:
        camera.release()


def _no_camera(number: int) -> SceneError:
    return SceneError(
        f"there is no camera {number} on this machine, or another program uses it",
        hint="choose another number, or give a file",
    )


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    try:
        with path.open("rb"):
            pass
    except OSError as error:
        raise SceneError(f"cannot read scene {path}: {error.strerror}", hint="check the path") from error
    video = cv2.VideoCapture(str(path.absolute()), cv2.CAP_FFMPEG)
    try:
        if not video.isOpened():
            raise SceneError(f"scene {path} is not a video that OpenCV decodes", hint="encode it anew, as H.264 in MP4")
        yield video
    finally:
        video.release()


def _next(video: Any) -> NDArray[np.uint8] | None:
    there, image = video.read()
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB) if there else None


def _stated(video: Any) -> int | None:
    number = video.get(cv2.CAP_PROP_FRAME_COUNT)
    return int(number) if 0 < number < 2**31 else None
