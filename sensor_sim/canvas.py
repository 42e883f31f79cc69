"""Drawing with OpenCV: text, lines and pictures on a white page."""

from __future__ import annotations

from enum import Enum

import cv2
import numpy as np
from numpy.typing import NDArray

Colour = tuple[int, int, int]
"""Red, green, blue."""

INK: Colour = (34, 34, 38)
FAINT: Colour = (118, 118, 126)
RULE: Colour = (208, 208, 214)
PAPER: Colour = (255, 255, 255)

_FONT = cv2.FONT_HERSHEY_SIMPLEX
_PIXELS_AT_ONE = 22  # height of a capital at font scale 1


class Align(Enum):
    """Which point of a text is given."""

    LEFT = 0.0
    MIDDLE = 0.5
    RIGHT = 1.0


class Canvas:
    """A page of ``width`` x ``height`` pixels; places are pixels from the top left corner."""

    def __init__(self, width: int, height: int) -> None:
        self._pixels: NDArray[np.uint8] = np.full((height, width, 3), PAPER, np.uint8)

    def text(
        self,
        place: tuple[int, int],
        words: str,
        size: float = 10,
        colour: Colour = INK,
        align: Align = Align.LEFT,
    ) -> None:
        """One line of ASCII text, its baseline at ``place``; ``size`` is the height of a capital letter."""
        x, y = place
        scale = size / _PIXELS_AT_ONE
        origin = (round(x - align.value * text_width(words, size)), y)
        cv2.putText(self._pixels, words, origin, _FONT, scale, colour, 1, cv2.LINE_AA)

    def line(self, begin: tuple[int, int], end: tuple[int, int], colour: Colour = RULE) -> None:
        """A straight line, one pixel wide."""
        cv2.line(self._pixels, begin, end, colour, 1)

    def dashes(self, x: int, top: int, bottom: int, colour: Colour) -> None:
        """A dashed vertical line."""
        for y in range(top, bottom, 8):
            self.line((x, y), (x, min(y + 4, bottom)), colour)

    def fill(self, place: tuple[int, int], size: tuple[int, int], colour: Colour) -> None:
        """A filled rectangle; ``place`` is its top left corner."""
        (x, y), (width, height) = place, size
        self._pixels[y : y + height, x : x + width] = colour

    def outline(self, place: tuple[int, int], size: tuple[int, int], colour: Colour = RULE) -> None:
        """The frame around a rectangle of that place and size."""
        (x, y), (width, height) = place, size
        cv2.rectangle(self._pixels, (x - 1, y - 1), (x + width, y + height), colour, 1)

    def picture(self, place: tuple[int, int], rgb: NDArray[np.uint8]) -> None:
        """A picture, uint8 (h, w, 3), red first."""
        (x, y), (height, width) = place, rgb.shape[:2]
        self._pixels[y : y + height, x : x + width] = rgb

    def png(self) -> bytes:
        """The page as a PNG file."""
        encoded = cv2.imencode(".png", cv2.cvtColor(self._pixels, cv2.COLOR_RGB2BGR))[1]
        return bytes(encoded.tobytes())


def text_width(words: str, size: float) -> int:
    """Pixels that a text takes."""
    (width, _), _ = cv2.getTextSize(words, _FONT, size / _PIXELS_AT_ONE, 1)
    return int(width)


def shortened(words: str, size: float, room: int) -> str:
    """The text, its middle left out if it would take more than ``room`` pixels."""
    if text_width(words, size) <= room:
        return words
    kept = len(words)
    while kept > 2:
        kept -= 1
        short = f"{words[: (kept + 1) // 2]}...{words[len(words) - kept // 2 :]}"
        if text_width(short, size) <= room:
            return short
    return words[:1]
