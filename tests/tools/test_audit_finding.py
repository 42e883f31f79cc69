"""Verdicts, intervals, and findings as JSON."""

from __future__ import annotations

import numpy as np
import pytest

from audit.finding import Finding, Interval, Scale, Stand, Verdict, judge, worst_first
from audit.intervals import mean_interval, share_interval
from keyvault.errors import InputError

SCALE = Scale("share", 0.1, 0.5)


def finding(verdict: Verdict, low: float = 0.2) -> Finding:
    pictures = {"a": np.arange(4, dtype=np.uint8).reshape(2, 2)}
    return Finding("x", Stand.FILE, "p", 0.3, "share", 0.1, Interval(low, 0.9), verdict, 5, pictures=pictures)


@pytest.mark.parametrize(
    ("low", "broke", "verdict"),
    [(0.6, True, "fail"), (0.2, True, "warn"), (0.1, True, "pass"), (0.0, False, "inconclusive")],
)
def test_one_rule_for_verdicts(low: float, broke: bool, verdict: str) -> None:
    assert judge(SCALE, Interval(low, 1), broke) == verdict


def test_findings_survive_json_and_come_worst_first() -> None:
    one = finding(Verdict.FAIL)
    assert Finding.from_json(one.to_json()).to_json() == one.to_json()
    assert [f.verdict for f in worst_first([finding(v) for v in reversed(Verdict)])] == list(Verdict)
    with pytest.raises(InputError):
        Finding.from_json({"attack": "x"})


def test_intervals() -> None:
    found = share_interval(7, 10)
    assert (round(found.low, 3), round(found.high, 3)) == (0.397, 0.892)
    assert mean_interval(np.ones(3), np.random.default_rng(0)) == Interval(1, 1)
    with pytest.raises(InputError):
        share_interval(0, 0)
