"""The column converters: from volts to DN."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from adc_firmware import _kernels as kernels
from adc_firmware.errors import SampleRangeError
from keyvault.errors import PolicyError
from keyvault.policy import MAX_BITS, MIN_BITS, Policy


@dataclass(frozen=True, slots=True)
class Places:
    """Where a run of photosites goes, and what hides it.

    Attributes:
        table: int32, their stored positions.
        words: uint16 (photosites, samples a photosite), their mask words; no rows without a mask.
        out: uint16 (all photosites, samples a photosite), the frame in stored order.
    """

    table: NDArray[np.int32]
    words: NDArray[np.uint16]
    out: NDArray[np.uint16]


class VoltsConverter(Protocol):
    """What the readout needs of the converters: :class:`Converter`, or ``ColumnConverter``."""

    @property
    def top(self) -> int:
        """The highest DN."""

    def check_fits(self, policy: Policy) -> None:
        """Raise PolicyError unless the converters suit frames of this policy."""

    def read(self, volts: NDArray[np.float32], first: int, places: Places) -> int:
        """Convert photosites ``first`` and following, mask each sample and write it to its place.

        ``volts`` is (photosites, samples a photosite).  Returns the number in it of the first
        sample that is not finite, or -1.
        """


@dataclass(frozen=True, slots=True)
class Converter:
    """An ideal converter: DN = floor(volts * gain + (black_level + 0.5)), clipped to [0, 2**bits - 1].

    The arithmetic is IEEE 754 binary64, in that order, without contraction, so every platform
    gives the same DN; halves round up.

    Attributes:
        bits: depth, 8 to 16.
        black_level: DN of 0 V, 0 to 2**bits - 1.
        gain: DN per volt, finite and positive.

    Raises PolicyError when constructed with values outside these ranges.
    """

    bits: int
    black_level: int
    gain: float

    def __post_init__(self) -> None:
        if type(self.bits) is not int or not MIN_BITS <= self.bits <= MAX_BITS:
            raise PolicyError(f"converter depth {self.bits!r} is outside {MIN_BITS} to {MAX_BITS} bits")
        if type(self.black_level) is not int or not 0 <= self.black_level <= self.top:
            raise PolicyError(f"black level {self.black_level!r} is outside 0 to {self.top} DN")
        if not isinstance(self.gain, int | float) or not (math.isfinite(self.gain) and self.gain > 0):
            raise PolicyError(f"converter gain {self.gain!r} is not a positive number of DN per volt")

    @property
    def top(self) -> int:
        """The highest DN."""
        return int(2**self.bits - 1)

    @property
    def offset(self) -> float:
        """What is added to volts * gain before rounding down."""
        return self.black_level + 0.5

    def check_fits(self, policy: Policy) -> None:
        """Raise PolicyError unless the depth is the policy's."""
        if self.bits != policy.bits:
            raise PolicyError(f"the converter has {self.bits} bits, the key is for {policy.bits}")

    def read(self, volts: NDArray[np.float32], first: int, places: Places) -> int:  # noqa: ARG002 - all columns are alike
        """Convert, mask and place a run of photosites; see :class:`VoltsConverter`."""
        scale = (float(self.gain), self.offset)
        return kernels.read_volts(volts, scale, np.uint16(self.top), places.table, places.words, places.out)

    def convert(self, volts: NDArray[np.float32]) -> NDArray[np.uint16]:
        """Convert an array of any shape; this is what a camera without protection would put out.

        The protected readout does not come by here: its kernels hold one DN at a time.

        Raises:
            SampleRangeError: a voltage is not a finite number.
        """
        if volts.dtype != np.float32:
            raise TypeError(f"volts are float32, not {volts.dtype}")
        flat = np.ascontiguousarray(volts).reshape(-1)
        out = np.empty(flat.size, np.uint16)
        bad = kernels.convert(flat, float(self.gain), self.offset, np.uint16(self.top), out)
        if bad >= 0:
            raise refusal(volts, bad, np.unravel_index(bad, volts.shape), self.bits)
        return out.reshape(volts.shape)


def refusal(values: NDArray[Any], bad: int, position: tuple[Any, ...], bits: int) -> SampleRangeError:
    """The error for sample number ``bad`` of ``values``, which lies at (row, column, ...) of the frame."""
    value = values.reshape(-1)[bad]
    row, column, *channel = (int(i) for i in (0, 0, *position)[-max(2, len(position)) :])
    where = f"sample at column {column}, row {row}" + "".join(f", channel {c}" for c in channel)
    if values.dtype == np.uint16:
        return SampleRangeError(
            f"{where} is {value} DN; {bits} bits hold 0 to {2**bits - 1}",
            hint="issue a key for a greater bit depth, or check the raw file's depth",
        )
    return SampleRangeError(f"{where} is {value} V, not a finite voltage", hint="check scene and exposure")
