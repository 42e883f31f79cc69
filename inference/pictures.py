"""Pictures of what a network has found, for the key holder."""

from __future__ import annotations

from collections.abc import Iterable
from colorsys import hsv_to_rgb
from dataclasses import dataclass
from functools import cache
from io import BytesIO

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from inference.layout import KeyedTensor

Rgb = NDArray[np.uint8]

_PALE = 0.55  # of a label's colour over the image
_GOLDEN = 0.618034
_FONT = cv2.FONT_HERSHEY_SIMPLEX


@dataclass(frozen=True, slots=True)
class Found:
    """An object.

    Attributes:
        box: (x1, y1, x2, y2) in pixels of the true frame.
        number, label: its class.
        score: in [0, 1].
    """

    box: tuple[float, float, float, float]
    number: int
    label: str
    score: float


@cache
def voc_palette() -> Rgb:
    """The colour of each class number in the masks of PASCAL VOC, uint8 (256, 3), read-only.

    Its development kit deals the bits of the number out to the three colours, from the highest bit down.
    """
    number = np.arange(256)
    colours = np.zeros((256, 3), np.uint8)
    for level in range(8):
        for channel in range(3):
            colours[:, channel] |= ((number >> (3 * level + channel) & 1) << (7 - level)).astype(np.uint8)
    colours.flags.writeable = False
    return colours


def revealed(developed: KeyedTensor) -> Rgb:
    """The plain image of the first developed frame, values in [0, 1], as uint8 RGB (h, w, 3)."""
    image = developed.reveal()[0].mul(255).add(0.5).clamp(0, 255).byte()
    return np.ascontiguousarray(image.permute(1, 2, 0).cpu().numpy())


def png(image: Rgb) -> bytes:
    """RGB as an 8-bit PNG."""
    encoded = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1]
    return bytes(encoded.tobytes())


def label_png(labels: NDArray[np.uint8]) -> bytes:
    """Class numbers (h, w) as an indexed PNG in VOC's colours: a reader of indices gets the numbers."""
    image = Image.fromarray(labels).convert("P")
    image.putpalette(voc_palette().tobytes())
    file = BytesIO()
    image.save(file, "png")
    return file.getvalue()


def overlaid(image: Rgb, labels: NDArray[np.uint8]) -> Rgb:
    """The image with the colour of each pixel's class over it; class 0, the background, stays as it is."""
    blended = (1 - _PALE) * image + _PALE * voc_palette()[labels] + 0.5
    return np.where(labels[..., None] == 0, image, blended.astype(np.uint8))


def with_boxes(image: Rgb, found: Iterable[Found]) -> Rgb:
    """A copy of the image with boxes, labels and scores drawn, the best score on top."""
    canvas = image.copy()
    width = max(2, round(min(image.shape[:2]) / 200))
    for one in sorted(found, key=lambda item: item.score):
        colour = _bright(one.number)
        corners = [round(value) for value in one.box]
        cv2.rectangle(canvas, corners[:2], corners[2:], colour, width)
        _caption(canvas, f"{one.label} {100 * one.score:.0f} %", (corners[0], corners[1]), colour)
    return canvas


def _bright(number: int) -> tuple[int, int, int]:
    """A bright colour; numbers that follow each other have hues far apart."""
    red, green, blue = hsv_to_rgb(number * _GOLDEN % 1, 0.85, 1)
    return round(255 * red), round(255 * green), round(255 * blue)


def _caption(canvas: Rgb, text: str, corner: tuple[int, int], colour: tuple[int, ...]) -> None:
    """Text on a plate of the colour, inside the canvas, with its lower left corner at ``corner`` where it fits."""
    scale = max(0.35, min(canvas.shape[:2]) / 1000)
    (width, height), below = cv2.getTextSize(text, _FONT, scale, 1)
    left = max(0, min(corner[0], canvas.shape[1] - width))
    bottom = max(height + below, corner[1])
    bright = np.dot(colour, (0.299, 0.587, 0.114)) > 128
    cv2.rectangle(canvas, (left, bottom - height - below), (left + width, bottom), colour, cv2.FILLED)
    ink = (0, 0, 0) if bright else (255, 255, 255)
    cv2.putText(canvas, text, (left, bottom - below // 2), _FONT, scale, ink, 1, cv2.LINE_AA)
