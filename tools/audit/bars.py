"""A score against chance, with its interval, as a line of SVG."""

from __future__ import annotations

from dataclasses import dataclass

from audit.finding import Finding

WIDTH = 1000.0  # units of the drawing, from one end of its scale to the other


@dataclass(frozen=True, slots=True)
class Bar:
    """Places on a drawing that is ``WIDTH`` wide.

    Attributes:
        begin, end: values at its two ends, in the unit of the score.
        score, chance, low, high: where they are, 0 to ``WIDTH``.
        zero: where the bar starts.
    """

    begin: float
    end: float
    score: float
    chance: float
    low: float
    high: float
    zero: float


def bar(finding: Finding) -> Bar:
    """Where to draw a finding: from 0 to 1 if all its values lie there, else as far as they reach."""
    values = (finding.score, finding.chance, finding.interval.low, finding.interval.high)
    begin = min(0.0, *values)
    end = 1.0 if max(values) <= 1 else 1.05 * max(values)
    places = ((value - begin) / (end - begin) * WIDTH for value in (*values, 0.0))
    score, chance, low, high, zero = (round(place, 1) for place in places)
    return Bar(begin, end, score, chance, low, high, zero)


def number(value: float) -> str:
    """A value for a reader: three significant digits, no exponent between 0.0001 and 100,000."""
    if value == 0:
        return "0"
    if not 1e-4 <= abs(value) < 1e5:
        return f"{value:.1e}"
    digits = f"{value:#.3g}" if abs(value) < 1000 else f"{value:,.0f}"
    return digits.rstrip("0").rstrip(".") if "." in digits else digits
