"""A single-slope converter for each column, with the errors that real ones have (docs/sensor.md).

All columns share one ramp and one counter, which make INL and DNL; comparator and capacitors of
each column add an offset and a gain of its own.  Which column converts a sample is known before
the sample is moved, so its error goes where the sample goes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adc_firmware import _column_kernel as kernels
from adc_firmware.converter import Converter, Places, refusal
from adc_firmware.ramp import Ramp, codes, transitions
from keyvault.errors import PolicyError
from keyvault.policy import MAX_SIDE, Policy

MAX_PERIOD = 256  # codes after which a pattern of code widths repeats
MAX_COLUMN_GAIN = 0.1
_SEED_BITS = 64


@dataclass(frozen=True, slots=True)
class SingleSlope:
    """What is not ideal about the single-slope converters of a chip; by default nothing.

    Attributes:
        bow: INL in the middle of the ramp, DN; a parabola that is 0 at both ends.
        code_widths: how much wider than 1 DN code k is, for k mod their number; a power of two
            of them up to 256, their sum 0.  This is the periodic part of DNL.
        offset: error of all columns at 0 V, DN.
        column_offset: standard deviation over columns of a further such error, DN.
        column_gain: standard deviation over columns of the relative error of the gain.
        cds: digital correlated double sampling: each column subtracts its own code at 0 V.
        clamp: black-level clamp: the mean over columns of the code at 0 V, rounded, is made the black level.
        seed: 64 bits that fix the columns' errors; column x has the same in a chip of any width.

    INL is the place of a transition minus its ideal place, DNL the width of a code minus 1 DN
    (adc_firmware.ramp.transitions).
    Raises PolicyError when constructed with values out of range.
    """

    bow: float = 0.0
    code_widths: tuple[float, ...] = (0.0,)
    offset: float = 0.0
    column_offset: float = 0.0
    column_gain: float = 0.0
    cds: bool = True
    clamp: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("bow", "offset"):
            _check(_real(getattr(self, name)), f"{name} {getattr(self, name)!r:.40} is not a number of DN")
        _check(
            _real(self.column_offset) and self.column_offset >= 0,
            f"column_offset {self.column_offset!r:.40} is not a number of DN >= 0",
        )
        _check(
            _real(self.column_gain) and 0 <= self.column_gain <= MAX_COLUMN_GAIN,
            f"column_gain {self.column_gain!r:.40} is not 0 to {MAX_COLUMN_GAIN}",
        )
        for name in ("cds", "clamp"):
            _check(type(getattr(self, name)) is bool, f"{name} {getattr(self, name)!r:.40} is not true or false")
        _check(type(self.seed) is int and 0 <= self.seed < 2**_SEED_BITS, f"seed {self.seed!r:.40} is not 64 bits")
        _check_widths(self.code_widths)

    def converter(self, ideal: Converter, width: int) -> ColumnConverter:
        """The converters of a chip with ``width`` columns that is meant to convert as ``ideal`` does.

        Raises:
            PolicyError: a code would be narrower than 0.1 DN, or offsets of more than the whole scale.
        """
        _check(type(width) is int and 1 <= width <= MAX_SIDE, f"{width!r:.40} columns; 1 to {MAX_SIDE} are possible")
        scale = 2**ideal.bits
        _check(abs(self.offset) <= scale, f"an offset of {self.offset} DN is more than {ideal.bits} bits")
        _check(
            self.column_offset <= scale / 16,
            f"a column offset of {self.column_offset} DN is more than a sixteenth of {ideal.bits} bits",
        )
        offsets, gains = self._columns(width)
        levels = ideal.offset + (self.offset + self.column_offset * offsets)
        places = transitions(ideal.bits, self.bow, self.code_widths)
        zeros = self._zeros(codes(places, levels), ideal.black_level)
        return ColumnConverter(
            ideal=ideal,
            gains=_frozen(ideal.gain * (1 + self.column_gain * gains)),
            levels=_frozen(levels),
            zeros=_frozen(zeros),
            ramp=Ramp.of(places, margin=int(np.abs(zeros).max()) + 1),
        )

    def _zeros(self, dark: NDArray[np.int64], black_level: int) -> NDArray[np.int32]:
        """What is subtracted from each column's codes, given its code at 0 V."""
        if self.cds:
            return (dark - black_level).astype(np.int32)
        if self.clamp:
            mean = (2 * int(dark.sum()) + dark.size) // (2 * dark.size)  # halves up
            return np.full(dark.size, mean - black_level, np.int32)
        return np.zeros(dark.size, np.int32)

    def _columns(self, width: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Two standard normal numbers a column, by inversion of Philox4x64-10's words."""
        words = np.random.Philox(key=self.seed).random_raw(2 * width) >> np.uint64(11)
        inverse = NormalDist().inv_cdf
        normal = np.array([inverse((int(word) + 0.5) * 2.0**-53) for word in words]).reshape(width, 2)
        return normal[:, 0], normal[:, 1]


@dataclass(frozen=True, slots=True, eq=False)
class ColumnConverter:
    """The converters of a chip's columns; comes from :meth:`SingleSlope.converter`.

    With x the column, all in binary64, in this order and without contraction::

        level = volts * gains[x] + levels[x]
        code  = the greatest k with ramp.transitions[k] <= level
        DN    = code - zeros[x], clipped to [0, 2**bits - 1]

    The counter has room beyond both ends of the scale, where codes are 1 wide.  The samples of a
    stacked photosite are converted by the same column.

    Attributes:
        ideal: what it is meant to be.
        gains: DN per volt of each column, float64 (w,).
        levels: DN of 0 V before rounding down, float64 (w,).
        zeros: what is subtracted from codes, int32 (w,).
        ramp: of all columns.
    """

    ideal: Converter
    gains: NDArray[np.float64]
    levels: NDArray[np.float64]
    zeros: NDArray[np.int32]
    ramp: Ramp

    @property
    def bits(self) -> int:
        """Depth, 8 to 16."""
        return self.ideal.bits

    @property
    def top(self) -> int:
        """The highest DN."""
        return self.ideal.top

    @property
    def width(self) -> int:
        """Number of columns."""
        return self.gains.size

    def check_fits(self, policy: Policy) -> None:
        """Raise PolicyError unless depth and width are the policy's."""
        self.ideal.check_fits(policy)
        if self.width != policy.width:
            raise PolicyError(f"the converter has {self.width} columns, the key is for {policy.width}")

    def read(self, volts: NDArray[np.float32], first: int, places: Places) -> int:
        """Convert, mask and place a run of photosites; see :class:`~adc_firmware.converter.VoltsConverter`."""
        ramp = (self.ramp.edges, self.ramp.starts, self.ramp.fine, self.ramp.margin)
        start = (first % self.width, (self.gains, self.levels, self.zeros + np.int32(self.ramp.margin)), ramp)
        return kernels.read_columns(volts, start, np.uint16(self.top), places.table, places.words, places.out)

    def convert(self, volts: NDArray[np.float32]) -> NDArray[np.uint16]:
        """Convert rows of float32 volts, (h, w) or (h, w, samples), as a camera without protection would.

        Raises:
            SampleRangeError: a voltage is not a finite number.
            ValueError: rows of another width.
        """
        if volts.dtype != np.float32:
            raise TypeError(f"volts are float32, not {volts.dtype}")
        if volts.ndim not in (2, 3) or volts.shape[1] != self.width:
            raise ValueError(f"volts of shape {volts.shape} are not rows of {self.width} columns")
        samples = np.ascontiguousarray(volts).reshape(volts.shape[0] * self.width, -1)
        out = np.empty(samples.shape, np.uint16)
        in_order = np.arange(samples.shape[0], dtype=np.int32)
        bad = self.read(samples, 0, Places(in_order, np.empty((0, samples.shape[1]), np.uint16), out))
        if bad >= 0:
            raise refusal(volts, bad, np.unravel_index(bad, volts.shape), self.bits)
        return out.reshape(volts.shape)


def _frozen(values: NDArray[Any]) -> NDArray[Any]:
    values.flags.writeable = False
    return values


def _check_widths(widths: tuple[float, ...]) -> None:
    count = len(widths) if isinstance(widths, tuple) else 0
    _check(
        1 <= count <= MAX_PERIOD and count & (count - 1) == 0,
        f"code_widths has {count} widths; a power of two of them up to {MAX_PERIOD} is possible",
    )
    _check(
        all(_real(width) and width > -1 for width in widths), "code_widths has a width that is not a number above -1 DN"
    )
    _check(abs(math.fsum(widths)) <= 1e-9, f"code_widths has the sum {math.fsum(widths):.3g}, not 0")


def _real(value: object) -> bool:
    return isinstance(value, int | float) and type(value) is not bool and math.isfinite(value)


def _check(holds: bool, message: str) -> None:
    if not holds:
        raise PolicyError(message)
