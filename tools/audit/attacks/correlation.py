"""Private frames alone, all under one permutation: neighbours in the scene stay correlated wherever they are stored.

After Le Roux, Bengio, Lamblin, Joliveau and Kegl, "Learning the 2-D Topology of Images", NIPS 2007; what they leave
crooked is put straight by ``audit.lattice``, and a mosaic's colours are told apart by ``audit.mosaic``.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from skimage.metrics import structural_similarity

from audit.attack import Attack, Evidence
from audit.embedding import distances, embed, steps, to_grid
from audit.finding import Finding, Interval, Scale, Stand
from audit.guesses import near
from audit.intervals import few_shares_interval, share_interval
from audit.lattice import SMALLEST, grow, refine_grid, roughness
from audit.material import Material
from audit.mosaic import arrange_mosaic
from audit.positions import Sensor, Spots
from audit.views import picture
from keyvault.errors import InputError
from keyvault.policy import Policy

Floats = NDArray[np.float64]
Places = NDArray[np.int64]
Samples = NDArray[np.uint16]
NAME = "correlation"
FRAMES = 1000
LEAST_FRAMES = 300
LADDER = (20, 50, 100, 200, 300, 500, 1000)  # frames
SETS = 5  # of frames, at most, at each step of the ladder
SETS_OF_MANY = 3  # at most, where a frame has more photosites than MANY
MANY = 1024
BROKEN = 0.5  # share of positions exact
LARGEST = 4096  # positions whose correlations are taken
_JUDGED = 50  # frames by which a guess is judged where each has a permutation of its own
_DRAWS = 10
_COMPARED = 20  # frames whose SSIM is taken
_KEPT = 32  # guesses that a process remembers, of up to 64 KiB each
_guesses: OrderedDict[tuple[bytes, int, Policy], Spots] = OrderedDict()


def arrange(frames: Floats, shape: tuple[int, int]) -> Places:
    """Guess where each stored position belongs, up to a turn or mirror image of the whole.

    Args:
        frames: float64 (n, p, c) in stored order, all under one permutation.
        shape: rows and columns of the scene; p positions in all.

    Returns int64 (p,): the true raster position guessed for each stored position.
    """
    distance = distances(frames)
    rough = to_grid(embed(steps(distance)), shape)
    if min(shape) < SMALLEST:
        return refine_grid(distance, rough, shape)
    grown = refine_grid(distance, grow(distance, rough, shape), shape)
    if roughness(distance, grown, shape) < roughness(distance, rough, shape):
        return grown
    # So few frames that what grows goes astray.
    return refine_grid(distance, rough, shape)


def guessed(frames: Samples, policy: Policy) -> Spots:
    """The attack on frames (n, h, w) or (n, h, w, c); the process remembers the last guesses, and no frames.

    The policy gives nothing but what is public: shape, colours and what moves.
    """
    name = (hashlib.sha256(np.ascontiguousarray(frames).data).digest(), len(frames), policy)
    found = _guesses.pop(name, None) or _guess(frames, policy)
    _guesses[name] = found
    if len(_guesses) > _KEPT:
        _guesses.popitem(last=False)
    return found


def _guess(frames: Samples, policy: Policy) -> Spots:
    sensor = Sensor(policy)
    lines = sensor.in_line(frames).astype(np.float64)
    if sensor.mosaic:
        return Spots(*arrange_mosaic(lines[..., 0], sensor.shape, arrange, np.random.default_rng(0)))
    cells = arrange(lines, sensor.shape)
    return Spots(cells, np.zeros_like(cells))


@dataclass(frozen=True, eq=False)
class Attempt:
    """What one set of frames gave.

    Attributes:
        frames: how many.
        exact: share of positions exact, of all frames that were judged.
        interval: of that share, over positions.
        near: share of positions at most one row and one column off.
        ssim: of recovered scene and scene, mean over frames (Wang et al., IEEE TIP 13(4), 2004).
        chance: ``exact`` if the guess is held against permutations drawn at random.
        picture: the first frame, recovered.
    """

    frames: int
    exact: float
    interval: Interval
    near: float
    ssim: float
    chance: float
    picture: NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Step:
    """What disjoint sets of so many frames gave, or all frames as the only set.

    One set can be lucky in its scenes, which an interval over positions does not show: they all hang together.  With
    several sets the interval is over sets; with one it is that of its positions.
    """

    attempts: tuple[Attempt, ...]

    @property
    def frames(self) -> int:
        """How many are in each set."""
        return self.attempts[0].frames

    @property
    def exact(self) -> float:
        """Share of positions exact, mean over sets."""
        return float(np.mean([one.exact for one in self.attempts]))

    @property
    def interval(self) -> Interval:
        """Of that share."""
        if len(self.attempts) == 1:
            return self.attempts[0].interval
        return few_shares_interval(np.array([one.exact for one in self.attempts]))

    @property
    def broke(self) -> bool:
        """Whether more than half of the positions are exact, as sure as the interval says."""
        return self.interval.low > BROKEN

    @property
    def told(self) -> str:
        """Frames, sets and what they gave, for people."""
        sets = f" (mean of {len(self.attempts)} sets)" if len(self.attempts) > 1 else ""
        ssim = float(np.mean([one.ssim for one in self.attempts]))
        return f"{self.frames}: {self.exact:.1%} exact, SSIM {ssim:.2f}{sets}"


def attempt(material: Material, stand: Stand, generator: np.random.Generator) -> Attempt:
    """Attack all frames of a material, and judge the guess.  It is turned as a person would turn its picture."""
    sensor = Sensor(material.policy)
    seen = material.file if stand is Stand.FILE else material.memory
    guess = guessed(seen, material.policy)
    alike = bool((material.tables == material.tables[0]).all())
    truths = sensor.stored(material.tables[: 1 if alike else _JUDGED])
    best, spots = sensor.upright(guess, truths), sensor.spots().at(truths)
    exact = best.same(spots)
    drawn = [sensor.drawn(len(truths), generator) for _ in range(_DRAWS)]
    chances = [sensor.upright(guess, one).same(sensor.spots().at(one)).mean() for one in drawn]
    recovered = sensor.restored(sensor.in_line(seen[:_COMPARED]), best)
    plain = sensor.in_line(material.plain[:_COMPARED])
    return Attempt(
        frames=len(seen),
        exact=float(exact.mean()),
        interval=share_interval(int(exact.sum()), exact.size),
        near=float((near(best.cells, spots.cells, sensor.shape) & (best.colours == spots.colours)).mean()),
        ssim=structure([sensor.as_picture(one) for one in recovered], [sensor.as_picture(one) for one in plain]),
        chance=float(np.mean(chances)),
        picture=sensor.as_picture(recovered[0]),
    )


def structure(pictures: list[NDArray[np.uint8]], scenes: list[NDArray[np.uint8]]) -> float:
    """Mean structural similarity of pictures and scenes."""
    colours = -1 if scenes[0].ndim == 3 else None
    pairs = zip(pictures, scenes, strict=True)
    return float(np.mean([structural_similarity(*pair, data_range=255, channel_axis=colours) for pair in pairs]))


def by_frames(material: Material, stand: Stand, generator: np.random.Generator) -> list[Step]:
    """The attack with all frames, and if that breaks, with fewer until the least that break are found; by frames.

    A step of the ladder takes as many disjoint sets as there are frames for, five at most; a step with only one is
    left out.  Arranging a set takes 3 to 6 seconds of one core at 1,024 photosites.  It takes 10 to 18 at 4,096, so
    that above 1,024 there are three sets at most.
    """
    counts = [count for count in LADDER if 2 * count <= len(material)]
    made = [Step((attempt(material, stand, generator),))]
    low, high = 0, len(counts)
    while made[0].broke and low < high:
        middle = (low + high) // 2
        sets = _disjoint(material, counts[middle])
        made.append(Step(tuple(attempt(one, stand, generator) for one in sets)))
        low, high = (low, middle) if made[-1].broke else (middle + 1, high)
    return sorted(made, key=lambda one: one.frames)


def _disjoint(material: Material, count: int) -> list[Material]:
    most = SETS if material.policy.photosites <= MANY else SETS_OF_MANY
    sets = min(most, len(material) // count)
    return [material.part(slice(first, first + count)) for first in range(0, sets * count, count)]


def run(evidence: Evidence, stand: Stand, generator: np.random.Generator) -> Finding:
    """Arrange up to 1,000 frames; the same frames under the paper's fixed key are the control.

    The score is the share of positions exact; the policy is broken if half of them are.  On a mosaic a green may
    stand in its quad's other green place.  The least number of frames that breaks it is that of which several
    disjoint sets do so, by the interval of their mean.

    Raises InputError for frames of so many positions that their correlations would fill the memory.
    """
    material, control = evidence.material.first(FRAMES), evidence.control.first(FRAMES)
    if material.policy.photosites > LARGEST:
        raise InputError(
            f"it compares up to {LARGEST} photosites, a frame has {material.policy.photosites}",
            hint="audit the same policy at 32x32",
        )
    steps = by_frames(material, stand, generator)
    whole, all_frames = steps[-1], steps[-1].attempts[0]
    scale = Scale("share of positions exact", all_frames.chance, BROKEN)
    told = ", ".join(one.told for one in steps)
    return Finding.judged(
        scale,
        whole.interval,
        attack=NAME,
        stand=stand,
        policy=evidence.name,
        score=whole.exact,
        control_broke=Step((attempt(control, stand, generator),)).broke,
        frames=whole.frames,
        smallest_breaking=next((one.frames for one in steps if one.broke), None),
        note=f"By frames: {told}. With all, {all_frames.near:.1%} of positions are within one row and column.",
        pictures=_shown(material, stand, steps),
    )


def _shown(material: Material, stand: Stand, steps: list[Step]) -> dict[str, NDArray[np.uint8]]:
    seen = material.file if stand is Stand.FILE else material.memory
    first = {"scene": material.plain[0], "private frame": seen[0]}
    shown = {name: picture(one.reshape(material.policy.photosites, -1), material.policy) for name, one in first.items()}
    return shown | {f"put together from {one.frames} frames": one.attempts[0].picture for one in steps}


ATTACK = Attack(
    name=NAME,
    title="Private frames alone: neighbours are alike",
    stands=(Stand.FILE, Stand.MEMORY),
    frames_needed=LEAST_FRAMES,
    run=run,
)
