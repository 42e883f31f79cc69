"""Pairs of private frame and the same frame opened: positions by their exact values, as ``audit.pairs`` has it."""

from __future__ import annotations

import numpy as np

from audit.attack import Attack, Evidence
from audit.finding import Finding, Stand
from audit.pairs import Knowledge, match, read

EXACTLY = Knowledge(
    attack="known_plaintext",
    pairs=3,
    scenes=lambda plain, _policy, _generator: plain,
    match=match,
    note=(
        "Scenes are known to the last bit, sensor noise included, as from frames that somebody opened. Positions that "
        "had the same values in all pairs are told apart by chance."
    ),
)


def run(evidence: Evidence, stand: Stand, generator: np.random.Generator) -> Finding:
    """Read 30 frames by up to three pairs each, of frames and the same frames opened."""
    return read(evidence, stand, EXACTLY, generator)


ATTACK = Attack(
    name=EXACTLY.attack,
    title="Known scenes give the positions of other frames",
    stands=(Stand.FILE, Stand.MEMORY),
    frames_needed=EXACTLY.frames,
    run=run,
)
