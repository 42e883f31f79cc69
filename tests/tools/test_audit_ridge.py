"""Ridge regression with a penalty chosen in practice: nothing is learned from noise, and what is there is."""

from __future__ import annotations

import numpy as np
import pytest

from audit.ridge import nearness, practised, ridge

RNG = np.random.default_rng(0)
FEATURES = RNG.normal(size=(300, 20))
TARGETS = FEATURES @ RNG.normal(size=(20, 5)) + 7


def test_features_that_tell_nothing_leave_the_mean_or_nearly_so_by_luck() -> None:
    mean = TARGETS.mean(axis=0)
    off = [np.abs(practised(noise, TARGETS, nearness)(noise) - mean).max() for noise in RNG.normal(size=(20, 300, 20))]
    assert np.count_nonzero(np.isclose(off, 0)) >= len(off) // 4
    assert max(off) < TARGETS.std()


def test_features_that_tell_something_are_used() -> None:
    estimate = practised(FEATURES[:200], TARGETS[:200], nearness)
    mean = np.broadcast_to(TARGETS[:200].mean(axis=0), (100, 5))
    assert nearness(estimate(FEATURES[200:]), TARGETS[200:]) > 0.2 * nearness(mean, TARGETS[200:])


def test_more_of_a_penalty_leaves_less_weight() -> None:
    distances = [float(np.ptp(ridge(FEATURES, TARGETS, strength)(FEATURES))) for strength in (1, 1e3, 1e6, np.inf)]
    assert distances == sorted(distances, reverse=True)
    assert distances[-1] == np.ptp(TARGETS.mean(axis=0))


def test_the_likeness_decides() -> None:
    estimate = practised(FEATURES, TARGETS, lambda guesses, truths: -nearness(guesses, truths))
    assert np.ptp(estimate(FEATURES), axis=0) == pytest.approx(0)
