"""Row-wise readout: every sample is converted, masked and written to its keyed position at once.

The rows come in blocks.  A plain DN exists for one sample at a time, inside a kernel (for 16 of them
with the converters of columns and a policy without mask); rows that a source delivers as DN are
held for the length of their block.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from adc_firmware import _kernels as kernels
from adc_firmware.addressing import MaskGenerator, parts
from adc_firmware.converter import Places, VoltsConverter, refusal
from adc_firmware.errors import SourceError
from adc_firmware.frame import sample_shape
from keyvault.errors import PolicyError
from keyvault.permutation import Permutation
from keyvault.policy import Policy
from keyvault.threads import each

BLOCK_SAMPLES = 1 << 19  # 1 MiB of DN
BLOCK_ROWS = 64


class AnalogSource(Protocol):
    """The array in front of the converters: it is exposed, and its rows are read once, in order."""

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
    for first, last in _blocks(policy):
        block = _Block(_rows(source, first, last), converter, addresses, first * policy.width, out)
        bad = min((number for number in each(block.read, block.parts()) if number >= 0), default=-1)
        if bad >= 0:
            row, *rest = np.unravel_index(bad, block.rows.shape)
            raise refusal(block.rows, bad, (first + row, *rest), policy.bits)
    return out.reshape(sample_shape(policy))


@dataclass(frozen=True, slots=True)
class _Block:
    """Some rows on their way through the converters; ``start`` is the number of their first photosite."""

    rows: NDArray[Any]
    converter: VoltsConverter
    addresses: Addresses
    start: int
    out: NDArray[np.uint16]

    def parts(self) -> list[tuple[int, int]]:
        return parts(self.start, self.start + self.rows.shape[0] * self.rows.shape[1])

    def read(self, part: tuple[int, int]) -> int:
        """Read one part out; the number in the block of its first bad sample, or -1."""
        first, last = part
        samples = self.out.shape[1]
        values = self.rows.reshape(-1, samples)[first - self.start : last - self.start]
        table = self.addresses.permutation.table[first:last]
        words = self.addresses.masks.words(first, last)
        if values.dtype == np.uint16:
            bad = kernels.read_dn(values, np.uint16(self.converter.top), table, words, self.out)
        else:
            bad = self.converter.read(values, first, Places(table, words, self.out))
        return bad if bad < 0 else bad + (first - self.start) * samples


def _blocks(policy: Policy) -> Iterator[tuple[int, int]]:
    rows = max(1, min(BLOCK_ROWS, BLOCK_SAMPLES // (policy.width * policy.samples_per_photosite)))
    for first in range(0, policy.height, rows):
        yield first, min(policy.height, first + rows)


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
