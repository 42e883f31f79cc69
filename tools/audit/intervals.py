"""How far a measured share or mean can be trusted."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.stats import bootstrap, t

from accuracy import wilson
from audit.finding import Interval
from keyvault.errors import InputError

LEVEL = 0.95
RESAMPLES = 2000


def share_interval(hits: int, trials: int, level: float = LEVEL) -> Interval:
    """Wilson's score interval of a proportion (Wilson, JASA 22(158), 1927).

    Args:
        hits: successes, 0 to ``trials``.
        trials: independent trials, at least 1.
        level: coverage.

    Raises InputError if there were no trials, or more hits than trials.
    """
    if not 0 <= hits <= trials or trials < 1:
        raise InputError(f"{hits} hits in {trials} trials say nothing", hint="give the attack more frames")
    return Interval(*wilson(hits, trials, level))


def mean_interval(values: NDArray[np.float64], rng: np.random.Generator, level: float = LEVEL) -> Interval:
    """Percentile bootstrap interval of the mean of independent values (Efron, Ann. Stat. 7(1), 1979).

    A single value, or values that are all equal, give an interval of no width.

    Args:
        values: float64 (n,), n at least 1; one for each frame or scene.
        rng: draws the resamples.
        level: coverage.

    Raises InputError if there are no values.
    """
    if not values.size:
        raise InputError("a mean of no values", hint="give the attack more frames")
    if np.ptp(values) == 0:
        return Interval(float(values[0]), float(values[0]))
    found = bootstrap(
        (values,), np.mean, confidence_level=level, n_resamples=RESAMPLES, method="percentile", rng=rng
    ).confidence_interval
    return Interval(float(found.low), float(found.high))


def few_shares_interval(shares: NDArray[np.float64], level: float = LEVEL) -> Interval:
    """Student's interval of the mean of few independent shares, which a bootstrap makes too narrow, cut to 0 .. 1.

    After Student, "The probable error of a mean", Biometrika 6(1), 1908.

    Args:
        shares: float64 (n,) in [0, 1], n at least 2.
        level: coverage.

    Raises InputError if there are fewer than two.
    """
    if len(shares) < 2:
        raise InputError(f"the spread of {len(shares)} values is unknown", hint="give the attack more frames")
    middle = float(shares.mean())
    half = float(t.ppf((1 + level) / 2, len(shares) - 1) * shares.std(ddof=1) / np.sqrt(len(shares)))
    return Interval(max(middle - half, 0.0), min(middle + half, 1.0))


def commonest_share(labels: NDArray[np.int64]) -> float:
    """The share of the commonest class, (n,): no answer that looks at nothing is right more often."""
    return float(np.bincount(labels).max() / len(labels))


def least_breaking(intervals: Mapping[int, Interval], fail: float) -> int | None:
    """The least number of frames whose interval lies above ``fail``; None if there is none."""
    return min((frames for frames, interval in intervals.items() if interval.low > fail), default=None)
