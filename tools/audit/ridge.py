"""Ridge regression with as much of a penalty as serves an attacker on known scenes that he keeps to practise on.

Hoerl and Kennard, "Ridge regression: biased estimation for nonorthogonal problems", Technometrics 12(1), 1970.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf, isinf

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Estimate = Callable[[Floats], Floats]
Likeness = Callable[[Floats, Floats], float]
PRACTICE = 0.2  # of the known scenes
STRENGTHS = (1e2, 1e3, 1e4, 1e5, inf)  # of the penalty, for standardised features


def ridge(features: Floats, targets: Floats, strength: float) -> Estimate:
    """The linear function of features (n, f) that is nearest to targets (n, t), with a penalty on its weights.

    An endless penalty leaves no weights: whatever the features are, the guess is the mean of the targets.
    """
    middle, spread = features.mean(axis=0), np.maximum(features.std(axis=0), 1e-6)
    scaled, mean = (features - middle) / spread, targets.mean(axis=0)
    if isinf(strength):
        return lambda seen: np.repeat(mean[None], len(seen), axis=0)
    weights = np.linalg.solve(scaled.T @ scaled + strength * np.eye(features.shape[1]), scaled.T @ (targets - mean))
    return lambda seen: np.asarray((seen - middle) / spread @ weights + mean, np.float64)


def practised(features: Floats, targets: Floats, likeness: Likeness) -> Estimate:
    """Ridge regression with the penalty that serves best on the last fifth of the scenes, learned then from all.

    Where features tell nothing of the targets, that is the endless one but for luck: an attacker who has found nothing
    in practice guesses what he would have guessed without any frame.

    Args:
        features: (n, f) of scenes that the attacker knows, n at least 10, as he sees those that he attacks.
        targets: (n, t) of the same.
        likeness: of guesses (m, t) and targets, the larger the better.
    """
    held = int(PRACTICE * len(features))
    learned = [ridge(features[:-held], targets[:-held], strength) for strength in STRENGTHS]
    scores = [likeness(estimate(features[-held:]), targets[-held:]) for estimate in learned]
    return ridge(features, targets, STRENGTHS[int(np.argmax(scores))])


def nearness(guesses: Floats, truths: Floats) -> float:
    """Likeness by the mean square of what they differ by."""
    return -float(((guesses - truths) ** 2).mean())
