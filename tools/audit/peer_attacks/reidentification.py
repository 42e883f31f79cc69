"""Which of many known scenes a peer's picture shows: by what its key leaves of the values, or by a thumbnail.

After Swain and Ballard, "Color Indexing", IJCV 7(1), 1991.  The attacker protects the scenes that he knows under a
key of his own, so that whatever the scheme does to values or edges, it has done to both.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from audit.attacks import reidentification
from audit.attacks.reidentification import nearest
from audit.finding import Finding, Interval, Scale
from audit.intervals import share_interval
from audit.peer_evidence import PeerAttack, PeerEvidence, Protected
from audit.peer_features import OF_VALUES, thumbnail
from audit.peer_pictures import SHOWN, side_by_side

PICTURES = 1000  # of which one found, by luck, leaves out one in a hundred
BROKEN = 0.01
THUMBNAIL = "the thumbnail"
FEATURES = {**OF_VALUES, THUMBNAIL: thumbnail}


def found(protected: Protected) -> dict[str, NDArray[np.int64]]:
    """The scene that each picture finds by each feature, among those of all pictures and then the known ones."""
    scenes = np.concatenate([protected.own(protected.plain), protected.own(protected.known)])
    return {name: nearest(feature(protected.private), feature(scenes)) for name, feature in FEATURES.items()}


def hits(guesses: dict[str, NDArray[np.int64]]) -> dict[str, int]:
    """How many pictures found their own scene by each feature."""
    return {name: int((guess == np.arange(len(guess))).sum()) for name, guess in guesses.items()}


@lru_cache(maxsize=4)
def _hits_of(protected: Protected) -> dict[str, int]:
    return hits(found(protected.first(PICTURES).each_alone()))


def of_controls(evidence: PeerEvidence) -> list[int]:
    """Hits by each of what values leave where pixels move, and by thumbnails where they stay inside blocks."""
    shuffled = _hits_of(evidence.control)
    return [*(shuffled[name] for name in OF_VALUES), _hits_of(evidence.inside)[THUMBNAIL]]


def interval(found: int, count: int) -> Interval:
    """Of the share of pictures found by the best feature; wider for its having been chosen."""
    return share_interval(found, count, len(FEATURES))


def run(evidence: PeerEvidence, generator: np.random.Generator) -> Finding:  # noqa: ARG001  # draws nothing
    """Look for up to 1,000 pictures; the best feature counts."""
    material = evidence.material.first(PICTURES).each_alone()
    guesses = found(material)
    by_feature = hits(guesses)
    best = max(by_feature, key=by_feature.__getitem__)
    count, scenes = len(material), len(material) + len(material.known)
    scale = Scale("share of pictures whose scene is found", 1 / scenes, BROKEN)
    told = ", ".join(f"{name} {number / count:.0%}" for name, number in by_feature.items())
    return Finding.judged(
        scale,
        interval(by_feature[best], count),
        attack=PEER_ATTACK.name,
        stand=PEER_ATTACK.stand,
        policy=evidence.name,
        score=by_feature[best] / count,
        control_broke=all(interval(number, count).low > scale.level for number in of_controls(evidence)),
        frames=count,
        smallest_breaking=1,
        note=(
            f"Each picture, under a key of its own, was looked for among {scenes} scenes: {told}. The score is by "
            f"{best}."
        ),
        pictures={"scenes, and below what was found": _pairs(material, guesses[best])},
    )


def _pairs(material: Protected, guess: NDArray[np.int64]) -> NDArray[np.uint8]:
    scenes = np.concatenate([material.plain, material.known])
    return np.concatenate([side_by_side(scenes[places[:SHOWN]]) for places in (np.arange(len(guess)), guess)])


PEER_ATTACK = PeerAttack(reidentification.NAME, reidentification.ATTACK.title, 50, run)
