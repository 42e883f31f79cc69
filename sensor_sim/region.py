"""The part of a scene that the sensor sees: rpicam's region of interest."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from sensor_sim.errors import SettingsError


@dataclass(frozen=True, slots=True)
class Region:
    """A rectangle of a scene, given by its corner and size, width before height.

    Attributes:
        x, y, width, height: shares of the scene from 0 to 1; or, where one of them is above 1, pixels
            of a photograph or photosites of a raw file, whole numbers.

    Raises SettingsError when constructed with anything else.
    """

    x: float
    y: float
    width: float
    height: float

    def __post_init__(self) -> None:
        values = (self.x, self.y, self.width, self.height)
        finite = all(isinstance(value, int | float) and math.isfinite(value) for value in values)
        if not finite or min(self.x, self.y) < 0 or min(self.width, self.height) <= 0:
            raise SettingsError(f"region {self} is not X,Y,W,H with X and Y from 0 on and W and H above 0")
        if self.relative and (self.x + self.width > 1 + 1e-9 or self.y + self.height > 1 + 1e-9):
            raise SettingsError(f"region {self} reaches beyond the scene, which ends at 1")
        if not self.relative and any(value != int(value) for value in values):
            raise SettingsError(f"region {self} has parts of pixels", hint="give shares from 0 to 1, or whole pixels")

    def __str__(self) -> str:
        return ",".join(f"{value:g}" for value in (self.x, self.y, self.width, self.height))

    @classmethod
    def parse(cls, text: str) -> Region:
        """A region from ``X,Y,W,H``, as rpicam's ``--roi`` writes it; SettingsError for other texts."""
        try:
            x, y, width, height = (float(part) for part in text.split(","))
        except ValueError as error:
            raise SettingsError(f"region {text!r:.60} is not X,Y,W,H", hint="such as 0.25,0.25,0.5,0.5") from error
        return cls(x, y, width, height)

    @property
    def relative(self) -> bool:
        """Whether the numbers are shares of the scene."""
        return max(self.x, self.y, self.width, self.height) <= 1

    def cut(self, pixels: NDArray[Any], name: str, *, quads: bool = False) -> NDArray[Any]:
        """The part of an image (h, w, ...) that lies in the region, as a view.

        Args:
            pixels: the image.
            name: for messages.
            quads: begin at an even row and column, so that a mosaic keeps its colours.

        Raises:
            SettingsError: the region reaches beyond the image, or a mosaic would change its colours.
        """
        rows, columns = pixels.shape[:2]
        if self.relative:
            left, right = _scaled(self.x, self.width, columns, quads)
            top, bottom = _scaled(self.y, self.height, rows, quads)
            return pixels[top:bottom, left:right]
        left, top = int(self.x), int(self.y)
        right, bottom = left + int(self.width), top + int(self.height)
        if right > columns or bottom > rows:
            raise SettingsError(f"region {self} reaches beyond {name}, which is {columns}x{rows}")
        if quads and (left % 2 or top % 2):
            raise SettingsError(
                f"region {self} begins inside a quad of {name} and would change its colours",
                hint="begin at an even column and an even row",
            )
        return pixels[top:bottom, left:right]


def _scaled(start: float, length: float, size: int, quads: bool) -> tuple[int, int]:
    """First pixel and the one after the last: at least one, and inside."""
    grain = 2 if quads and size > 1 else 1
    first = min(round(start * size / grain) * grain, size - 1 - (size - 1) % grain)
    return first, min(size, max(first + 1, first + round(length * size / grain) * grain))
