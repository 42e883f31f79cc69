"""Fixed patterns: what tells one sensor of a type from another, the same in every frame."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sensor_sim import _kernels as kernels
from sensor_sim.settings import PixelModel


@dataclass(frozen=True, slots=True, eq=False)
class FixedPattern:
    """The patterns of one sensor.  Nothing is stored: every row is computed when it is exposed.

    Attributes:
        pixel: the standard deviations.
        serial: number of the individual sensor, 64 bits.
    """

    pixel: PixelModel
    serial: int

    def rows(self, first: int, last: int) -> NDArray[np.float32]:
        """Offsets of rows first .. last - 1, electrons."""
        return self._lines(kernels.ROWS, self.pixel.dsnu_row_e, first, last)

    def columns(self, width: int) -> NDArray[np.float32]:
        """Offsets of the columns, electrons."""
        return self._lines(kernels.COLUMNS, self.pixel.dsnu_column_e, 0, width)

    def _lines(self, kind: int, sigma: float, first: int, last: int) -> NDArray[np.float32]:
        offsets = np.zeros(last - first, np.float32)
        if sigma:
            kernels.fixed_lines(kind, first, np.uint64(self.serial), float(sigma), offsets)
        return offsets


def serial_number(sensor: str) -> int:
    """The serial number that an enrolled sensor's name stands for: the first 8 bytes of its SHA-256."""
    return int.from_bytes(hashlib.sha256(sensor.encode()).digest()[:8], "big")
