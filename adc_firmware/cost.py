"""What a policy costs in the chip: memory, address cycles, latency, frame rate (docs/cost.md).

Counted is a chip that follows docs/spec/permutation.md: samples are written to a buffer of one
group in keyed order and leave it in stored order while the next group is written.  All figures
are those of the specification's steps; no silicon was measured.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from keyvault.errors import PolicyError
from keyvault.expansion import MANY_BUCKETS, ONE_BUCKET
from keyvault.policy import Policy, Unit

BANKS = 2  # of the buffer and of the table: one is used while the other is filled
NUMBER_CYCLES = 1  # an element's number is written to its place
EXCHANGE_CYCLES = 4  # two reads and two writes
COUNT_CYCLES = 1  # a digit is counted, before the elements of a large group are distributed


@dataclass(frozen=True, slots=True)
class Timing:
    """How fast the array is read, and what the address generator has to keep up with it.

    Attributes:
        row_time_us: microseconds from the readout of one row to the next.
        blank_rows: row times between the last row of a frame and the first of the next.
        clock_mhz: table accesses a microsecond; None for a generator that always keeps up.

    Raises PolicyError when constructed with times that are not positive and finite, or blank rows below 0.
    """

    row_time_us: float
    blank_rows: int = 0
    clock_mhz: float | None = None

    def __post_init__(self) -> None:
        _check_positive(self.row_time_us, "row time", "microseconds")
        if type(self.blank_rows) is not int or self.blank_rows < 0:
            raise PolicyError(f"{self.blank_rows!r:.40} is not a number of blank rows")
        if self.clock_mhz is not None:
            _check_positive(self.clock_mhz, "address clock", "MHz")


@dataclass(frozen=True, slots=True)
class Cost:
    """What a policy costs; definitions and assumptions are in docs/cost.md.

    Attributes:
        buffer_bits: two banks of one group's samples.
        table_bits: two banks of one group's table.
        address_cycles: table accesses and counting cycles of a frame, for making and using the tables.
        cycles_per_sample: the same for one sample, on average over a frame.
        latency_lines: how many rows later a sample leaves because of the shuffle.
        moved_bits: bits written to and read from buffer and table in a frame.
    """

    buffer_bits: int
    table_bits: int
    address_cycles: int
    cycles_per_sample: float
    latency_lines: int
    moved_bits: int


@dataclass(frozen=True, slots=True)
class Pace:
    """What a policy costs in time.

    Attributes:
        latency_us: microseconds that the shuffle adds.
        clock_needed_mhz: address cycles a microsecond at the array's own frame rate.
        frames_per_second: sustained: the array's own rate, or what the address clock allows if that is less.
    """

    latency_us: float
    clock_needed_mhz: float
    frames_per_second: float


def cost(policy: Policy) -> Cost:
    """What a frame of this policy costs; width, height, samples, bits, unit and scope are used."""
    grain = 2 if policy.unit is Unit.QUAD else 1
    across = policy.width // grain
    elements = across * (policy.height // grain)
    group = across * (policy.band_rows // grain)
    samples = policy.photosites * policy.samples_per_photosite
    entry_bits = (group - 1).bit_length()
    making, counting = _making(elements, group)
    lookups = policy.height * across
    cycles = making + counting + lookups
    return Cost(
        buffer_bits=BANKS * policy.band_rows * policy.width * policy.samples_per_photosite * policy.bits,
        table_bits=BANKS * group * entry_bits,
        address_cycles=cycles,
        cycles_per_sample=cycles / samples,
        latency_lines=policy.band_rows,
        moved_bits=2 * samples * policy.bits + (making + lookups) * entry_bits,
    )


def pace(policy: Policy, timing: Timing) -> Pace:
    """What a policy costs in time when the array is read at a given pace."""
    cycles = cost(policy).address_cycles
    frame_us = (policy.height + timing.blank_rows) * timing.row_time_us
    needed = cycles / frame_us
    own_rate = 1e6 / frame_us
    rate = own_rate if timing.clock_mhz is None else min(own_rate, 1e6 * timing.clock_mhz / cycles)
    return Pace(policy.band_rows * timing.row_time_us, needed, rate)


def frame_energy_uj(policy: Policy, pj_per_bit: float) -> float:
    """Microjoules of a frame's buffer and table traffic, at ``pj_per_bit`` picojoules a bit written or read.

    Raises:
        PolicyError: ``pj_per_bit`` is not positive and finite.
    """
    _check_positive(pj_per_bit, "energy", "picojoules a bit")
    return cost(policy).moved_bits * pj_per_bit * 1e-6


def _making(elements: int, group: int) -> tuple[int, int]:
    """Table accesses that make all tables of a frame, and cycles that only count digits."""
    full, rest = divmod(elements, group)
    sizes = [(full, group)] + ([(1, rest)] if rest else [])
    making = sum(groups * (NUMBER_CYCLES * n + EXCHANGE_CYCLES * (n - _buckets(n))) for groups, n in sizes)
    counting = sum(groups * COUNT_CYCLES * n for groups, n in sizes if n > ONE_BUCKET)
    return making, counting


def _buckets(size: int) -> int:
    """Buckets of a group; the first element of each takes part in no exchange of its own."""
    return 1 if size <= ONE_BUCKET else MANY_BUCKETS


def _check_positive(value: float, name: str, unit: str) -> None:
    if not (isinstance(value, int | float) and math.isfinite(value) and value > 0):
        raise PolicyError(f"{name} {value!r:.40} is not a positive number of {unit}")
