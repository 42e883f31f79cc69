"""Pairs of private frame and a photograph of the scene: what has nearly the same values in all of them is one position.

The attack of ``audit.pairs`` for one who was there with a camera of his own.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from audit.attack import Attack, Evidence
from audit.finding import Finding, Stand
from audit.pairs import Knowledge, read, vectors
from audit.photographs import ABOUT, photographed

Samples = NDArray[np.uint16]
Places = NDArray[np.int64]
_JITTER = 0.01  # codes; parts equal values
_ROUNDS = 10


def match_nearest(plain: Samples, private: Samples) -> Places:
    """The true position of each stored one where scenes are known roughly: the least differences are matched first.

    What is still open after ten rounds, because most of it wants the same few positions, is matched by order of value.
    """
    generator = np.random.default_rng(0)
    known, stored = (one + generator.uniform(0, _JITTER, one.shape) for one in map(vectors, (plain, private)))
    found = np.empty(len(known), np.int64)
    free, wanting = np.arange(len(known)), np.arange(len(known))
    for _ in range(_ROUNDS):
        if not len(wanting):
            break
        distance, wanted = cKDTree(known[free]).query(stored[wanting])
        nearest_first = np.argsort(distance)
        taken, first = np.unique(wanted[nearest_first], return_index=True)
        winners = nearest_first[first]
        found[wanting[winners]] = free[taken]
        free, wanting = np.delete(free, taken), np.delete(wanting, winners)
    found[wanting[np.lexsort(stored[wanting].T)]] = free[np.lexsort(known[free].T)]
    return found


ROUGHLY = Knowledge(
    attack="noisy_plaintext",
    pairs=5,
    scenes=photographed,
    match=match_nearest,
    note=f"Scenes are known by {ABOUT}.",
)


def run(evidence: Evidence, stand: Stand, generator: np.random.Generator) -> Finding:
    """Read 30 frames by up to five pairs each, of frames and photographs."""
    return read(evidence, stand, ROUGHLY, generator)


ATTACK = Attack(
    name=ROUGHLY.attack,
    title="Photographed scenes give the positions of other frames",
    stands=(Stand.FILE, Stand.MEMORY),
    frames_needed=ROUGHLY.frames,
    run=run,
)
