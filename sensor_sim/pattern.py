"""Fixed patterns: what tells one sensor of a type from another, the same in every frame."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from sensor_sim import _kernels as kernels
from sensor_sim.settings import PixelModel

_QUANTILES = 1 << 16
_NONE = np.zeros(1, np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class FixedPattern:
    """The patterns of one sensor.  Nothing is stored: every row is computed when it is exposed.

    Attributes:
        pixel: the standard deviations.
        serial: number of the individual sensor, 64 bits.
    """

    pixel: PixelModel
    serial: int

    def rows(self, first: int, last: int) -> NDArray[np.float64]:
        """Offsets of rows first .. last - 1, electrons."""
        return self._lines(kernels.ROWS, self.pixel.dsnu_row_e, first, last)

    def columns(self, width: int) -> NDArray[np.float64]:
        """Offsets of the columns, electrons."""
        return self._lines(kernels.COLUMNS, self.pixel.dsnu_column_e, 0, width)

    @property
    def source(self) -> kernels.Pattern:
        """What the kernels draw from."""
        return np.uint64(self.serial), normal_quantiles() if self.pixel.patterned else _NONE

    def _lines(self, kind: int, sigma: float, first: int, last: int) -> NDArray[np.float64]:
        offsets = np.zeros(last - first)
        if sigma:
            kernels.fixed_lines(kind, first, self.source, float(sigma), offsets)
        return offsets


def serial_number(sensor: str) -> int:
    """The serial number that an enrolled sensor's name stands for: the first 8 bytes of its SHA-256."""
    return int.from_bytes(hashlib.sha256(sensor.encode()).digest()[:8], "big")


@cache
def normal_quantiles() -> NDArray[np.float32]:
    """65536 equally likely values that are standard normal: its quantiles at (i + 0.5) / 65536."""
    upper = [NormalDist().inv_cdf((i + 0.5) / _QUANTILES) for i in range(_QUANTILES // 2, _QUANTILES)]
    half = np.array(upper, np.float32)
    return np.concatenate([-half[::-1], half])
