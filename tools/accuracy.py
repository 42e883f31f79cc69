"""Accuracy with its interval."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

_Z95 = 1.959964


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
        """95 % Wilson score interval (Wilson, 1927), as fractions."""
        z, p, n = _Z95, self.fraction, self.total
        centre = (p + z * z / (2 * n)) / (1 + z * z / n)
        half = z * sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
        return centre - half, centre + half

    def __add__(self, other: Accuracy) -> Accuracy:
        return Accuracy(self.correct + other.correct, self.total + other.total)

    def __str__(self) -> str:
        low, high = self.interval
        return (
            f"{100 * self.fraction:.2f} % ({self.correct} of {self.total}; "
            f"95 % interval {100 * low:.2f} to {100 * high:.2f})"
        )
