"""A network that learns to turn stored frames back into scenes, from pairs the attacker makes with keys of their own.

After Dosovitskiy and Brox, "Inverting Visual Representations with Convolutional Networks", CVPR 2016.
``audit.inversion_training`` has the network's training.  Where it has learned less than the frame's own brightness
tells, which no order changes, the mean scene made as bright as the frame is the guess.  Linear regression alone undoes
a permutation that never changes, so the controls are two: the fixed key, and fresh permutations of every row, where
what regression leaves has to be the network's work.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import product

import numpy as np
from numpy.typing import NDArray
from skimage.metrics import structural_similarity

from audit.attack import Attack, Evidence
from audit.finding import Finding, Pictures, Scale, Stand
from audit.intervals import mean_interval, paired_interval
from audit.inversion_training import Budget, Floats, Pairs, invert, invert_linearly, train
from audit.material import Material, white
from audit.views import in_line, known
from keyvault.errors import InputError
from keyvault.policy import Policy
from quad_scenes import WHITE

NAME = "inversion"
FEWEST_FRAMES, FEWEST_SCENES = 300, 500  # it learns from the orders of all the frames that there are
HELD_OUT = 100  # frames, whose orders it does not see
LARGEST, SMALLEST = 4096, 7  # photosites that the regression takes; rows and columns that the similarity takes
RECOGNISABLE = 0.3  # structural similarity of a thumbnail a sixteenth as large, about
BUDGET = Budget()
_FIXED_BATCH = 8  # frames in each step of the network that undoes the fixed key
_SHOWN = 6  # frames in a picture
_WORSE = " On these frames that is worse than the mean scene, which is a control too: nothing can be said of them."
_JUDGED = 100  # known scenes, at most, that tell which way is to be believed, and how far
_TRUST = (0.0, 0.25, 0.5, 0.75, 1.0)
Way = Callable[[Floats], Floats]  # what is made of stored frames, both (n, p, c)


def similarity(guess: Floats, truth: Floats) -> NDArray[np.float64]:
    """Structural similarity of each pair of pictures (n, h, w, c) in [0, 1], 1 for equal ones: (n,).

    Wang, Bovik, Sheikh and Simoncelli, IEEE TIP 13(4), 2004.
    """
    pairs = zip(guess, truth, strict=True)
    return np.array([structural_similarity(a, b, data_range=1, channel_axis=-1) for a, b in pairs])


def peak_ratio(guess: Floats, truth: Floats) -> NDArray[np.float64]:
    """Peak signal-to-noise ratio of each pair of pictures (n, h, w, c) in [0, 1], in dB: (n,)."""
    error = ((guess.astype(np.float64) - truth) ** 2).mean(tuple(range(1, guess.ndim)))
    return np.asarray(-10 * np.log10(np.maximum(error, 1e-10)))


def scaled(samples: NDArray[np.uint16], policy: Policy) -> Floats:
    """Samples of any shape as parts of the policy's white."""
    return np.asarray(samples, np.float32) / np.float32(white(policy))


@dataclass(frozen=True, eq=False)
class Inversion:
    """Held-out frames and what became of them: pictures (n, h, w, c) in [0, 1].

    Attributes:
        stored, truth: the frames and their scenes.
        guess, linear: what is made of them, and what would be without the network.
        mean: the mean known scene.
        told: how the guess was made, a clause.
    """

    stored: Floats
    truth: Floats
    guess: Floats
    linear: Floats
    mean: Floats
    told: str

    @property
    def scores(self) -> NDArray[np.float64]:
        """Similarity of guess and scene, by frame."""
        return similarity(self.guess, self.truth)

    @property
    def by_chance(self) -> NDArray[np.float64]:
        """Similarity of the mean known scene and the scene, by frame."""
        return similarity(self.mean, self.truth)

    def pictures(self) -> Pictures:
        """Some of the frames, side by side."""
        named = {"scenes": self.truth, "as stored": self.stored, "reconstructed": self.guess, "mean scene": self.mean}
        return {name: _side_by_side(frames[:_SHOWN]) for name, frames in named.items()}


def _side_by_side(frames: Floats) -> NDArray[np.uint8]:
    sheet = (np.concatenate(list(frames.clip(0, 1)), axis=1) * WHITE).round().astype(np.uint8)
    return sheet if sheet.shape[2] == 3 else sheet[..., 0]


def inverted(pairs: Pairs, stored: Floats, truth: Floats, budget: Budget, generator: np.random.Generator) -> Inversion:
    """Learn from pairs, and invert frames (n, p, c) under orders that are not among theirs.

    A guess can always be the mean scene.  Which way is to be believed, and how far beyond that, is told by the last of
    the scenes under the last of the orders, from which none has learned: else one that has learned too little would do
    worse than nothing.
    """
    learned, others = _parted(pairs)
    network, mean = train(learned, budget, generator), learned.plain.mean(0)
    numbers = np.arange(len(others.plain))
    practice = others.stored(numbers, numbers % len(others.tables))
    ways: dict[str, Way] = {
        "the network": lambda frames: invert(network, frames, pairs.shape),
        "the regression": lambda frames: invert_linearly(network, frames, pairs.shape),
        "the frame's brightness": lambda frames: mean + (frames - mean).mean(1, keepdims=True),
    }

    def pictures(lines: Floats) -> Floats:
        return lines.reshape(len(lines), *pairs.shape, -1)

    def best(names: Iterable[str]) -> tuple[Floats, str]:
        beyond = {name: ways[name](practice) - mean for name in names}
        chosen, trust = max(
            product(beyond, _TRUST),
            key=lambda one: float(similarity(pictures(mean + one[1] * beyond[one[0]]), pictures(others.plain)).mean()),
        )
        guess = mean + np.float32(trust) * (ways[chosen](stored) - mean)
        return pictures(guess), f"{trust:.0%} of what {chosen} says beyond the mean scene"

    guess, told = best(ways)
    linear, _ = best(set(ways) - {"the network"})
    means = pictures(np.broadcast_to(mean, truth.shape))
    return Inversion(pictures(stored), pictures(truth), guess, linear, means, told)


def _parted(pairs: Pairs) -> tuple[Pairs, Pairs]:
    """Pairs to learn from, and a few others."""
    scenes, orders = (max(1, min(_JUDGED, number // 5)) for number in (len(pairs.plain), len(pairs.tables)))
    return (
        Pairs(pairs.plain[:-scenes], pairs.tables[:-orders], pairs.shape),
        Pairs(pairs.plain[-scenes:], pairs.tables[-orders:], pairs.shape),
    )


def attacked(material: Material, plain: Floats, budget: Budget, generator: np.random.Generator) -> Inversion:
    """Learn from known scenes (m, p, c) and the orders of some frames; invert the other frames."""
    policy = material.policy
    stored, truth = (scaled(in_line(one[:HELD_OUT]), policy) for one in (material.memory, material.plain))
    pairs = Pairs(plain, material.tables[HELD_OUT:], (policy.height, policy.width))
    return inverted(pairs, stored, truth, budget, generator)


def row_orders(count: int, shape: tuple[int, int], generator: np.random.Generator) -> NDArray[np.int32]:
    """Tables (count, p) that move photosites at random inside their rows."""
    raster = np.arange(shape[0] * shape[1], dtype=np.int32).reshape(shape)
    return generator.permuted(np.broadcast_to(raster, (count, *shape)), axis=2).reshape(count, -1)


@dataclass(frozen=True, slots=True)
class Controls:
    """What the attack has to break, in as many steps as it has for the policy.

    Attributes:
        fixed, row: similarity to the scene for the paper's fixed key, and for fresh permutations of every row.
        row_linear: for the latter, if the network were left out.
    """

    fixed: NDArray[np.float64]
    row: NDArray[np.float64]
    row_linear: NDArray[np.float64]

    def broke(self, level: float, generator: np.random.Generator) -> bool:
        """Whether both lie above the level, and the network is what made the second do so."""
        learned = mean_interval(self.row - self.row_linear, generator).low > 0
        return learned and all(mean_interval(one, generator).low > level for one in (self.fixed, self.row))


@dataclass(frozen=True, slots=True)
class Practice:
    """What the controls learn from and are judged by; equal where it shows the same scenes at the same size.

    Attributes:
        digest: of the rest.
        count: how many frames there are, of which the first 100 are judged and the orders of the others seen.
        shape: their rows and columns.
        truth: the scenes of the first 100, (n, p, c).
        plain: known scenes, (m, p, c).
    """

    digest: bytes
    count: int
    shape: tuple[int, int]
    truth: Floats = field(compare=False)
    plain: Floats = field(compare=False)

    @classmethod
    def of(cls, material: Material, plain: Floats) -> Practice:
        """As much as the attack on a material is given."""
        policy = material.policy
        truth = scaled(in_line(material.plain[:HELD_OUT]), policy)
        parts = [hashlib.sha256(np.ascontiguousarray(one).data).digest() for one in (truth, plain)]
        return cls(b"".join(parts), len(material), (policy.height, policy.width), truth, plain)

    def inverted(self, orders: NDArray[np.int32], budget: Budget, generator: np.random.Generator) -> Inversion:
        """The attack on the scenes under these orders, one for each frame."""
        each = np.arange(len(self.truth))
        stored = Pairs(self.truth, orders[:HELD_OUT], self.shape).stored(each, each)
        return inverted(Pairs(self.plain, orders[HELD_OUT:], self.shape), stored, self.truth, budget, generator)


@lru_cache(maxsize=2)
def controls(practice: Practice) -> Controls:
    """Attack them; remembered, since they are the same for all policies of one size."""
    generator = np.random.default_rng(0)
    few = Budget(BUDGET.steps, _FIXED_BATCH, BUDGET.width, BUDGET.learning_rate)
    places = practice.shape[0] * practice.shape[1]
    one_order = np.broadcast_to(generator.permutation(places).astype(np.int32), (practice.count, places))
    fixed = practice.inverted(one_order, few, generator)
    row = practice.inverted(row_orders(practice.count, practice.shape, generator), BUDGET, generator)
    return Controls(fixed.scores, row.scores, similarity(row.linear, row.truth))


def _check(material: Material, scenes: NDArray[np.uint8]) -> None:
    policy = material.policy
    if len(material) < FEWEST_FRAMES or len(scenes) < FEWEST_SCENES:
        raise InputError(
            f"{len(material)} frames and {len(scenes)} known scenes are too few to learn an inversion from",
            hint=f"give {FEWEST_FRAMES} frames and {FEWEST_SCENES} scenes, or more",
        )
    if policy.photosites > LARGEST:
        raise InputError(
            f"its regression takes {LARGEST} photosites at most, a frame has {policy.photosites}: "
            "time and memory grow with their square and more",
            hint="audit the same policy at 32x32",
        )
    if min(policy.width, policy.height) < SMALLEST:
        raise InputError(
            f"pictures of fewer than {SMALLEST} rows or columns have no structural similarity",
            hint="audit the same policy on a larger sensor",
        )


def run(evidence: Evidence, stand: Stand, generator: np.random.Generator) -> Finding:
    """Learn to invert the policy's shuffle; the controls are those of :class:`Controls`, chance is the mean scene.

    A guess that is surely worse than that, though other scenes spoke for it, has not held a third control: whatever the
    frames are, it is not of what it learned from, and says nothing of them.

    Raises InputError if there are fewer than 300 frames or 500 scenes, and for frames of more than 4,096 photosites
    or fewer than 7 rows or columns.
    """
    material = evidence.material
    _check(material, evidence.scenes)
    plain = scaled(known(evidence.scenes, material.policy), material.policy)
    control = controls(Practice.of(material, plain))
    found = attacked(material, plain, BUDGET, generator)
    scores, by_chance = found.scores, found.by_chance
    scale = Scale("structural similarity to the scene", float(by_chance.mean()), RECOGNISABLE)
    worse = mean_interval(by_chance - scores, generator).sure > 0
    return Finding.judged(
        scale,
        paired_interval(scores, by_chance, generator).cut_at(1.0),
        attack=NAME,
        stand=stand,
        policy=evidence.name,
        score=float(scores.mean()),
        control_broke=control.broke(scale.level, generator) and not worse,
        frames=len(scores),
        note=_note(evidence, found, control) + (_WORSE if worse else ""),
        pictures=found.pictures(),
    )


def _note(evidence: Evidence, found: Inversion, control: Controls) -> str:
    ratios = [float(peak_ratio(one, found.truth).mean()) for one in (found.guess, found.mean)]
    return (
        f"Each of {len(found.truth)} frames inverted on its own, with {len(evidence.scenes)} other scenes and "
        f"{len(evidence.material) - HELD_OUT} of the policy's orders to learn from for {BUDGET}, which is why no least "
        f"number of frames is named; a larger budget may reach more. PSNR {ratios[0]:.1f} dB, of the mean scene "
        f"{ratios[1]:.1f} dB. The controls: the fixed key {control.fixed.mean():.2f}; every row shuffled anew "
        f"{control.row.mean():.2f}, of which {control.row_linear.mean():.2f} without the network. The guess has "
        f"{found.told}, which other known scenes decide."
    )


ATTACK = Attack(
    name=NAME,
    title="A network that learned to invert",
    stands=(Stand.MEMORY,),
    frames_needed=FEWEST_FRAMES,
    run=run,
)
