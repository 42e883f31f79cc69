"""The built-in scene: a test chart drawn for the sensor at hand.

From top to bottom: a grey scale in twelve steps of equal lightness; five hues and a skin tone in three strengths;
an edge slanted by five degrees beside a star of 24 spokes; lines that grow finer from left to
right; a smooth ramp.  Squares mark the corners, red at the top left, so that a frame that was
turned or mirrored shows.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sensor_sim.photograph import srgb_to_linear
from sensor_sim.scene import LightScene

NAME = "the built-in chart"
GREY_STEPS = 12
EDGE_DEGREES = 5.0
SPOKES = 24
BACKGROUND, DARK, BRIGHT = 0.18, 0.03, 0.85  # radiances; 0.18 is a photographer's mid grey
_HUES = ((0.80, 0.16, 0.16), (0.82, 0.60, 0.12), (0.22, 0.60, 0.20), (0.14, 0.58, 0.66), (0.18, 0.24, 0.68))
_SKIN = (0.76, 0.55, 0.46)
_CORNERS = ((1.0, 0.05, 0.05), (0.05, 0.6, 0.05), (0.05, 0.05, 1.0), (0.95, 0.95, 0.95))
_FINEST = 0.25  # cycles a photosite at the right end of the lines

Light = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class _Field:
    """Where something is drawn, as fractions of the picture: rows top to bottom, columns left to right."""

    top: float
    bottom: float
    left: float
    right: float
    paint: Callable[[int, int], Light]


def draw(width: int, height: int) -> LightScene:
    """The chart for a sensor of ``width`` x ``height`` photosites; the same pixels every time."""
    light = np.full((height, width, 3), BACKGROUND, np.float32)
    for field in _FIELDS:
        rows = slice(round(field.top * height), round(field.bottom * height))
        columns = slice(round(field.left * width), round(field.right * width))
        part = light[rows, columns]
        if part.size:
            part[:] = field.paint(part.shape[1], part.shape[0])
    _corners(light)
    return LightScene(light, NAME)


def _grey_scale(width: int, _: int) -> Light:
    step = np.arange(width) * GREY_STEPS // width
    return srgb_to_linear(step / (GREY_STEPS - 1)).astype(np.float32)[None, :, None]


def _colours(width: int, height: int) -> Light:
    """Hues in columns; full strength, pale and dark in rows; thin frames of background between."""
    hues = srgb_to_linear(np.array((*_HUES, _SKIN)))
    patches = np.stack([hues, 0.45 * hues + 0.40, 0.30 * hues]).astype(np.float32)
    row = np.arange(height) * 3 // height
    column = np.arange(width) * len(hues) // width
    light = patches[row[:, None], column[None, :]]
    frame = (_near_border(height, 3)[:, None] | _near_border(width, len(hues))[None, :])[:, :, None]
    return np.where(frame, np.float32(BACKGROUND), light)


def _near_border(length: int, parts: int) -> NDArray[np.bool_]:
    place = np.arange(length) * parts / length % 1
    return np.asarray((place < 0.04) | (place >= 0.96)) if length >= 16 * parts else np.zeros(length, np.bool_)


def _edge(width: int, height: int) -> Light:
    y, x = _centred(width, height)
    angle = math.radians(EDGE_DEGREES)
    return _between(x * math.cos(angle) + y * math.sin(angle))


def _star(width: int, height: int) -> Light:
    """Spokes; the distance to the nearest edge of one is radius * angle, which softens the edges."""
    y, x = _centred(width, height)
    radius = np.hypot(x, y)
    spokes = _between(radius * np.sin(SPOKES * np.arctan2(y, x)) / SPOKES)
    outside = np.clip(radius - 0.48 * min(width, height) + 0.5, 0, 1)[:, :, None]
    return np.asarray(spokes + (BACKGROUND - spokes) * outside, np.float32)


def _lines(width: int, _: int) -> Light:
    """A sine whose frequency grows linearly from nothing to a quarter of a cycle a photosite."""
    x = np.arange(width, dtype=np.float64)
    wave = np.sin(math.pi * _FINEST * x**2 / width)
    return (0.5 * (BRIGHT + DARK) + 0.5 * (BRIGHT - DARK) * wave).astype(np.float32)[None, :, None]


def _ramp(width: int, _: int) -> Light:
    return np.linspace(0, 1, width, dtype=np.float32)[None, :, None]


def _corners(light: Light) -> None:
    height, width = light.shape[:2]
    side = max(1, round(0.03 * min(width, height)))
    if min(width, height) < 4 * side:
        return
    places = ((0, 0), (0, width - side), (height - side, 0), (height - side, width - side))
    for (top, left), colour in zip(places, _CORNERS, strict=True):
        light[top : top + side, left : left + side] = colour


def _centred(width: int, height: int) -> tuple[Light, Light]:
    """Row and column coordinates from the centre of the field, in photosites."""
    y = np.arange(height, dtype=np.float32)[:, None] - np.float32((height - 1) / 2)
    x = np.arange(width, dtype=np.float32)[None, :] - np.float32((width - 1) / 2)
    return y, x


def _between(distance: Light) -> Light:
    """DARK to BRIGHT across an edge, by the signed distance to it in photosites."""
    share = np.clip(distance + np.float32(0.5), 0, 1)[:, :, None]
    return np.asarray(DARK + (BRIGHT - DARK) * share, np.float32)


_FIELDS = (
    _Field(0.04, 0.18, 0.04, 0.96, _grey_scale),
    _Field(0.20, 0.48, 0.04, 0.96, _colours),
    _Field(0.50, 0.82, 0.04, 0.48, _edge),
    _Field(0.50, 0.82, 0.52, 0.96, _star),
    _Field(0.84, 0.90, 0.04, 0.96, _lines),
    _Field(0.91, 0.97, 0.04, 0.96, _ramp),
)
