"""How far a measured share or mean can be trusted."""

from __future__ import annotations

from collections.abc import Mapping
from math import hypot, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta, bootstrap, gumbel_r, t

from accuracy import wilson
from audit.finding import Interval
from keyvault.errors import InputError

LEVEL = 0.95
SURE = 0.998
RESAMPLES = 10_000
_BATCH = 500  # resamples at a time


def share_interval(hits: int, trials: int, tries: int = 1) -> Interval:
    """Interval of a proportion: Wilson's of 95 % (JASA 22(158), 1927), and the exact lower end of that of 99.8 %.

    The exact one (Clopper and Pearson, Biometrika 26(4), 1934) is above the true proportion no more often than it
    says, however rare hits are; Wilson's would be, where one hit in thousands is to be expected.

    Args:
        hits: successes, 0 to ``trials``.
        trials: independent trials, at least 1.
        tries: of how many such proportions this is the largest, which widens it (Bonferroni).

    Raises InputError if there were no trials, or more hits than trials.
    """
    if not 0 <= hits <= trials or trials < 1:
        raise InputError(f"{hits} hits in {trials} trials say nothing", hint="give the attack more frames")
    low, high = wilson(hits, trials, 1 - (1 - LEVEL) / tries)
    sure = float(beta.ppf((1 - SURE) / 2 / tries, hits, trials - hits + 1)) if hits else 0.0
    return Interval(low, high, min(sure, low))


def mean_interval(values: NDArray[np.float64], rng: np.random.Generator, tries: int = 1) -> Interval:
    """Percentile bootstrap interval of the mean of independent values (Efron, Ann. Stat. 7(1), 1979).

    A single value, or values that are all equal, give an interval of no width.

    Args:
        values: float64 (n,), n at least 1; one for each frame or scene.
        rng: draws the resamples.
        tries: of how many such means this is the largest, which widens it (Bonferroni).

    Raises InputError if there are no values.
    """
    if not values.size:
        raise InputError("a mean of no values", hint="give the attack more frames")
    if np.ptp(values) == 0:
        return Interval(*(float(values[0]),) * 3)
    means = bootstrap(
        (values,), np.mean, n_resamples=RESAMPLES, batch=_BATCH, method="percentile", rng=rng
    ).bootstrap_distribution
    tail, sure = (1 - LEVEL) / 2 / tries, (1 - SURE) / 2 / tries
    return Interval(*map(float, np.quantile(means, [tail, 1 - tail, sure])))


def paired_interval(
    values: NDArray[Any], by_chance: NDArray[Any], rng: np.random.Generator, tries: int = 1
) -> Interval:
    """Interval of the mean of values beside that of what the same frames give by chance: (n,) both, hits or numbers.

    Some frames are easier than others, by chance too, which the differences leave out.
    """
    chance = float(by_chance.mean())
    return mean_interval(values.astype(np.float64) - by_chance, rng, tries).mapped(lambda more: chance + more)


def with_spread(interval: Interval, score: float, by_luck: NDArray[np.float64]) -> Interval:
    """An interval of ``score`` that also leaves out something that all its values share, of which examples are known.

    Both are taken as independent, so that the distances of the ends add in quadrature.  The luck is that of the best of
    several choices, and has the distribution of largest values (Gumbel, Statistics of Extremes, 1958).

    Args:
        interval: of what the values do not share.
        score: their mean.
        by_luck: float64 (n,), what luck alone has given in n examples, at least 2.
    """
    spread = float(by_luck.std(ddof=1)) * sqrt(1 + 1 / len(by_luck)) / gumbel_r.std()
    ends = ((interval.low, LEVEL), (interval.high, LEVEL), (interval.sure, SURE))
    reach = {level: float(gumbel_r.ppf((1 + level) / 2) - gumbel_r.mean()) * spread for level in (LEVEL, SURE)}
    low, high, sure = (hypot(end - score, reach[level]) for end, level in ends)
    return Interval(score - low, score + high, score - sure)


def few_shares_interval(shares: NDArray[np.float64]) -> Interval:
    """Student's interval of the mean of few independent shares, which a bootstrap makes too narrow, cut to 0 .. 1.

    After Student, "The probable error of a mean", Biometrika 6(1), 1908.

    Args:
        shares: float64 (n,) in [0, 1], n at least 2.

    Raises InputError if there are fewer than two.
    """
    if len(shares) < 2:
        raise InputError(f"the spread of {len(shares)} values is unknown", hint="give the attack more frames")
    middle, spread = float(shares.mean()), float(shares.std(ddof=1) / np.sqrt(len(shares)))
    half, wide = (float(t.ppf((1 + level) / 2, len(shares) - 1)) * spread for level in (LEVEL, SURE))
    return Interval(max(middle - half, 0.0), min(middle + half, 1.0), max(middle - wide, 0.0))


def commonest_share(labels: NDArray[np.int64]) -> float:
    """The share of the commonest class, (n,): no answer that looks at nothing is right more often."""
    return float(np.bincount(labels).max() / len(labels))


def least_breaking(intervals: Mapping[int, Interval], fail: float) -> int | None:
    """The least number of frames whose interval lies above ``fail``; None if there is none."""
    return min((frames for frames, interval in intervals.items() if interval.low > fail), default=None)
