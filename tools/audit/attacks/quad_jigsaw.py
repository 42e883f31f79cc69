"""Quads that move as a whole are the pieces of a jigsaw: one frame at a time, put together by their edges.

Scored as in the literature on jigsaws, by neighbours (Cho, Avidan and Freeman, "A probabilistic image jigsaw puzzle
solver", CVPR 2010): where the picture as a whole lands does not matter.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from audit.attack import Attack, Evidence
from audit.finding import Finding, Scale, Stand
from audit.intervals import mean_interval
from audit.jigsaw import assemble
from audit.material import Material, make_material
from audit.positions import Sensor
from audit.subjects import scene_size
from audit.views import seen
from keyvault.errors import InputError
from keyvault.policy import Cfa, Policy, Unit

Samples = NDArray[np.uint16]
Floats = NDArray[np.float64]
Places = NDArray[np.int64]
NAME = "quad_jigsaw"
FRAMES = 20
CONTROLS = 5  # frames of smooth scenes; each is attacked on its own as well
LARGEST = 1024  # quads of a frame
SMALLEST = 16  # pixels down and across
BLUR = 4  # pixels, standard deviation, of the control's scenes
BROKEN = 0.5


def pieces_of(frame: Samples, policy: Policy) -> Floats:
    """The quads of a frame, (q, c) in raster order, as pieces of pixels: (q, side, side, channels).

    A photosite of a stacked sensor is a pixel.  On a mosaic the quad is one, since photosites side by side have
    different colours: what continues a quad is one of the same colour.
    """
    side = 2 if policy.cfa is Cfa.NONE else 1
    return frame.reshape(len(frame), side, side, -1).astype(np.float64)


def solve(frame: Samples, policy: Policy) -> Places:
    """The number of the stored quad that belongs at each place, both in raster order: (q,).

    Args:
        frame: uint16 (q, c), as stored.
        policy: whose bands no quad leaves.
    """
    sensor, pieces = Sensor(policy), pieces_of(frame, policy)
    columns = sensor.grid[1]
    return np.concatenate([part[assemble(pieces[part], (len(part) // columns, columns))] for part in sensor.parts()])


def neighbours(places: Places, rows: int) -> float:
    """The share of pieces side by side, or one below the other, that are so in truth as well.

    Args:
        places: int64 (y, x), the true raster place of the piece at each place.
        rows: of a band; pairs across its edge do not count.
    """
    columns = places.shape[1]
    right = (places[:, 1:] == places[:, :-1] + 1) & (places[:, 1:] % columns > 0)
    inside = np.arange(1, len(places)) % rows > 0
    below = (places[1:] == places[:-1] + columns)[inside]
    return float((right.sum() + below.sum()) / (right.size + below.size))


def chance(shape: tuple[int, int], rows: int) -> float:
    """What :func:`neighbours` is expected to be for pieces in random order inside each band."""
    columns = shape[1]
    hits = pairs = 0.0
    for first in range(0, shape[0], rows):
        height = min(rows, shape[0] - first)
        count, right, below = height * columns, height * (columns - 1), (height - 1) * columns
        hits += (right**2 + below**2) / (count * (count - 1)) if count > 1 else 0
        pairs += right + below
    return hits / pairs


def reached(frames: Samples, tables: NDArray[np.int32], policy: Policy) -> tuple[Floats, list[Places]]:
    """The share of neighbours that each frame (n, q, c) gives away, and how its quads were put together."""
    sensor = Sensor(policy)
    solved = [solve(frame, policy) for frame in frames]
    origins = sensor.stored(tables)
    placed = (true[found].reshape(sensor.grid) for true, found in zip(origins, solved, strict=True))
    return np.array([neighbours(places, sensor.band_rows) for places in placed]), solved


def smooth_scenes(count: int, shape: tuple[int, int]) -> NDArray[np.uint8]:
    """Noise blurred so far that neighbours are all but equal, the same at each call: (count, *shape, 3)."""
    margin = 4 * BLUR
    noise = np.random.default_rng(0).normal(size=(count, shape[0] + 2 * margin, shape[1] + 2 * margin, 3))
    found = gaussian_filter(noise, (0, BLUR, BLUR, 0))[:, margin:-margin, margin:-margin]
    return np.asarray(np.clip(128 + 50 * found / found.std(), 0, 255), np.uint8)


def reached_with_smooth(policy: Policy, count: int) -> Floats:
    """The share of neighbours that frames of smooth scenes give away under the same policy, without its mask."""
    material = make_material(smooth_scenes(count, scene_size(policy)), policy)
    return reached(Sensor(policy).in_line(material.memory), material.tables, policy)[0]


def run(evidence: Evidence, stand: Stand, generator: np.random.Generator) -> Finding:
    """Put together 20 frames, one at a time; as the control frames of smooth scenes under the same policy, unmasked.

    On a mosaic the control does not break: a quad is one pixel there, which has no edges, and so looks the same to
    all sides.

    Raises InputError if the policy moves no quads, or if a frame has too few or too many of them.
    """
    material = evidence.material.first(FRAMES)
    policy = material.policy
    _check(policy)
    sensor = Sensor(policy)
    frames = sensor.in_line(seen(material, stand))
    shares, solved = reached(frames, material.tables, policy)
    control = reached_with_smooth(policy, CONTROLS)
    scale = Scale("share of neighbours put side by side", chance(sensor.grid, sensor.band_rows), BROKEN)
    interval = mean_interval(shares, generator)
    return Finding.judged(
        scale,
        interval,
        attack=NAME,
        stand=stand,
        policy=evidence.name,
        score=float(shares.mean()),
        control_broke=mean_interval(control, generator).low > BROKEN,
        frames=len(material),
        smallest_breaking=1,
        note=(
            f"{frames.shape[1]} quads a frame; the best of {len(material)} frames has {shares.max():.1%} of its "
            "neighbours side by side. The control, smooth scenes under the same policy without its mask: "
            f"{control.mean():.1%}."
        ),
        pictures=_pictures(material, frames, shares, solved),
    )


def _check(policy: Policy) -> None:
    if policy.unit is not Unit.QUAD:
        raise InputError("photosites move on their own: there are no pieces")
    pixels = 1 if policy.cfa is Cfa.NONE else 2  # photosites along one
    if min(policy.width, policy.height) < SMALLEST * pixels:
        raise InputError(
            f"{policy.width} x {policy.height} photosites are fewer than the {SMALLEST} x {SMALLEST} pixels it wants",
            hint="give a larger sensor",
        )
    if policy.photosites // 4 > LARGEST:
        raise InputError(
            f"it puts {LARGEST} quads together at most, a frame has {policy.photosites // 4}",
            hint="audit the same policy on a smaller sensor",
        )


def _pictures(
    material: Material, frames: Samples, shares: Floats, solved: list[Places]
) -> dict[str, NDArray[np.uint8]]:
    """Scene, frame and guess of the frame of which most was put together, and of a middling one."""
    sensor, order = Sensor(material.policy), np.argsort(shares)
    shown = {}
    for name, one in (("best", int(order[-1])), ("middling", int(order[len(order) // 2]))):
        shown[f"{name}: scene"] = sensor.in_line(material.plain)[one]
        shown[f"{name}: what the attacker sees"] = frames[one]
        shown[f"{name}: quads put together"] = frames[one][solved[one]]
    return {name: sensor.as_picture(samples) for name, samples in shown.items()}


ATTACK = Attack(
    name=NAME,
    title="Quads put together like a jigsaw",
    stands=(Stand.FILE, Stand.MEMORY),
    frames_needed=FRAMES,
    run=run,
)
