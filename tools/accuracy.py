"""Accuracy with its interval."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist


def wilson(hits: int, trials: int, level: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval of a share, as fractions (Wilson, JASA 22(158), 1927).

    Args:
        hits: successes, 0 to ``trials``.
        trials: independent trials, at least 1.
        level: coverage.
    """
    z, p, n = NormalDist().inv_cdf((1 + level) / 2), hits / trials, trials
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z * sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    low, high = centre - half, centre + half
    return low if hits else 0.0, high if hits < trials else 1.0  # exactly, which rounding misses


@dataclass(frozen=True)
class Accuracy:
    """Correct predictions among a number of images."""

    correct: int
    total: int

    @property
    def fraction(self) -> float:
        """Correct / total."""
        return self.correct / self.total

    @property
    def interval(self) -> tuple[float, float]:
        """95 % Wilson score interval, as fractions."""
        return wilson(self.correct, self.total)

    def __add__(self, other: Accuracy) -> Accuracy:
        return Accuracy(self.correct + other.correct, self.total + other.total)

    def __str__(self) -> str:
        low, high = self.interval
        return (
            f"{100 * self.fraction:.2f} % ({self.correct} of {self.total}; "
            f"95 % interval {100 * low:.2f} to {100 * high:.2f})"
        )
