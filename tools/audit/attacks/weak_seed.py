"""All seeds of a small generator, tried on one frame: the right one makes a picture of it.

The generator is NumPy's ``RandomState(seed).permutation``, whose seeds have 32 bits.  How smooth the
restored frame is tells a picture from noise: Gallagher, "Jigsaw puzzles with pieces of unknown
orientation", CVPR 2012, and others tell neighbours by the same differences.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audit.attack import Attack, Evidence
from audit.finding import Finding, Scale, Stand
from audit.intervals import share_interval
from audit.positions import Sensor
from audit.views import in_line, picture, seen
from keyvault.errors import InputError
from keyvault.policy import Cfa, Policy, Protection

Samples = NDArray[np.uint16]
NAME = "weak_seed"
FRAMES = 12  # of which none in order leaves out a quarter
CONTROL = 2  # further frames
TRIED = 2**12  # seeds
_FAIL = 0.25
_IN_ORDER = 0.5  # of a frame's positions
SEEDS = 2**32  # of RandomState
_YEAR = 365.25 * 86_400  # seconds


def order(seed: int, sensor: Sensor) -> NDArray[np.int64]:
    """What a camera with such a generator would do: stored position i holds the photosite ``order[i]``.

    It draws one band after the other, and moves quads where the policy does.
    """
    generator, photosites = np.random.RandomState(seed), np.arange(sensor.policy.photosites)
    moved = np.concatenate([generator.permutation(part) for part in sensor.parts()])
    members, found = sensor.in_line(photosites[None, :, None])[0], np.empty_like(photosites)
    found[members] = members[moved]
    return found


def roughness(pictures: NDArray[np.int32], step: int) -> NDArray[np.float64]:
    """Mean absolute difference of samples that lie ``step`` columns, or rows, apart: (n, h, w, c) to (n,)."""
    across = np.abs(pictures[:, :, step:] - pictures[:, :, :-step]).mean(axis=(1, 2, 3))
    return np.asarray(across + np.abs(pictures[:, step:] - pictures[:, :-step]).mean(axis=(1, 2, 3)))


def restored(frames: NDArray[Any], stored: NDArray[np.int64]) -> NDArray[Any]:
    """Frames (n, p, c) with the sample at each stored position i brought to the photosite ``stored[i]``."""
    out = np.empty_like(frames)
    out[:, stored] = frames
    return out


def search(frames: Samples, policy: Policy, seeds: Iterable[int]) -> list[int]:
    """For each of the frames (n, p, c), the seed whose permutation makes the smoothest picture of it.

    The policy gives the size, what moves, and whether photosites of one colour are two columns and rows apart.
    """
    signed, step = frames.astype(np.int32), 1 if policy.cfa is Cfa.NONE else 2
    shape, sensor = (len(frames), policy.height, policy.width, -1), Sensor(policy)
    best, smoothest = np.zeros(len(frames), np.int64), np.full(len(frames), np.inf)
    for seed in seeds:
        found = roughness(restored(signed, order(seed, sensor)).reshape(shape), step)
        best, smoothest = np.where(found < smoothest, seed, best), np.minimum(found, smoothest)
    return [int(seed) for seed in best]


def years(tries: float, rate: float) -> float:
    """How long so many tries take at so many a second."""
    return tries / rate / _YEAR


def exact(found: list[int], tables: NDArray[np.int32], sensor: Sensor) -> NDArray[np.float64]:
    """The share of photosites that each frame's seed puts right, the true tables (n, p) given: (n,)."""
    orders = np.stack([order(seed, sensor) for seed in found])
    return (np.argsort(orders, axis=1) == tables).mean(axis=1)


def weakly_shuffled(
    plain: Samples, sensor: Sensor, generator: np.random.Generator
) -> tuple[Samples, NDArray[np.int32]]:
    """Frames (n, p, c) shuffled by seeds below 2**12, as the positive control, and their tables (n, p)."""
    orders = np.stack([order(int(seed), sensor) for seed in generator.integers(0, TRIED, len(plain))])
    return np.take_along_axis(plain, orders[..., None], axis=1), np.argsort(orders, axis=1).astype(np.int32)


def run(evidence: Evidence, stand: Stand, generator: np.random.Generator) -> Finding:
    """Search a small part of the seeds, which holds those of the positive control.

    Raises InputError where the values are masked: no order makes a picture of them.
    """
    material = evidence.material.first(FRAMES)
    policy, count = material.policy, len(material)
    if stand is Stand.FILE and policy.protection is Protection.SHUFFLE_MASK:
        raise InputError("values are masked: whatever order they have, none makes a picture of them")
    sensor = Sensor(policy)
    weak, weak_tables = weakly_shuffled(in_line(material.plain[:CONTROL]), sensor, generator)
    frames = np.concatenate([seen(material, stand), weak])
    begin = time.perf_counter()
    seeds = search(frames, policy, range(TRIED))
    seconds = (time.perf_counter() - begin) / TRIED / len(frames)
    right = exact(seeds, np.concatenate([material.tables, weak_tables]), sensor)
    scale = Scale("share of frames put in order", 0.0, _FAIL)
    hits = int((right[:count] > _IN_ORDER).sum())
    interval = share_interval(hits, count)
    views = [picture(restored(frames[i : i + 1], order(seeds[i], sensor))[0], policy) for i in (0, count)]
    return Finding.judged(
        scale,
        interval,
        attack=NAME,
        stand=stand,
        policy=evidence.name,
        score=hits / count,
        control_broke=bool((right[count:] > _IN_ORDER).all()),
        frames=count,
        smallest_breaking=1,
        note=_note(seconds, float(right[:count].mean())),
        pictures={"the best seed for this policy, and for a frame under a 12-bit seed": np.concatenate(views, axis=1)},
    )


def _note(seconds: float, exact_share: float) -> str:
    hours = SEEDS * seconds / 3600
    return (
        "A pass says that the orders come from no small seed, and nothing else of the policy: this product draws them "
        "by AES-CTR under a key of 256 bits, so none of these seeds can be right, and half of all keys, at 10^18 tries "
        f"a second, take {years(2**255, 1e18):.0e} years. What falls is the paper's RandomState: of its 2^32 seeds "
        f"{TRIED} were tried, all take {hours:.0f} core hours a frame. The best ones put {exact_share:.2%} of these "
        "frames' positions right."
    )


ATTACK = Attack(
    name=NAME, title="Seeds tried one by one", stands=(Stand.FILE, Stand.MEMORY), frames_needed=FRAMES, run=run
)
