"""Pairs of scene and private frame: what has the same values in all of them is the same position, for other frames too.

After Li, Li, Chen, Bourbakis and Lo, "A general quantitative cryptanalysis of permutation-only
multimedia ciphers", Signal Processing: Image Communication 23(3), 2008.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from audit.attack import Evidence
from audit.finding import Finding, Scale, Stand
from audit.intervals import least_breaking, mean_interval
from audit.material import Material
from audit.positions import Sensor
from audit.views import seen
from keyvault.policy import Policy

Samples = NDArray[np.uint16]
Floats = NDArray[np.float64]
Places = NDArray[np.int64]
#: From scenes (k, p, c) and private frames (k, p, c) to the true position of each stored one (p,).
Match = Callable[[Samples, Samples], Places]
UNIT = "share of another frame's positions put right"
BROKEN = 0.5
GROUPS = 30  # attacks, each with pairs of its own
_GREENS = " A green may stand in its quad's other green place."


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


def guess(plain: Samples, private: Samples, sensor: Sensor, how: Match = match) -> Places:
    """The true position of each stored one (p,), matched inside each band of the policy.

    Args:
        plain: uint16 (k, p, c), true order.
        private: uint16 (k, p, c), stored order, of the same scenes.
        sensor: of the frames; everybody can read it in their headers.
        how: matches positions.
    """
    found = np.empty(plain.shape[1], np.int64)
    for part in sensor.parts():
        found[part] = part[how(plain[:, part], private[:, part])]
    return found


def put_right(stored: Samples, found: Places) -> Samples:
    """A frame (p, c) in the order that was guessed."""
    made = np.empty_like(stored)
    made[found] = stored
    return made


def greens(sensor: Sensor) -> str:
    """What a reader has to know of the score on a mosaic; nothing elsewhere."""
    return _GREENS if sensor.mosaic else ""


@dataclass(frozen=True)
class Knowledge:
    """How well an attacker knows the scenes of his pairs.

    Attributes:
        attack: the name of the attack by it.
        pairs: at most, one attack has.
        scenes: as he has them, from those of a policy's frames, uint16 (n, p, c) in true order both.
        match: positions by them.
        note: what a reader has to know of it.
    """

    attack: str
    pairs: int
    scenes: Callable[[Samples, Policy, np.random.Generator], Samples]
    match: Match
    note: str

    @property
    def frames(self) -> int:
        """How many are attacked: besides those of its pairs, each attack reads one."""
        return GROUPS * (self.pairs + 1)


def attacked(material: Material, stand: Stand, knowledge: Knowledge, generator: np.random.Generator) -> Floats:
    """Shares of another frame's positions that 1, 2, ... pairs give: (pairs, groups)."""
    sensor, size = Sensor(material.policy), knowledge.pairs + 1
    frames, scenes = _views(material, stand, knowledge, generator)
    found = np.zeros((knowledge.pairs, len(material) // size))
    for group in range(found.shape[1]):
        other, *pairs = range(group * size, (group + 1) * size)
        for count in range(1, size):
            chosen = pairs[:count]
            places = guess(scenes[chosen], frames[chosen], sensor, knowledge.match)
            found[count - 1, group] = sensor.found(places, material.tables[other])
    return found


def _views(
    material: Material, stand: Stand, knowledge: Knowledge, generator: np.random.Generator
) -> tuple[Samples, Samples]:
    """Frames and scenes as the attacker has them, (n, p, c) both."""
    sensor = Sensor(material.policy)
    scenes = knowledge.scenes(sensor.in_line(material.plain), material.policy, generator)
    return sensor.in_line(seen(material, stand)), scenes


def read(evidence: Evidence, stand: Stand, knowledge: Knowledge, generator: np.random.Generator) -> Finding:
    """Read 30 frames, each by means of pairs of scene and frame that are its own; scored at the most pairs."""
    material = evidence.material.first(knowledge.frames)
    shares = attacked(material, stand, knowledge, generator)
    control = attacked(evidence.control.first(knowledge.frames), stand, knowledge, generator)
    sensor = Sensor(material.policy)
    scale = Scale(UNIT, sensor.chance(), BROKEN)
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
            f"Another frame's positions put right by 1 pair and more: {said(shares)}. The control, a fixed key: "
            f"{said(control)}. {knowledge.note}{greens(sensor)}"
        ),
        pictures=_pictures(material, stand, knowledge, generator),
    )


def said(shares: Floats) -> str:
    """Mean shares by pairs, (pairs, n), for people."""
    return ", ".join(f"{one:.1%}" for one in shares.mean(axis=1))


def _pictures(
    material: Material, stand: Stand, knowledge: Knowledge, generator: np.random.Generator
) -> dict[str, NDArray[np.uint8]]:
    sensor, material = Sensor(material.policy), material.first(knowledge.pairs + 1)
    frames, scenes = _views(material, stand, knowledge, generator)
    shown = {
        "a scene that was not known": sensor.in_line(material.plain)[0],
        "what the attacker sees": frames[0],
    }
    for count in (1, knowledge.pairs):
        chosen = range(1, count + 1)
        found = guess(scenes[chosen], frames[chosen], sensor, knowledge.match)
        shown[f"put right by {count} pair{'s' * (count > 1)}"] = put_right(frames[0], found)
    return {name: sensor.as_picture(samples) for name, samples in shown.items()}
