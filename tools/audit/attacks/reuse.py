"""A mask that several frames share: an attacker at the file finds such frames, and takes the mask off.

The difference of two frames under one mask, in one order, is that of their scenes, in this order; and what scenes
usually look like is enough to find a mask of many frames.  The statistics are those of ``audit.pads``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from audit.attack import Attack, Evidence
from audit.finding import Finding, Interval, Scale, Stand
from audit.intervals import mean_interval, paired_interval
from audit.material import Material
from audit.numbered_alike import numbered_alike
from audit.own_home import own_home
from audit.pads import (
    Floats,
    Samples,
    Usual,
    best_constant,
    likeliest_mask,
    near,
    under_one_mask,
    without,
)
from audit.views import in_line, known, picture
from keyvault.errors import InputError
from keyvault.policy import Protection

NAME = "reuse"
FRAMES = 256
SCENES = 2000
_FEWEST_SCENES = 100
_FAIL = 0.25
_POSITIONS = 1024
_CAPTION = "one mask for all frames: stored; under the mask that was found; true (in order, for the reader)"


@dataclass(frozen=True, slots=True, eq=False)
class Attempt:
    """What one way to attack gave.

    Attributes:
        scale: of its score.
        shares: the score by frame pair or position.
        interval: of their mean.
        smallest: the least number of frames that are enough; None if all are not.
        told: what it did, a clause.
    """

    scale: Scale
    shares: Floats
    interval: Interval
    smallest: int | None
    told: str

    @property
    def broke(self) -> bool:
        """Whether its interval lies above the level for that."""
        return self.interval.low > self.scale.level

    @property
    def lead(self) -> float:
        """How far its interval lies above chance."""
        return self.interval.low - self.scale.chance


def some(frames: Samples) -> Samples:
    """At most 1024 of the samples of frames (n, h, w) or (n, h, w, c), as many as an attack is judged by: (n, p)."""
    lines = frames.reshape(len(frames), -1)
    return lines[:, :: -(-lines.shape[1] // _POSITIONS)]


def by_difference(material: Material, usual: Usual, generator: np.random.Generator) -> Attempt:
    """Find the pairs of frames under one mask, and subtract one from the other; judged by the likeliest n pairs of n.

    Where none is found, every difference is guessed to be the usual one.
    """
    stored, hidden = some(material.file), some(material.memory)
    pairs, found = under_one_mask(stored, usual.levels)
    first, second = pairs[: len(stored)].T
    guess, truth = (without(one[second], one[first], usual.levels) for one in (stored, hidden))
    by_chance = near(best_constant(usual.differences, usual.near), truth, usual, axis=1)
    shares = near(guess, truth, usual, axis=1) if found else by_chance
    scale = Scale(f"share of differences of two frames within {usual.near} codes", float(by_chance.mean()), _FAIL)
    told = f"{len(np.unique(pairs)) if found else 0} frames seem to share a mask, by their differences"
    return Attempt(scale, shares, paired_interval(shares, by_chance, generator).cut_at(1.0), 2, told)


def by_histogram(material: Material, usual: Usual, generator: np.random.Generator) -> Attempt:
    """Take one mask off all frames at once, and off fewer until that no longer breaks them."""
    stored, hidden = some(material.file), some(material.memory)
    by_chance = near(best_constant(usual.overall, usual.near), hidden, usual, axis=0)
    scale = Scale(f"share of samples within {usual.near} codes", float(by_chance.mean()), _FAIL)
    counts = sorted({2**power for power in range(1, len(stored).bit_length())} | {len(stored)}, reverse=True)
    whole, smallest = bared(stored, hidden, usual), None
    for count in counts:
        shares = whole if count == len(stored) else bared(stored[:count], hidden[:count], usual)
        if mean_interval(shares, generator).low <= scale.level:
            break
        smallest = count
    told = f"one mask taken off all of them leaves {whole.mean():.1%} of samples within {usual.near} codes"
    return Attempt(scale, whole, mean_interval(whole, generator), smallest, told)


def bared(stored: Samples, hidden: Samples, usual: Usual) -> Floats:
    """The share of frames, by position, whose sample is right once the likeliest mask is off: (n, p) to (p,)."""
    return near(without(stored, likeliest_mask(stored, usual), usual.levels), hidden, usual, axis=0)


def run(evidence: Evidence, stand: Stand, generator: np.random.Generator) -> Finding:
    """Attack up to 256 frames both ways, and as the control the same scenes under one number; the better way counts.

    Raises InputError if the policy has no mask, or if fewer than 100 scenes are known.
    """
    material = evidence.material.first(FRAMES)
    policy = material.policy
    _check(evidence)
    usual = Usual.of(known(evidence.scenes[:SCENES], policy).reshape(len(evidence.scenes[:SCENES]), -1), 2**policy.bits)
    with own_home(policy) as home:
        forced = numbered_alike(home.opened(), material.plain)
    control = [way(forced, usual, generator) for way in (by_difference, by_histogram)]
    tried = [way(material, usual, generator) for way in (by_difference, by_histogram)]
    best = max(tried, key=lambda one: one.lead)
    return Finding.judged(
        best.scale,
        best.interval,
        attack=NAME,
        stand=stand,
        policy=evidence.name,
        score=float(best.shares.mean()),
        control_broke=all(one.broke for one in control),
        frames=len(material),
        smallest_breaking=best.smallest,
        note=_note(len(material), tried, control),
        pictures={_CAPTION: _picture(forced, usual)},
    )


def _check(evidence: Evidence) -> None:
    if evidence.material.policy.protection is not Protection.SHUFFLE_MASK:
        raise InputError("the policy has no mask that could be taken off: a file shows the values as they are")
    if len(evidence.scenes) < _FEWEST_SCENES:
        raise InputError(
            f"{len(evidence.scenes)} known scenes do not tell what scenes usually look like",
            hint=f"give {_FEWEST_SCENES} or more besides those of the frames",
        )


def _note(frames: int, tried: list[Attempt], control: list[Attempt]) -> str:
    given, forced = ("; ".join(one.told for one in attempts) for attempts in (tried, control))
    least = control[1].smallest
    enough = f"{least} frames are enough to take it off" if least else "they are too few to take it off"
    return f"Of {frames} frames {given}. Of as many that were all given the same number {forced}; {enough}."


def _picture(forced: Material, usual: Usual) -> NDArray[np.uint8]:
    """The first of frames under one mask, as stored, without its mask as guessed, and as it is, all in true order."""
    stored = in_line(forced.file)
    lines = stored.reshape(len(stored), -1)
    bare = without(lines[:1], likeliest_mask(lines, usual), usual.levels).reshape(stored[0].shape)
    shown = [stored[0][forced.tables[0]], bare[forced.tables[0]], in_line(forced.plain)[0]]
    return np.concatenate([picture(one, forced.policy) for one in shown], axis=1)


ATTACK = Attack(name=NAME, title="One mask for many frames", stands=(Stand.FILE,), frames_needed=FRAMES, run=run)
