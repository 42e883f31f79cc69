"""Pairs of scene and private frame: what has the same values in all of them is the same position, for other frames too.

After Li, Li, Chen, Bourbakis and Lo, "A general quantitative cryptanalysis of permutation-only
multimedia ciphers", Signal Processing: Image Communication 23(3), 2008.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from audit.attack import Attack, Evidence
from audit.finding import Finding, Scale, Stand
from audit.intervals import least_breaking, mean_interval
from audit.material import Material
from audit.positions import Sensor
from audit.views import in_line, picture, seen
from keyvault.policy import Cfa, Policy, Unit

Samples = NDArray[np.uint16]
Floats = NDArray[np.float64]
Places = NDArray[np.int64]
#: From scenes (k, p, c) and private frames (k, p, c) to the true position of each stored one (p,).
Match = Callable[[Samples, Samples], Places]
GROUPS = 30  # attacks, each with pairs of its own
BROKEN = 0.5
_GREENS = " A green may stand in its quad's other green place."


@dataclass(frozen=True)
class Knowledge:
    """How well an attacker knows the scenes of his pairs.

    Attributes:
        attack: the name of the attack by it.
        pairs: at most, one attack has.
        scenes: of a material's frames, as he has them: uint16 (n, p, c) in true order.
        match: positions by them.
        note: what a reader has to know of it.
    """

    attack: str
    pairs: int
    scenes: Callable[[Material, np.random.Generator], Samples]
    match: Match
    note: str

    @property
    def frames(self) -> int:
        """How many are attacked: besides those of its pairs, each attack reads one."""
        return GROUPS * (self.pairs + 1)


def match(plain: Samples, private: Samples) -> Places:
    """The true position of each stored one where scenes are known exactly: the n-th by value is the n-th by value.

    Args:
        plain: uint16 (k, p, c), true order.
        private: uint16 (k, p, c), stored order, of the same scenes.

    Returns int64 (p,), each position once; positions that share all their values are told apart by chance.
    """
    known, stored = (vectors(one) for one in (plain, private))
    found = np.empty(len(known), np.int64)
    found[np.lexsort(stored.T)] = np.lexsort(known.T)
    return found


def vectors(frames: Samples) -> Floats:
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


def attacked(material: Material, stand: Stand, knowledge: Knowledge, generator: np.random.Generator) -> Floats:
    """Shares of another frame's positions that 1, 2, ... pairs give: (pairs, groups)."""
    frames, scenes = seen(material, stand), knowledge.scenes(material, generator)
    sensor, size = Sensor(material.policy), knowledge.pairs + 1
    found = np.zeros((knowledge.pairs, len(material) // size))
    for group in range(found.shape[1]):
        other, *pairs = range(group * size, (group + 1) * size)
        for count in range(1, size):
            chosen = pairs[:count]
            places = guess(scenes[chosen], frames[chosen], material.policy, knowledge.match)
            found[count - 1, group] = sensor.found(places, material.tables[other])
    return found


def read(evidence: Evidence, stand: Stand, knowledge: Knowledge, generator: np.random.Generator) -> Finding:
    """Read 30 frames, each by means of pairs of scene and frame that are its own; scored at the most pairs."""
    material = evidence.material.first(knowledge.frames)
    shares = attacked(material, stand, knowledge, generator)
    control = attacked(evidence.control.first(knowledge.frames), stand, knowledge, generator)
    scale = Scale("share of another frame's positions put right", Sensor(material.policy).chance(), BROKEN)
    intervals = {pairs: mean_interval(one, generator) for pairs, one in enumerate(shares, 1)}
    return Finding.judged(
        scale,
        intervals[knowledge.pairs],
        attack=knowledge.attack,
        stand=stand,
        policy=evidence.name,
        score=float(shares[-1].mean()),
        control_broke=mean_interval(control[-1], generator).low > scale.level,
        frames=len(material),
        smallest_breaking=least_breaking(intervals, scale.level),
        note=(
            f"Another frame's positions put right by 1 pair and more: {_said(shares)}. The control, a fixed key: "
            f"{_said(control)}. {knowledge.note}" + ("" if material.policy.cfa is Cfa.NONE else _GREENS)
        ),
        pictures=_pictures(material, stand, knowledge, generator),
    )


def _said(shares: Floats) -> str:
    return ", ".join(f"{one:.1%}" for one in shares.mean(axis=1))


def _pictures(
    material: Material, stand: Stand, knowledge: Knowledge, generator: np.random.Generator
) -> dict[str, NDArray[np.uint8]]:
    material = material.first(knowledge.pairs + 1)
    frames, scenes = seen(material, stand), knowledge.scenes(material, generator)
    shown = {"a scene that was not known": in_line(material.plain)[0], "what the attacker sees": frames[0]}
    for count in (1, knowledge.pairs):
        chosen = range(1, count + 1)
        found = guess(scenes[chosen], frames[chosen], material.policy, knowledge.match)
        shown[f"put right by {count} pair{'s' * (count > 1)}"] = put_right(frames[0], found)
    return {name: picture(samples, material.policy) for name, samples in shown.items()}


EXACTLY = Knowledge(
    attack="known_plaintext",
    pairs=3,
    scenes=lambda material, _: in_line(material.plain),
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
