"""Slots: no drift, nothing counted twice, nothing begun before its time."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from sensor_sim.slots import SECOND_NS, SlotClock, Timing

START = 10**15
RATES = st.floats(0.01, 100_000)
DELAYS = st.lists(st.tuples(st.integers(0, 10**10), st.booleans()), min_size=1, max_size=30)


@given(RATES, DELAYS)
def test_slots_lie_on_a_grid_and_gaps_are_missed_ones(rate: float, delays: list[tuple[int, bool]]) -> None:
    clock, period = SlotClock(START, Timing.of(rate, 1)), SECOND_NS / Fraction(rate)
    now, sequence, missed = START, -1, 0
    for delay, upcoming in delays:
        now += delay
        due = clock.due_ns
        slot = clock.take(now, upcoming=upcoming)
        exact = START + slot.sequence * period
        assert exact <= slot.start_ns < exact + 1
        assert slot.start_ns >= due
        assert slot.missed == slot.sequence - sequence - 1
        if upcoming:
            assert slot.start_ns >= now
        else:
            assert slot.start_ns + period > now  # late by less than a slot
        assert slot.missed == 0 or slot.start_ns - period < now + 1  # no more are missed than need be
        sequence, missed = slot.sequence, missed + slot.missed
        now = max(now, slot.start_ns)
    assert sequence + 1 == len(delays) + missed


@given(st.floats(1, 1e6), DELAYS)
def test_without_a_rate_nothing_is_missed_and_the_sensor_has_its_time(shortest: float, delays: list) -> None:
    clock, least = SlotClock(START, Timing.of(None, shortest)), Fraction(shortest) * 1000
    now, last = START, None
    for sequence, (delay, upcoming) in enumerate(delays):
        now += delay
        slot = clock.take(now, upcoming=upcoming)
        assert (slot.sequence, slot.missed, slot.duration_us) == (sequence, 0, None)
        assert slot.start_ns >= now
        assert last is None or slot.start_ns >= last + least
        assert slot.start_ns == now or slot.start_ns < last + least + 1
        now = last = slot.start_ns


def test_ten_hours_at_an_odd_rate_do_not_drift() -> None:
    clock = SlotClock(START, Timing.of(29.97, 1))
    ten_hours = START + 36_000 * SECOND_NS
    slot = clock.take(ten_hours, upcoming=False)
    assert slot.sequence == int(36_000 * Fraction(29.97))
    assert slot.missed == slot.sequence
    assert slot.duration_us == 33_367


def test_a_late_start_shifts_the_grid_once() -> None:
    clock = SlotClock(START, Timing.of(100, 1))
    clock.take(START, upcoming=False)
    clock.begin(START + 300_000_000)
    slots = [clock.take(START + 300_000_000 + n * 10_000_000, upcoming=False) for n in range(3)]
    assert [(slot.sequence, slot.missed) for slot in slots] == [(1, 0), (2, 0), (3, 0)]
    assert [slot.start_ns - START for slot in slots] == [300_000_000, 310_000_000, 320_000_000]


def test_another_rate_counts_from_the_last_slot() -> None:
    clock = SlotClock(START, Timing.of(100, 1))
    for n in range(4):
        clock.take(START + n * 10_000_000, upcoming=False)
    clock.change(Timing.of(10, 1))
    assert clock.due_ns == START + 130_000_000
    clock.change(Timing.of(None, 5))
    assert clock.due_ns == START + 30_005_000
