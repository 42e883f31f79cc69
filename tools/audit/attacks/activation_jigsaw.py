"""The feature maps of one frame alone: neighbours in the picture have features that go together.

No rekeying helps against it, since it needs no two frames under one layout.  The method is
that of ``audit.neighbours``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from audit.activations import (
    BROKEN,
    FIRST,
    INPUT,
    NETWORK,
    NEVER,
    REFERENCES,
    SCENE,
    STAGE1,
    STAGE2,
    STAGE3,
    Recording,
    keyed_network,
    picture,
    record,
    scenes_of,
)
from audit.attack import Attack, Evidence
from audit.finding import Finding, Scale, Stand
from audit.guesses import shares
from audit.intervals import mean_interval
from audit.neighbours import Bonds, assemble, joined, learn

NAME = "activation_jigsaw"
FRAMES = 12
SITES = (STAGE1, FIRST, STAGE2, STAGE3, INPUT)


@dataclass(frozen=True, eq=False)
class Solved:
    """Frames of one site, each put together on its own.

    Attributes:
        recording: of the frames.
        guesses: int64 (n, p), the true raster position guessed for each stored one.
        scores: float64 (n, 3): shares of neighbours right, of positions exact, and at most one row and column off.
        chance: float64 (n, 3): the same of these guesses, for layouts drawn at random.
    """

    recording: Recording
    guesses: NDArray[np.int64]
    scores: NDArray[np.float64]
    chance: NDArray[np.float64]


def solve(bonds: Bonds, recording: Recording, generator: np.random.Generator) -> Solved:
    """Put every frame of a recording together on its own, and score that."""
    side = recording.site.side
    guesses = np.stack([assemble(bonds, maps[None], side) for maps in recording.maps])
    truths = np.argsort(recording.tables, axis=1)
    scores = [_scores(guess, truth, side) for guess, truth in zip(guesses, truths, strict=True)]
    chance = [_scores(guess, generator.permutation(side * side), side) for guess in guesses]
    return Solved(recording, guesses, np.array(scores), np.array(chance))


def _scores(guess: NDArray[np.int64], truth: NDArray[np.int64], side: int) -> tuple[float, float, float]:
    return joined(guess, truth, side), *shares(guess, truth, (side, side))


def fixed_layout_breaks(bonds: Bonds, secret: NDArray[np.uint8]) -> bool:
    """The positive control: whether frames that share one inner layout, looked at together, give it away."""
    seen = record(secret, keyed_network(NEVER), (STAGE1,))[STAGE1]
    guess = assemble(bonds, seen.maps, STAGE1.side)
    return shares(guess, np.argsort(seen.tables[0]), (STAGE1.side, STAGE1.side))[1] > BROKEN


@lru_cache(maxsize=1)
def measured(scenes: bytes) -> tuple[list[Solved], bool]:
    """Frames of scenes, uint8 (n, 32, 32, 3), under an inner layout each, put together; and whether the control broke.

    It does not depend on the policy of the frames, so the last result is remembered.
    """
    secret, references = scenes_of(np.frombuffer(scenes, np.uint8).reshape(-1, *SCENE), FRAMES, REFERENCES)
    network, generator = keyed_network(rekey_every=1), np.random.default_rng(0)
    recorded, reference = record(secret, network), record(references, network)
    bonds = {site: learn(reference[site].plain, site.side) for site in SITES}
    solved = [solve(bonds[site], recorded[site], generator) for site in SITES]
    return solved, fixed_layout_breaks(bonds[STAGE1], secret)


def run(evidence: Evidence, stand: Stand, generator: np.random.Generator) -> Finding:  # noqa: ARG001  # draws nothing
    """The first stage's maps, with inner layouts renewed for every frame; the other sites are in the note."""
    secret, references = scenes_of(evidence.scenes, FRAMES, REFERENCES)
    solved, broke = measured(np.concatenate([secret, references]).tobytes())
    first, side = solved[0], STAGE1.side
    scale = Scale("share of positions within one row and column", float(first.chance[:, 2].mean()), BROKEN)
    # The same for every policy, as is all else here.
    interval = mean_interval(first.scores[:, 2], np.random.default_rng(0))
    maps, truth, guess = first.recording.maps[0], np.argsort(first.recording.tables[0]), first.guesses[0]
    each = "; ".join(f"{one.recording.site.name} {_in_words(one)}" for one in solved)
    return Finding.judged(
        scale,
        interval,
        attack=NAME,
        stand=stand,
        policy=evidence.name,
        score=float(first.scores[:, 2].mean()),
        control_broke=broke,
        frames=1,
        smallest_breaking=1,
        note=(
            f"{NETWORK}, rekey_every 1: {FRAMES} frames, each on its own under an inner layout of its own. Neighbours "
            f"right, exact, within one: {each}. The attacker knows the network and {REFERENCES} scenes, sees feature "
            "maps and no tables; the frames' policy makes no difference."
        ),
        pictures={
            "features in true order": picture(maps, truth, side),
            "as stored": picture(maps, np.arange(len(truth)), side),
            "what one frame gave": picture(maps, guess, side),
        },
    )


def _in_words(solved: Solved) -> str:
    return " / ".join(f"{share:.1%}" for share in solved.scores.mean(0))


ATTACK = Attack(name=NAME, title="One frame's feature maps", stands=(Stand.ACTIVATIONS,), frames_needed=1, run=run)
