"""A peer's pictures alone, all under one key: neighbours in the scene vary together, wherever they are stored.

Where pixels move, ``audit.attacks.correlation`` finds their places.  Where blocks are scrambled, the first principal
component of a block's samples (Pearson, Phil. Mag. 2(11), 1901) is its brightness, up to its sign, whatever moved or
was made negative inside the block; signs follow from neighbours, and the same attack puts the blocks in their places.
Where the colours of a pixel move apart, they are brought together first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.csgraph import breadth_first_order, minimum_spanning_tree

from audit.attacks import correlation
from audit.attacks.single_frame import BROKEN, correlations
from audit.finding import Finding, Scale
from audit.intervals import least_breaking, mean_interval, with_spread
from audit.peer_colours import colours_together
from audit.peer_evidence import Images, PeerAttack, PeerEvidence, Protected
from audit.peer_pictures import grey, side_by_side
from keyvault.errors import InputError
from peers import ele, etc_, le, privconv
from peers.block_cipher import CHANNELS

Floats = NDArray[np.float64]
Places = NDArray[np.int64]
PICTURES = (50, 100, 200, 400)  # attacked together, so many of them at a time
#: Side in pixels of what moves as a whole, by peer; scrambling inside it does not matter.
UNITS: Mapping[str, int] = {
    "pixel-shuffle": 1,
    "key-nets": 1,
    "le": le.BLOCK,
    "ele": ele.BLOCK,
    "etc": etc_.BLOCK,
    "privconv": privconv.BLOCK,
    "privconv-224": privconv.PUBLISHED_BLOCK,
}
STAY = frozenset({"le"})  # whose blocks do not move
APART = frozenset({"key-nets"})  # where the colours of a pixel move apart
_RANDOM = 200  # arrangements by which chance is measured, and how much the luck of one is


def pixel_series(images: Images, colours: int = CHANNELS) -> Floats:
    """Pixels freed of their means and gains over all pictures: (n, p, colours), mean 128, standard deviation 64.

    With one colour every sample is a pixel.
    """
    found = images.reshape(len(images), -1, colours).astype(np.float64)
    spread = np.maximum(found.std(axis=(0, 2)), 1.0)[:, None]
    return 64 * (found - found.mean(axis=(0, 2))[:, None]) / spread + 128


def block_series(images: Images, block: int) -> Floats:
    """The brightness of every block over the pictures, up to one sign for all: (n, blocks, 1).

    Its mean is 128 and its standard deviation 64, as of samples.
    """
    series = np.stack([first_component(row) for row in block_entries(images, block).swapaxes(0, 1)], axis=1)
    alike = np.asarray(np.corrcoef(series, rowvar=False), np.float64)
    return np.asarray(64 * series * _signs(alike) + 128, np.float64)[:, :, None]


def block_entries(images: Images, block: int) -> NDArray[np.uint8]:
    """Lower and upper halves of the samples of every block: (n, h, w, 3) to (n, blocks, 6 block**2)."""
    count, height, width, _ = images.shape
    tiles = images.reshape(count, height // block, block, width // block, block, 3).transpose(0, 1, 3, 2, 4, 5)
    rows = tiles.reshape(count, -1, 3 * block**2)
    return np.concatenate([rows & np.uint8(15), rows >> np.uint8(4)], axis=2)


def first_component(entries: NDArray[np.uint8]) -> Floats:
    """Scores (n,) of rows (n, e) on the direction in which they vary most; of standard deviation 1."""
    centred = entries - entries.mean(axis=0)
    _, vectors = np.linalg.eigh(centred @ centred.T)
    return np.asarray(vectors[:, -1] * np.sqrt(len(entries)), np.float64)


def _signs(alike: Floats) -> Floats:
    """A sign for each series by which most of them agree with the one like which they vary most: (b, b) to (b,)."""
    magnitude = np.abs(alike)
    tree = minimum_spanning_tree(1.0001 - magnitude)
    order, before = breadth_first_order(tree, int(magnitude.sum(axis=0).argmax()), directed=False)
    signs = np.ones(len(alike))
    for one in order[1:]:
        signs[one] = signs[before[one]] * np.sign(alike[one, before[one]])
    return signs


@dataclass(frozen=True, eq=False)
class Solved:
    """Pictures (n, y, x) put together, their scenes as large, and correlations (n,) with them."""

    pictures: Floats
    truth: Floats
    values: Floats


def put_together(series: Floats, places: Places, shape: tuple[int, int]) -> Floats:
    """Brightness (n, p) as pictures (n, y, x), ``places[s]`` being where the stored s belongs."""
    found = np.empty_like(series)
    found[:, places] = series
    return found.reshape(len(series), *shape)


def turned(pictures: Floats, truth: Floats) -> tuple[Floats, Floats]:
    """Pictures as a person would turn them, all alike, one of 16 ways: turns, mirror images, negatives."""
    ways = [np.rot90(side, k, axes=(1, 2)) for side in (pictures, pictures[:, :, ::-1]) for k in range(4)]
    found = [(sign * way, correlations(sign * way, truth)) for way in ways for sign in (1, -1)]
    return max(found, key=lambda one: float(one[1].mean()))


@dataclass(frozen=True, eq=False)
class Stored:
    """Series (n, p, c) of every stored unit, its scenes (n, y, x), and whether units moved."""

    series: Floats
    truth: Floats
    moved: bool

    def at(self, places: Places) -> Solved:
        """The pictures with each unit at a place."""
        shape = (self.truth.shape[1], self.truth.shape[2])
        pictures, values = turned(put_together(self.series.mean(axis=2), places, shape), self.truth)
        return Solved(pictures, self.truth, values)

    def arranged(self) -> Solved:
        """The pictures as their units' series say that they belong."""
        side = self.truth.shape[1]
        return self.at(correlation.arrange(self.series, (side, side)) if self.moved else np.arange(side * side))


def stored(protected: Protected, *, apart: bool) -> Stored:
    """The series of a peer's pictures; InputError if the scheme is none that this attack fits.

    Args:
        protected: the pictures.
        apart: whether colours of a pixel have to be brought together.
    """
    if not protected.keyed:
        raise InputError("nothing moves that could be put back")
    if protected.key not in UNITS:
        raise InputError("its blocks also move between colours; this attack has no way to put them together")
    unit = UNITS[protected.key]
    scenes = grey(protected.plain)
    count, side = len(scenes), scenes.shape[1] // unit
    truth = scenes.reshape(count, side, unit, side, unit).mean(axis=(2, 4))
    if apart:
        series = colours_together(pixel_series(protected.private, colours=1))
    else:
        series = pixel_series(protected.private) if unit == 1 else block_series(protected.private, unit)
    return Stored(series, truth, moved=protected.key not in STAY)


def solve(protected: Protected, count: int = PICTURES[-1], *, apart: bool = False) -> Solved:
    """Put the first so many pictures together."""
    return stored(protected.first(count), apart=apart).arranged()


@lru_cache(maxsize=3)
def _solved_control(protected: Protected, *, apart: bool = False) -> Solved:
    """The same for a control, remembered, since it is that of all peers of one size."""
    return solve(protected, apart=apart)


def controls(evidence: PeerEvidence) -> list[Solved]:
    """What has to be put together in the same way: a shuffle of pixels, and where blocks are scrambled one key's."""
    key = evidence.material.key
    found = [_solved_control(evidence.control, apart=key in APART)]
    return [*found, _solved_control(evidence.alike)] if UNITS[key] > 1 else found


def run(evidence: PeerEvidence, generator: np.random.Generator) -> Finding:
    """Arrange up to 400 pictures; the score is the correlation with the scene, as finely as the attack sees it."""
    apart = evidence.material.key in APART
    there = stored(evidence.material.first(PICTURES[-1]), apart=apart)
    count, side = len(there.series), there.truth.shape[1]
    blind = [there.at(generator.permutation(side * side)).values.mean() for _ in range(_RANDOM)]
    scale = Scale("correlation of the picture put together and the scene", float(np.mean(blind)), BROKEN)
    counts = [number for number in PICTURES if number < count]
    tried = {number: solve(evidence.material, number, apart=apart) for number in counts} | {count: there.arranged()}
    intervals = {  # all pictures hang on one arrangement
        number: with_spread(mean_interval(one.values, generator), float(one.values.mean()), np.array(blind)).cut_at(1.0)
        for number, one in tried.items()
    }
    found, interval = tried[count], intervals[count]
    unit = UNITS[evidence.material.key]
    units = f"blocks of {unit} x {unit} pixels" if unit > 1 else "pixels"
    coloured = " Samples were told apart by colour first." if apart else ""
    told = ", ".join(f"{number}: {one.values.mean():.2f}" for number, one in tried.items())
    return Finding.judged(
        scale,
        interval,
        attack=PEER_ATTACK.name,
        stand=PEER_ATTACK.stand,
        policy=evidence.name,
        score=float(found.values.mean()),
        control_broke=all(mean_interval(one.values, generator).low > scale.level for one in controls(evidence)),
        frames=count,
        smallest_breaking=least_breaking(intervals, scale.level),
        note=(
            f"A picture of {side} x {side} {units}, each relative to its mean over all pictures; compared with the "
            f"scene at that size, and turned, mirrored or made negative as a whole, as a person would.{coloured} "
            f"By pictures, {told}. Chance: random places with the same choice, whose spread is in the interval."
        ),
        pictures={
            "scenes, as finely as the attack sees": side_by_side(found.truth),
            "protected": side_by_side(evidence.material.private),
            "put together": side_by_side(_stretched(found.pictures)),
        },
    )


def _stretched(pictures: Floats) -> Floats:
    """Two standard deviations around the mean, as 0 to 255."""
    return 127.5 + (pictures - pictures.mean()) * (64 / max(float(pictures.std()), 1e-9))


PEER_ATTACK = PeerAttack("correlation", correlation.ATTACK.title, 100, run)
