"""Paired timing, on a clock of its own."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from measure import compare, environment


class Clock:
    """Time passes only when something says so."""

    def __init__(self) -> None:
        self.now = 0.0
        self.calls: list[str] = []

    def __call__(self) -> float:
        return self.now

    def thing(self, name: str, *seconds: float) -> Callable[[], None]:
        """Something that takes these seconds, call after call; the first call is the warm-up."""
        left = list(seconds)

        def run() -> None:
            self.calls.append(name)
            self.now += left.pop(0)

        return run


def test_medians_and_paired_ratios() -> None:
    clock = Clock()
    things = {"base": clock.thing("base", 9, 1, 2, 10), "other": clock.thing("other", 9, 3, 2, 40)}
    found = compare("title", things, rounds=3, pixels=4_000_000, clock=clock)
    base, other = found.timings
    assert (base.median_s, base.best_s, base.ratio, base.megapixels_per_s) == (2, 1, 1, 2)
    assert (other.median_s, other.best_s, other.ratio) == (3, 2, 3)  # ratios 3, 1 and 4


def test_rounds_interleave_and_take_turns_to_begin() -> None:
    clock = Clock()
    compare("title", {name: clock.thing(name, 1, 1, 1) for name in "ab"}, rounds=2, clock=clock)
    assert clock.calls == ["a", "b", "a", "b", "b", "a"]


def test_the_table_names_everything() -> None:
    clock = Clock()
    things = {"first": clock.thing("first", 0, 2.0), "second": clock.thing("second", 0, 0.004)}
    lines = compare("a title", things, rounds=1, pixels=1_000_000, clock=clock).table().splitlines()
    assert "a title" in lines[0]
    assert lines[1].split() == ["first", "2.00", "s", "1.000", "0.5", "Mpx/s"]
    assert lines[2].split() == ["second", "4.00", "ms", "0.002", "250.0", "Mpx/s"]


def test_microseconds_without_throughput() -> None:
    clock = Clock()
    (timing,) = compare("t", {"one": clock.thing("one", 0, 2e-5)}, rounds=1, clock=clock).timings
    assert timing.megapixels_per_s is None
    assert timing.median_s == pytest.approx(2e-5)


def test_the_environment_is_complete_and_json() -> None:
    found = json.loads(json.dumps(environment()))
    assert found["processors_usable"] >= 1
    assert {"date", "processor", "system", "load_average", "python", "thread_variables"} <= set(found)
    assert {"cryptography", "numba", "numpy"} <= set(found["versions"])
