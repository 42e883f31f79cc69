"""Pairs of picture and protected picture decipher others under the same key, as ``audit.peer_pairs`` has it.

How many pairs it takes is judged by several sets of them, with keys and pictures of their own: one can be lucky.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from audit.attacks import known_plaintext
from audit.attacks.single_frame import BROKEN, correlations
from audit.finding import Finding, Interval, Scale
from audit.intervals import few_shares_interval, least_breaking, mean_interval
from audit.peer_evidence import Images, PeerAttack, PeerEvidence, Protected
from audit.peer_pairs import Decipher, by_lines, by_moves, learn
from audit.peer_pictures import grey, mean_scene, side_by_side
from keyvault.errors import InputError

Way = Callable[[Images, Images], tuple[Decipher | None, str]]
PAIRS = (1, 2, 4, 8, 16, 32)
SETS = 10  # of pairs at each step, at most
PICTURES = 20  # that each set then deciphers


@dataclass(frozen=True, eq=False)
class Set:
    """Pictures in pairs, and others under the same key that are deciphered by them; (., h, w, 3) all."""

    pairs: tuple[Images, Images]
    plain: Images
    private: Images


@dataclass(frozen=True, eq=False)
class Attempt:
    """What one set gave.

    Attributes:
        plain: pictures (n, h, w, 3).
        private: the same, protected.
        pictures: the same, deciphered; blank where nothing was found.
        values: correlations of those with the first, grey, (n,).
        how: they were deciphered.
    """

    plain: Images
    private: Images
    pictures: Images
    values: NDArray[np.float64]
    how: str


@dataclass(frozen=True, eq=False)
class Step:
    """What disjoint sets of so many pairs gave.

    With several sets the interval is over sets, since pictures of one set share its pairs and its key; a single set's
    is over its pictures.
    """

    pairs: int
    sets: tuple[Attempt, ...]

    @property
    def shares(self) -> NDArray[np.float64]:
        """Mean correlation of each set, -1 to 1 told as 0 to 1."""
        means = np.array([one.values.mean() for one in self.sets])
        return np.clip((1 + means) / 2, 0.0, 1.0)

    @property
    def score(self) -> float:
        """Mean correlation over sets."""
        return 2 * float(self.shares.mean()) - 1

    def interval(self, generator: np.random.Generator) -> Interval:
        """Of the score."""
        if len(self.sets) == 1:
            return mean_interval(self.sets[0].values, generator)
        return few_shares_interval(self.shares).mapped(lambda share: 2 * share - 1)

    @property
    def told(self) -> str:
        """Pairs, sets and score, for people."""
        sets = f" (mean of {len(self.sets)} sets)" if len(self.sets) > 1 else ""
        return f"{self.pairs}: {self.score:.3f}{sets}"


def sets_of(protected: Protected, pairs: int) -> Iterator[Set]:
    """As many disjoint sets as there are pictures for; the first has the audited key, each other one of its own."""
    size = pairs + PICTURES
    for number in range(min(SETS, len(protected) // size)):
        part = slice(number * size, (number + 1) * size)
        plain = protected.plain[part]
        private = protected.own(plain, number) if number else protected.private[part]
        yield Set((plain[:pairs], private[:pairs]), plain[pairs:], private[pairs:])


def attempt(one: Set, way: Way = learn) -> Attempt:
    """Learn from the pairs of a set, and decipher its other pictures."""
    decipher, how = way(*one.pairs)
    pictures = np.zeros_like(one.private) if decipher is None else decipher(one.private)
    return Attempt(one.plain, one.private, pictures, correlations(grey(pictures), grey(one.plain)), how)


def step(protected: Protected, pairs: int, way: Way = learn) -> Step:
    """Attack with so many pairs at a time."""
    return Step(pairs, tuple(attempt(one, way) for one in sets_of(protected, pairs)))


def only_lines(plain: Images, private: Images) -> tuple[Decipher, str]:
    """The last of the ways of :func:`audit.peer_pairs.learn`, which a control would not come to by itself."""
    return by_lines(plain, private), "a line for each sample"


def only_values(plain: Images, private: Images) -> tuple[Decipher | None, str]:
    """Another one, which comes after that by pixels."""
    return by_moves(plain, private, 8), "values that change places"


@lru_cache(maxsize=2)
def controls(shuffled: Protected, scrambled: Protected) -> tuple[Step, ...]:
    """What each way has to break: pixels that move, halves of values that also turn negative, values, and lines.

    Remembered, since they are the same for all peers of one size.
    """
    pairs = PAIRS[-1]
    by_others = (step(shuffled, pairs, way) for way in (only_values, only_lines))
    return (step(shuffled, pairs), step(scrambled, pairs), *by_others)


def run(evidence: PeerEvidence, generator: np.random.Generator) -> Finding:
    """Decipher pictures after learning from 1 to 32 pairs, in up to ten sets each; the score is that of the most pairs.

    Chance is the correlation of the mean of the known scenes.
    """
    material = evidence.material
    if not material.keyed:
        raise InputError("there is no key to find: what the lens does is known, see the attack on one picture")
    steps = [step(material, count) for count in PAIRS]
    last, intervals = steps[-1], {one.pairs: one.interval(generator) for one in steps}
    truth, pictures = (np.concatenate(found) for found in zip(*((a.plain, a.pictures) for a in last.sets), strict=True))
    chance = float(correlations(mean_scene(material, len(truth)), grey(truth)).mean())
    scale = Scale("correlation of deciphered picture and scene", chance, BROKEN)
    first = last.sets[0]
    return Finding.judged(
        scale,
        intervals[last.pairs],
        attack=PEER_ATTACK.name,
        stand=PEER_ATTACK.stand,
        policy=evidence.name,
        score=last.score,
        control_broke=all(
            one.interval(generator).low > scale.level for one in controls(evidence.control, evidence.alike)
        ),
        frames=last.pairs,
        smallest_breaking=least_breaking(intervals, scale.level),
        note=(
            f"{len(truth)} other pictures deciphered, by {first.how}; {(pictures == truth).mean():.1%} of their "
            f"samples are exact. By known pairs, {', '.join(one.told for one in steps)}. Sets share no pictures, and "
            "each but the first is under a key of its own."
        ),
        pictures={
            "scenes": side_by_side(first.plain),
            "protected": side_by_side(first.private),
            "deciphered": side_by_side(first.pictures),
        },
    )


PEER_ATTACK = PeerAttack("known_plaintext", known_plaintext.ATTACK.title, PAIRS[-1] + PICTURES, run)
