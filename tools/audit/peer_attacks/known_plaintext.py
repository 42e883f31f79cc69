"""Pairs of picture and protected picture under one key: equal series of values, or of their negatives, are one sample.

Li, Li, Chen, Bourbakis and Lo, "A general quantitative cryptanalysis of permutation-only multimedia ciphers", Signal
Processing: Image Communication 23(3), 2008, carried over to ciphers that also make values negative, or move and
reverse their four-bit halves.  Where no series are equal, each sample is fitted to the protected one that varies most
like it (least squares, one line for each), which takes a gain off as well.  It needs no block size: whole blocks and
what is inside them are undone in one step.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from audit.attacks import known_plaintext
from audit.attacks.single_frame import BROKEN, correlations
from audit.finding import Finding, Interval, Scale
from audit.intervals import least_breaking, mean_interval
from audit.peer_evidence import PeerAttack, PeerEvidence, Protected
from audit.peer_pictures import grey, mean_scene, side_by_side
from keyvault.errors import InputError

Images = NDArray[np.uint8]
Decipher = Callable[[Images], Images]
PAIRS = (1, 2, 4, 8, 16, 32)
PICTURES = 100  # that are then deciphered
_FITTED = 4096  # samples of a picture, at most, between which lines are fitted
_FEWEST_FOR_LINES = 4


@dataclass(frozen=True, eq=False)
class Moves:
    """A key as the attacker knows it: where each entry comes from, and whether it is reversed.

    Attributes:
        bits: of an entry, 8 or 4; halves are the lower ones of all samples and then the upper ones.
        source: (e,) int; plain entry j is the protected entry ``source[j]``.
        negative: (e,) bool; then reversed.
    """

    bits: int
    source: NDArray[np.int64]
    negative: NDArray[np.bool_]

    def __call__(self, private: Images) -> Images:
        """Decipher (n, h, w, 3)."""
        found = _entries(private, self.bits)[:, self.source] ^ (self.negative * _top(self.bits))
        size = private[0].size
        samples = found if self.bits == 8 else found[:, :size] | found[:, size:] << np.uint8(4)
        return samples.reshape(private.shape)


@dataclass(frozen=True, eq=False)
class Lines:
    """A line for each sample: plain j is ``slope[j]`` times the protected sample ``source[j]``, plus ``base[j]``."""

    source: NDArray[np.int64]
    slope: NDArray[np.float64]
    base: NDArray[np.float64]

    def __call__(self, private: Images) -> Images:
        """Decipher (n, h, w, 3)."""
        found = private.reshape(len(private), -1)[:, self.source] * self.slope + self.base
        return np.clip(np.rint(found), 0, 255).astype(np.uint8).reshape(private.shape)


def by_moves(plain: Images, private: Images, bits: int) -> Moves | None:
    """The moves that turn one into the other, (k, h, w, 3) both; None if there are none.

    Entries whose series are equal in all k pictures cannot be told from each other, and any of them is taken.
    """
    (known, flipped), (seen, reversed_) = (_canonical(_entries(one, bits), bits) for one in (plain, private))
    at, of = np.lexsort(known), np.lexsort(seen)
    if not np.array_equal(known[:, at], seen[:, of]):
        return None
    source = np.empty(len(at), np.int64)
    source[at] = of
    return Moves(bits, source, flipped ^ reversed_[source])


def by_lines(plain: Images, private: Images) -> Lines:
    """For each sample the protected one with which it is correlated most, by magnitude, and the line through both."""
    y, x = (one.reshape(len(one), -1).astype(np.float32) for one in (plain, private))
    (y_mean, y), (x_mean, x) = ((one.mean(axis=0), one - one.mean(axis=0)) for one in (y, x))
    y_size, x_size = (np.maximum(np.sqrt((one**2).sum(axis=0)), 1e-3) for one in (y, x))
    alike = (y / y_size).T @ (x / x_size)
    source = np.abs(alike).argmax(axis=1)
    slope = alike[np.arange(len(source)), source] * y_size / x_size[source]
    base = y_mean - slope * x_mean[source]
    return Lines(source, slope.astype(np.float64), base.astype(np.float64))


def learn(plain: Images, private: Images) -> tuple[Decipher | None, str]:
    """How to decipher, from pairs (k, h, w, 3), and that in words; None if nothing was found."""
    for bits, what in ((8, "values"), (4, "halves of values")):
        moves = by_moves(plain, private, bits)
        if moves is not None:
            negative = ", some made negative" if moves.negative.any() else ""
            return moves, f"{what} that change places{negative}"
    if len(plain) < _FEWEST_FOR_LINES or plain[0].size > _FITTED:
        return None, "nothing"
    return by_lines(plain, private), "a line for each sample"


@dataclass(frozen=True, eq=False)
class Attempt:
    """What so many pairs gave: pictures deciphered (n, h, w, 3), their correlations (n,), and how."""

    pairs: int
    pictures: Images
    values: NDArray[np.float64]
    how: str

    def interval(self, generator: np.random.Generator) -> Interval:
        """Of the mean correlation."""
        return mean_interval(self.values, generator)


def attempts(protected: Protected) -> list[Attempt]:
    """Learn from more and more pairs, and decipher the pictures that are in none; blank where nothing was found."""
    rest = slice(PAIRS[-1], PAIRS[-1] + PICTURES)
    private, truth = protected.private[rest], grey(protected.plain[rest])
    found = []
    for count in PAIRS:
        decipher, how = learn(protected.plain[:count], protected.private[:count])
        pictures = np.zeros_like(private) if decipher is None else decipher(private)
        found.append(Attempt(count, pictures, correlations(grey(pictures), truth), how))
    return found


def run(evidence: PeerEvidence, generator: np.random.Generator) -> Finding:
    """Decipher up to 100 pictures after learning from 1 to 32 pairs; the score is that of the most pairs."""
    material = evidence.material
    if not material.keyed:
        raise InputError("there is no key to find: what the lens does is known, see the attack on one picture")
    found, control = attempts(material), attempts(evidence.control)[-1]
    truth = material.plain[PAIRS[-1] : PAIRS[-1] + PICTURES]
    chance = float(correlations(mean_scene(material, len(truth)), grey(truth)).mean())
    scale = Scale("correlation of deciphered picture and scene", chance, BROKEN)
    last, intervals = found[-1], {one.pairs: one.interval(generator) for one in found}
    told = ", ".join(f"{one.pairs}: {one.values.mean():.3f}" for one in found)
    exact = float((last.pictures == truth).mean())
    return Finding.judged(
        scale,
        intervals[last.pairs],
        attack=PEER_ATTACK.name,
        stand=PEER_ATTACK.stand,
        policy=evidence.name,
        score=float(last.values.mean()),
        control_broke=control.interval(generator).low > scale.level,
        frames=last.pairs,
        smallest_breaking=least_breaking(intervals, scale.level),
        note=(
            f"{len(truth)} other pictures deciphered, by {last.how}; {exact:.1%} of their samples are exact. By known "
            f"pairs, {told}."
        ),
        pictures={
            "scenes": side_by_side(truth),
            "protected": side_by_side(material.private[PAIRS[-1] :]),
            "deciphered": side_by_side(last.pictures),
        },
    )


def _top(bits: int) -> np.uint8:
    return np.uint8(2**bits - 1)


def _entries(images: Images, bits: int) -> Images:
    """(n, h, w, 3) as (n, e)."""
    samples = images.reshape(len(images), -1)
    return samples if bits == 8 else np.concatenate([samples & np.uint8(15), samples >> np.uint8(4)], axis=1)


def _canonical(series: Images, bits: int) -> tuple[Images, NDArray[np.bool_]]:
    """Each series (k, e) or its negative, whichever starts in the lower half, and whether it is the negative."""
    flipped = series[0] > _top(bits) // 2
    return series ^ (flipped * _top(bits)), flipped


PEER_ATTACK = PeerAttack("known_plaintext", known_plaintext.ATTACK.title, PAIRS[-1] + 20, run)
