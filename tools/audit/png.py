"""Pictures in JSON and in pages: PNG files in base64."""

from __future__ import annotations

import base64

import cv2
import numpy as np
from numpy.typing import NDArray

from keyvault.console import native_messages_off
from keyvault.errors import InputError

_COLOURS = 3


def png_text(picture: NDArray[np.uint8]) -> str:
    """A uint8 picture, (h, w) grey or (h, w, 3) RGB, as a PNG file in base64; InputError if it has another shape."""
    if picture.dtype != np.uint8 or picture.ndim not in (2, 3) or (picture.ndim == 3 and picture.shape[2] != _COLOURS):
        raise InputError(
            f"a picture of shape {picture.shape} and type {picture.dtype}", hint="give (h, w) or (h, w, 3)"
        )
    stored = picture if picture.ndim == 2 else cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
    return base64.b64encode(cv2.imencode(".png", stored)[1].tobytes()).decode("ascii")


def picture_of(text: str) -> NDArray[np.uint8]:
    """The inverse of :func:`png_text`; ValueError for what is no picture of that kind."""
    data = np.frombuffer(base64.b64decode(text, validate=True), np.uint8)
    try:
        with native_messages_off():
            found = cv2.imdecode(data, cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise ValueError(f"no picture: {error.err}") from error
    if found is None or found.dtype != np.uint8 or (found.ndim == 3 and found.shape[2] != _COLOURS):
        raise ValueError("no picture of 8 bits, grey or RGB")
    return np.asarray(found if found.ndim == 2 else cv2.cvtColor(found, cv2.COLOR_BGR2RGB), np.uint8)
