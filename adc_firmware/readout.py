"""Row-wise readout: every sample is converted, masked and written to its keyed position at once.

The rows come in strips, in order, one strip at a time for each processor.  A plain DN exists for one
sample at a time, inside a kernel; rows that a source delivers as DN are held for the length of
their strip.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from adc_firmware import _kernels as kernels
from adc_firmware.addressing import MaskGenerator
from adc_firmware.converter import Places, VoltsConverter, refusal
from adc_firmware.errors import SampleRangeError, SourceError
from adc_firmware.frame import sample_shape
from keyvault.errors import PolicyError
from keyvault.permutation import Permutation
from keyvault.policy import Policy
from keyvault.threads import each

STRIP_SAMPLES = 1 << 17  # 256 KiB of DN


class AnalogSource(Protocol):
    """The array in front of the converters: it is exposed, and each of its rows is read once.

    Strips of rows are asked for in order, but from several threads at a time.
    """

    @property
    def shape(self) -> tuple[int, ...]:
        """(h, w), or (h, w, 3) for a stacked sensor."""

    @property
    def black_level(self) -> int:
        """DN of no light."""

    @property
    def white_level(self) -> int:
        """DN of saturation."""

    def rows(self, first: int, last: int) -> NDArray[np.float32] | NDArray[np.uint16]:
        """Rows first .. last - 1: float32 volts, or uint16 DN that enter unchanged."""


@dataclass(frozen=True, slots=True)
class Addresses:
    """What the address generator gives the readout of one frame."""

    permutation: Permutation
    masks: MaskGenerator


def check_geometry(source: AnalogSource, policy: Policy) -> None:
    """Raise PolicyError unless the source has the policy's size and samples a photosite."""
    wanted = sample_shape(policy)
    if tuple(source.shape) != wanted:
        raise PolicyError(
            f"the source has {_size(source.shape)} photosites, the key is for {_size(wanted)}",
            hint="take a scene of that size, or issue a key for this one",
        )


def read_rows(
    source: AnalogSource, converter: VoltsConverter, policy: Policy, addresses: Addresses
) -> NDArray[np.uint16]:
    """Read the source out: uint16 samples of the policy's shape, in stored order, masked.

    Raises:
        SampleRangeError: a DN does not fit the bit depth, or a voltage is not finite.
        SourceError: rows of another shape or type than declared.
    """
    out = np.empty((policy.photosites, policy.samples_per_photosite), np.uint16)
    readout = _Readout(source, converter, policy, addresses, out)
    refusals = [error for error in each(readout.read, readout.strips()) if error is not None]
    if refusals:
        raise refusals[0]
    return out.reshape(sample_shape(policy))


@dataclass(frozen=True, slots=True)
class _Readout:
    """One frame on its way through the converters."""

    source: AnalogSource
    converter: VoltsConverter
    policy: Policy
    addresses: Addresses
    out: NDArray[np.uint16]

    def strips(self) -> list[tuple[int, int]]:
        """First row and the row after the last one of each strip."""
        height, line = self.policy.height, self.policy.width * self.policy.samples_per_photosite
        step = max(1, STRIP_SAMPLES // line)
        return [(first, min(height, first + step)) for first in range(0, height, step)]

    def read(self, strip: tuple[int, int]) -> SampleRangeError | None:
        """Read one strip out; the refusal of its first bad sample, if it has one."""
        first, last = strip
        rows = _rows(self.source, first, last)
        values = rows.reshape(-1, self.out.shape[1])
        begin, end = first * self.policy.width, last * self.policy.width
        table, words = self.addresses.permutation.table[begin:end], self.addresses.masks.words(begin, end)
        if values.dtype == np.uint16:
            bad = kernels.read_dn(values, np.uint16(self.converter.top), table, words, self.out)
        else:
            bad = self.converter.read(values, begin, Places(table, words, self.out))
        if bad < 0:
            return None
        row, *rest = np.unravel_index(bad, rows.shape)
        return refusal(rows, bad, (first + row, *rest), self.policy.bits)


def _rows(source: AnalogSource, first: int, last: int) -> NDArray[Any]:
    """Rows of a source as a contiguous, read-only array."""
    rows = np.asarray(source.rows(first, last))
    wanted = (last - first, *source.shape[1:])
    if rows.shape != wanted or rows.dtype not in (np.float32, np.uint16):
        raise SourceError(
            f"rows {first} to {last - 1} came as {rows.dtype} {rows.shape}; float32 or uint16 {wanted} is needed"
        )
    view = np.ascontiguousarray(rows).view()
    view.flags.writeable = False
    return view


def _size(shape: tuple[int, ...]) -> str:
    height, width, *rest = (*shape, 1, 1)[: max(2, len(shape))]
    return f"{width}x{height}" + "".join(f"x{n}" for n in rest)
