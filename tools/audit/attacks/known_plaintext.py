"""Pairs of scene and private frame: what has the same values in all of them is the same position, for other frames too.

After Li, Li, Chen, Bourbakis and Lo, "A general quantitative cryptanalysis of permutation-only
multimedia ciphers", Signal Processing: Image Communication 23(3), 2008.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from audit.attack import Attack, Evidence
from audit.attacks.wrong_key import chance_of_a_place
from audit.finding import Finding, Scale, Stand
from audit.intervals import least_breaking, mean_interval
from audit.material import Material
from audit.views import in_line, picture, seen
from keyvault.policy import Cfa, Policy, Unit
from quad_scenes import WHITE

Samples = NDArray[np.uint16]
Floats = NDArray[np.float64]
Places = NDArray[np.int64]
#: From scenes (k, p, c) and private frames (k, p, c) to the true position of each stored one (p,).
Match = Callable[[Samples, Samples], Places]
NAME = "known_plaintext"
PAIRS = 3  # at most, one attack knows
GROUPS = 30  # attacks, each with pairs of its own
FRAMES = GROUPS * (PAIRS + 1)  # each attack reads one frame besides
NOISE = 0.015  # of full scale
STEPS = 64  # of an attacker's photograph
BROKEN = 0.5
_JITTER = 0.01  # codes; parts equal values
_ROUNDS = 40
_GREENS = ", as are both greens of a quad that shows one pixel of a scene: then about 75 % is all there is to get."


def match(plain: Samples, private: Samples) -> Places:
    """The true position of each stored one where scenes are known exactly: the n-th by value is the n-th by value.

    Args:
        plain: uint16 (k, p, c), true order.
        private: uint16 (k, p, c), stored order, of the same scenes.

    Returns int64 (p,), each position once; positions that share all their values are told apart by chance.
    """
    known, stored = (_vectors(one) for one in (plain, private))
    found = np.empty(len(known), np.int64)
    found[np.lexsort(stored.T)] = np.lexsort(known.T)
    return found


def match_nearest(plain: Samples, private: Samples) -> Places:
    """The same where scenes are known roughly: pairs with the least difference are matched first.

    What is still open after 40 rounds, because most of it wants the same few positions, is matched by order of value.
    """
    generator = np.random.default_rng(0)
    known, stored = (one + generator.uniform(0, _JITTER, one.shape) for one in map(_vectors, (plain, private)))
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


def _vectors(frames: Samples) -> Floats:
    """Frames (k, p, c) as the values of each position: (p, k * c)."""
    return frames.transpose(1, 0, 2).reshape(frames.shape[1], -1).astype(np.float64)


def bands(policy: Policy) -> list[Places]:
    """What can change places: for each band the photosites, in raster order, of each piece that moves: (pieces, u)."""
    raster = np.arange(policy.photosites).reshape(policy.height, policy.width)
    side = 2 if policy.unit is Unit.QUAD else 1
    found = []
    for first in range(0, policy.height, policy.band_rows):
        rows = raster[first : first + policy.band_rows]
        parts = rows.reshape(len(rows) // side, side, policy.width // side, side)
        found.append(parts.swapaxes(1, 2).reshape(-1, side * side))
    return found


def guess(plain: Samples, private: Samples, policy: Policy, how: Match = match) -> Places:
    """The true position of each stored photosite (p,), matched piece by piece inside each band of the policy.

    Args:
        plain: uint16 (k, p, c), true order.
        private: uint16 (k, p, c), stored order, of the same scenes.
        policy: of the frames; everybody can read it in their headers.
        how: matches pieces.
    """
    found = np.empty(policy.photosites, np.int64)
    for band in bands(policy):
        known, stored = (one[:, band].reshape(len(one), len(band), -1) for one in (plain, private))
        found[band] = band[how(known, stored)]
    return found


def put_right(stored: Samples, found: Places) -> Samples:
    """A frame (p, c) in the order that was guessed."""
    made = np.empty_like(stored)
    made[found] = stored
    return made


def exact(found: Places, table: NDArray[np.int32]) -> float:
    """The share of positions that a guess has right for a frame that stores the photosite s at ``table[s]``."""
    return float((found[table] == np.arange(len(table))).mean())


def photographed(plain: Samples, generator: np.random.Generator) -> Samples:
    """An attacker's own photographs of the scenes: noise of 1.5 % of full scale, in 64 steps."""
    full = max(WHITE, int(plain.max()))
    noisy = plain + generator.normal(0, NOISE * full, plain.shape)
    step = (full + 1) / STEPS
    return np.asarray((np.clip(noisy, 0, full) // step + 0.5) * step, np.uint16)


def attacked(material: Material, stand: Stand, generator: np.random.Generator) -> tuple[Floats, Floats]:
    """Shares of another frame's positions that 1, 2, ... pairs give: (k, groups), exact and photographed."""
    frames, plain = seen(material, stand), in_line(material.plain)
    rough = photographed(plain, generator)
    found = np.zeros((2, PAIRS, len(material) // (PAIRS + 1)))
    for group in range(found.shape[2]):
        other, *pairs = range(group * (PAIRS + 1), (group + 1) * (PAIRS + 1))
        for count in range(1, PAIRS + 1):
            chosen = pairs[:count]
            for kind, (scenes, how) in enumerate(((plain, match), (rough, match_nearest))):
                places = guess(scenes[chosen], frames[chosen], material.policy, how)
                found[kind, count - 1, group] = exact(places, material.tables[other])
    return found[0], found[1]


def run(evidence: Evidence, stand: Stand, generator: np.random.Generator) -> Finding:
    """Read 30 frames, each by means of up to three pairs of scene and frame that are its own; scored at three."""
    material = evidence.material.first(FRAMES)
    shares, rough = attacked(material, stand, generator)
    control, _ = attacked(evidence.control.first(FRAMES), stand, generator)
    scale = Scale("share of another frame's positions put right", chance_of_a_place(material.policy), BROKEN)
    intervals = {pairs: mean_interval(one, generator) for pairs, one in enumerate(shares, 1)}
    return Finding.judged(
        scale,
        intervals[len(shares)],
        attack=NAME,
        stand=stand,
        policy=evidence.name,
        score=float(shares[-1].mean()),
        control_broke=mean_interval(control[-1], generator).low > BROKEN,
        frames=len(material),
        smallest_breaking=least_breaking(intervals, BROKEN),
        note=(
            f"Another frame's positions put right by 1, 2 and 3 pairs: {_said(shares)}. By the attacker's own "
            f"photographs of the scenes, with {NOISE:.1%} noise in {STEPS} steps: {_said(rough)}. The control, a fixed "
            f"key: {_said(control)}. Positions that had the same values in all pairs are told apart by chance"
            + ("." if material.policy.cfa is Cfa.NONE else _GREENS)
        ),
        pictures=_pictures(material, stand),
    )


def _said(shares: Floats) -> str:
    return ", ".join(f"{one:.1%}" for one in shares.mean(axis=1))


def _pictures(material: Material, stand: Stand) -> dict[str, NDArray[np.uint8]]:
    frames, plain = seen(material, stand), in_line(material.plain)
    shown = {"a scene that was not known": plain[0], "what the attacker sees": frames[0]}
    for count in (1, PAIRS):
        chosen = range(1, count + 1)
        found = guess(plain[chosen], frames[chosen], material.policy)
        shown[f"put right by {count} pair{'s' * (count > 1)}"] = put_right(frames[0], found)
    return {name: picture(samples, material.policy) for name, samples in shown.items()}


ATTACK = Attack(
    name=NAME,
    title="Known scenes give the positions of other frames",
    stands=(Stand.FILE, Stand.MEMORY),
    frames_needed=FRAMES,
    run=run,
)
