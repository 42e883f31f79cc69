"""The cost model: the cases of docs/cost.md, a literal run of the specification's steps, and laws."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adc_firmware.cost import Timing, cost, frame_energy_uj, pace
from keyvault.errors import PolicyError
from keyvault.policy import Cfa, FrameKeys, Policy, Protection, Unit

DOCUMENT = Path(__file__).parents[2] / "docs" / "cost.md"
HD = Policy(1920, 1080)


def documented() -> list[tuple[Policy, list[int]]]:
    """The hand-computed cases: policy, and its five figures."""
    lines = re.findall(r"^\| (\d+)x(\d+) \| (\d) \| (\d+) \| (\w+) \| (\S+) \| (.*) \|$", DOCUMENT.read_text(), re.M)
    return [
        (
            Policy(int(w), int(h), Cfa.NONE, int(samples), int(bits), Unit(unit), scope),
            [int(figure.replace(",", "")) for figure in figures.split(" | ")],
        )
        for w, h, samples, bits, unit, scope, figures in lines
    ]


def test_the_document_has_its_cases() -> None:
    assert len(documented()) == 8


@pytest.mark.parametrize(("policy", "figures"), documented(), ids=str)
def test_cases_computed_by_hand(policy: Policy, figures: list[int]) -> None:
    found = cost(policy)
    assert [
        found.buffer_bits,
        found.table_bits,
        found.address_cycles,
        found.latency_lines,
        found.moved_bits,
    ] == figures
    assert found.cycles_per_sample == figures[2] / (policy.photosites * policy.samples_per_photosite)


def test_times_of_the_document() -> None:
    row = pace(replace(HD, scope="row"), Timing(15))
    assert (row.latency_us, round(row.frames_per_second, 2), round(row.clock_needed_mhz, 1)) == (15, 61.73, 767.7)
    assert round(pace(replace(HD, scope="row"), Timing(15, clock_mhz=200)).frames_per_second, 2) == 16.08
    assert pace(HD, Timing(15)).latency_us == 16_200
    assert frame_energy_uj(replace(HD, scope="row"), 2.0) == pytest.approx(2 * 186.57648)


def test_blank_rows_take_time_and_cost_nothing() -> None:
    plain, blank = pace(HD, Timing(15)), pace(HD, Timing(15, blank_rows=120))
    assert blank.latency_us == plain.latency_us
    assert blank.frames_per_second == pytest.approx(1e6 / (15 * 1200))
    assert blank.clock_needed_mhz == pytest.approx(plain.clock_needed_mhz * 1080 / 1200)
    for rows in (-1, 1.5):
        with pytest.raises(PolicyError, match="not a number of blank rows"):
            Timing(15, rows)  # type: ignore[arg-type]


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    unit = draw(st.sampled_from(Unit))
    step = 2 if unit is Unit.QUAD else 1
    side = st.integers(1, 20).map(lambda n: step * n)
    width, height = draw(side), draw(side)
    scope = draw(st.sampled_from(["row", "frame", *(f"band:{rows}" for rows in range(step, height + 1, step))]))
    return Policy(width, height, Cfa.NONE, draw(st.sampled_from((1, 3))), draw(st.integers(8, 16)), unit, scope)


def stepped(policy: Policy) -> tuple[int, int, int]:
    """Cycles, largest group and most rows waiting, by walking through a frame element by element."""
    grain = 2 if policy.unit is Unit.QUAD else 1
    rows, across = policy.height // grain, policy.width // grain
    cycles = largest = 0
    for first in range(0, rows, policy.band_rows // grain):
        group = [(y, x) for y in range(first, min(rows, first + policy.band_rows // grain)) for x in range(across)]
        largest = max(largest, len(group))
        cycles += len(group)  # numbered
        cycles += sum(4 for _ in group[1:])  # exchanged
        cycles += sum(grain for _ in group)  # read once in each row of the element
    return cycles, largest, policy.band_rows


@given(policies())
def test_a_frame_walked_through_costs_the_same(policy: Policy) -> None:
    cycles, group, lines = stepped(policy)
    found = cost(policy)
    photosites = group * (4 if policy.unit is Unit.QUAD else 1)
    assert found.address_cycles == cycles
    assert found.buffer_bits == 2 * photosites * policy.samples_per_photosite * policy.bits
    entry = found.table_bits // (2 * group)
    assert 2**entry >= group > 2 ** (entry - 1) or (group == 1 and entry == 0)
    assert found.latency_lines == lines


@given(policies(), st.floats(0.1, 1000), st.floats(1, 1000))
def test_the_clock_that_is_needed_just_suffices(policy: Policy, row_time: float, clock: float) -> None:
    free = pace(policy, Timing(row_time))
    needed = free.clock_needed_mhz
    assert pace(policy, Timing(row_time, clock_mhz=needed)).frames_per_second == pytest.approx(free.frames_per_second)
    halved = pace(policy, Timing(row_time, clock_mhz=needed / 2)).frames_per_second
    assert halved == pytest.approx(free.frames_per_second / 2)
    assert pace(policy, Timing(row_time, clock_mhz=clock)).frames_per_second <= free.frames_per_second


def test_protection_keys_and_mosaic_cost_nothing_here() -> None:
    other = replace(HD, cfa=Cfa.GBRG, protection=Protection.SHUFFLE, frame_keys=FrameKeys.FIXED)
    assert cost(other) == cost(HD)


@pytest.mark.parametrize("value", [0, -1.0, float("nan"), float("inf"), "3"])
def test_what_is_no_positive_number_is_refused(value: Any) -> None:
    for make in (lambda: Timing(value), lambda: Timing(1.0, clock_mhz=value), lambda: frame_energy_uj(HD, value)):
        with pytest.raises(PolicyError, match="not a positive number of"):
            make()
