"""What an attacker learns about a peer from scenes of his own, protected under keys of his own."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from audit.peer_evidence import Images, Protected
from audit.ridge import Likeness, practised
from keyvault.errors import InputError

Floats = NDArray[np.float64]
SCENES = 2000  # learned from at most
LEAST_SCENES = 100


def known_scenes(protected: Protected, chosen: NDArray[np.bool_] | None = None) -> NDArray[np.int64]:
    """Numbers of the known scenes to learn from; InputError if they are too few."""
    known = np.arange(len(protected.known)) if chosen is None else np.flatnonzero(chosen)
    if len(known) < LEAST_SCENES:
        raise InputError(f"it wants {LEAST_SCENES} known scenes, there are {len(known)}", hint="give more scenes")
    return known[:SCENES]


def estimated(
    protected: Protected,
    scenes: NDArray[np.int64],
    feature: Callable[[Images], Floats],
    targets: Floats,
    likeness: Likeness,
) -> Floats:
    """What a ridge from features to targets makes of the pictures: (n, t).

    Every known scene is under a key of its own, as every picture is: else what holds for a few keys would be learned,
    and the penalty chosen by their luck.

    Args:
        protected: the pictures.
        scenes: numbers of the known scenes to learn from.
        feature: pictures (., h, w, 3) to (., f).
        targets: of those scenes: (m, t).
        likeness: of guesses and targets, by which the penalty is chosen.
    """
    images = [protected.own(protected.known[one : one + 1], key) for key, one in enumerate(scenes)]
    estimate = practised(feature(np.concatenate(images)), targets, likeness)
    return estimate(feature(protected.private))
