"""The column converters' errors, seen in the average of many frames: equal errors are equal columns.

After Lukas, Fridrich and Goljan, "Digital camera identification from sensor pattern noise", IEEE
TIFS 1(2), 2006, who average frames to see what a sensor adds to all of them.  Where quads move, quads are compared:
the photosites of one share its columns wherever it goes, and no photosite leaves the even or the odd columns.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from adc_firmware import SingleSlope
from audit.attack import OF_THE_POLICY, Attack, Evidence, control_policy
from audit.finding import Finding, Scale, Stand
from audit.intervals import share_interval
from audit.own_home import own_home
from audit.positions import Sensor
from inference import open_session
from keyvault.errors import InputError
from keyvault.policy import Policy
from sensor_sim import Camera, LightScene
from sensor_sim.sensor_profile import SensorProfile, load_profile

Floats = NDArray[np.float64]
NAME = "fixed_pattern"
FRAMES = 400
COUNTS = (1, 5, 25, 100, 400)
SHIPPED = "industrial-global"


def average(frames: NDArray[np.uint16]) -> Floats:
    """The mean over frames: (n, p, c) to (p, c)."""
    return frames.mean(axis=0, dtype=np.float64)


def alike(pattern: Floats, neighbours: int) -> NDArray[np.int64]:
    """The other positions whose averages are nearest to each one's: (p, c) to (p, neighbours)."""
    found = np.asarray(KDTree(pattern).query(pattern, neighbours + 1)[1], np.int64)
    own = found == np.arange(len(pattern))[:, None]
    own[~own.any(axis=1), -1] = True  # among more equal averages than asked for
    return found[~own].reshape(len(pattern), neighbours)


@dataclass(frozen=True, eq=False)
class Averaged:
    """Frames of a covered lens, (n, p, c), and the true column of each position of a frame that came later: (p,).

    A position is one that moves: a photosite, or a quad with all its samples and a column of quads.
    """

    frames: NDArray[np.uint16]
    columns: NDArray[np.int64]

    def pairs(self, count: int) -> tuple[int, int]:
        """Of the pairs of nearest averages of ``count`` frames, each counted once: those of one column, and all."""
        nearest = alike(average(self.frames[:count]), 1)[:, 0]
        both = np.unique(np.sort(np.stack([np.arange(len(nearest)), nearest]), axis=0), axis=1)
        first, second = self.columns[both]
        return int((first == second).sum()), both.shape[1]

    def share(self, count: int) -> float:
        """The share of these pairs that are of one column."""
        hits, trials = self.pairs(count)
        return hits / trials


def positions(frames: NDArray[np.uint16], later: NDArray[np.int32], policy: Policy) -> Averaged:
    """Frames (n, h, w) or (n, h, w, c) and the table (h * w,) of a later one, by what moves under the policy."""
    sensor = Sensor(policy)
    return Averaged(sensor.in_line(frames), sensor.stored(later[None])[0] % sensor.grid[1])


def chance(policy: Policy) -> float:
    """The share of pairs of positions that are of one column; InputError if there is no pair."""
    rows, columns = Sensor(policy).grid
    if rows * columns < 2:
        raise InputError("a frame has a single position", hint="give a larger sensor")
    return (rows - 1) / (rows * columns - 1)


def averaged(policy: Policy, profile: SensorProfile, stand: Stand, count: int) -> Averaged:
    """Capture frames with the lens covered, and note the columns of the next one's positions."""
    dark = LightScene(np.zeros((policy.height, policy.width, 3), np.float32))
    with own_home(policy) as home:
        session = open_session(home.key, home.host, home.vault.issuer, home=home.key.parent)
        with Camera(home.key, device=home.device, profile=profile) as camera:
            frames = [camera.capture(dark) for _ in range(count + 1)]
        later = session.open(frames[-1]).permutation.table
        shown = frames[:-1] if stand is Stand.FILE else [session.open(frame) for frame in frames[:-1]]
    return positions(np.stack([frame.samples for frame in shown]), later, policy)


def uneven(policy: Policy) -> SensorProfile:
    """A sensor whose columns differ by 1/256 of the scale and whose converters do not take that away."""
    return SensorProfile("uneven", slope=SingleSlope(column_offset=2 ** (policy.bits - 8), cds=False))


def run(evidence: Evidence, stand: Stand, generator: np.random.Generator) -> Finding:  # noqa: ARG001  # cameras draw
    """Average frames of a covered lens under the policy, and under a fixed key as the positive control.

    A single dark frame whose values are seen shows its own columns; what counts is whether other frames show those
    of a picture, so columns are asked of a frame that is not in the average.

    Raises InputError if there are no two positions to compare.
    """
    policy = evidence.material.policy
    fixed = control_policy(policy)
    level = chance(policy)
    scale = Scale("share of alike averages of one column", level, 3 * level)
    result = averaged(policy, uneven(policy), stand, FRAMES)
    control = averaged(fixed, uneven(policy), stand, FRAMES)
    shipped = averaged(fixed, load_profile(SHIPPED), stand, FRAMES)
    interval = share_interval(*result.pairs(FRAMES))
    breaking = (count for count in COUNTS if share_interval(*result.pairs(count)).low > scale.fail)
    return Finding.judged(
        scale,
        interval,
        attack=NAME,
        stand=stand,
        policy=evidence.name,
        score=result.share(FRAMES),
        control_broke=share_interval(*control.pairs(FRAMES)).low > scale.fail,
        frames=FRAMES,
        smallest_breaking=next(breaking, None),
        note=(
            f"Columns that differ by 1/256 of the scale, without double sampling. Under a fixed key "
            f"{control.share(FRAMES):.1%} of the pairs are of one column; with the converters of {SHIPPED} "
            f"{shipped.share(FRAMES):.1%}. {OF_THE_POLICY}"
        ),
    )


ATTACK = Attack(
    name=NAME, title="Column patterns in averages", stands=(Stand.FILE, Stand.MEMORY), frames_needed=0, run=run
)
