"""Which of many known scenes a private frame shows: its values betray it, wherever they are stored.

After Swain and Ballard, "Color Indexing", IJCV 7(1), 1991, with the distance between histograms of
Werman, Peleg and Rosenfeld, "A distance metric for multidimensional histograms", CVGIP 32, 1985.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from audit.attack import Attack, Evidence
from audit.finding import Finding, Scale, Stand
from audit.intervals import share_interval
from audit.material import Material
from audit.views import in_line, known, picture, seen

Samples = NDArray[np.uint16]
Floats = NDArray[np.float64]
NAME = "reidentification"
FRAMES = 200
QUANTILES = 64
_PICTURES = 8
_FAIL = 0.01


def quantiles(frames: Samples, count: int = QUANTILES) -> Floats:
    """The histogram of every frame as its quantiles, which no order of the samples changes: (n, c * count).

    The city-block distance of two of them is ``count`` times the Wasserstein distance of the histograms.

    Args:
        frames: uint16 (n, p, c): n frames, p positions, c samples each.
        count: how many quantiles of each of the c samples.
    """
    places = np.linspace(0, frames.shape[1] - 1, count).round().astype(np.int64)
    chosen = [np.sort(part, axis=1)[:, places] for part in np.array_split(frames, len(frames) // 500 + 1)]
    return np.concatenate(chosen).transpose(0, 2, 1).reshape(len(frames), -1).astype(np.float64)


def means(frames: Samples) -> Floats:
    """The mean of every frame: (n, p, c) to (n, c)."""
    return frames.mean(axis=1, dtype=np.float64)


def nearest(seen: Floats, known: Floats) -> NDArray[np.int64]:
    """The known row that is nearest to each seen one, by city-block distance: (n, f), (m, f) to (n,)."""
    return np.asarray(cdist(seen, known, "cityblock").argmin(axis=1), np.int64)


def found(material: Material, stand: Stand, others: Samples) -> tuple[NDArray[np.int64], float]:
    """The scene that each frame's histogram finds among all scenes, and the share that its means find.

    The scenes are those of the frames, in their order, and then the others (m, p, c).
    """
    frames = seen(material, stand)
    scenes = np.concatenate([in_line(material.plain), others])
    by_mean = nearest(means(frames), means(scenes))
    return nearest(quantiles(frames), quantiles(scenes)), float((by_mean == np.arange(len(frames))).mean())


def run(evidence: Evidence, stand: Stand, generator: np.random.Generator) -> Finding:  # noqa: ARG001  # draws nothing
    """Find the scenes of up to 200 frames among them and all that are known."""
    material, control = evidence.material.first(FRAMES), evidence.control.first(FRAMES)
    others = known(evidence.scenes, material.policy)
    guess, by_mean = found(material, stand, others)
    control_guess, _ = found(control, stand, known(evidence.scenes, control.policy))
    scenes, count = len(material.plain) + len(others), len(guess)
    scale = Scale("share of frames whose scene is found", 1 / scenes, _FAIL)
    hits = int((guess == np.arange(count)).sum())
    interval = share_interval(hits, count)
    control_hits = int((control_guess == np.arange(len(control_guess))).sum())
    return Finding.judged(
        scale,
        interval,
        attack=NAME,
        stand=stand,
        policy=evidence.name,
        score=hits / count,
        control_broke=share_interval(control_hits, len(control_guess)).low > _FAIL,
        frames=count,
        smallest_breaking=1,
        note=f"Each frame was looked for by its histogram among {scenes} scenes; its mean alone found {by_mean:.1%}.",
        pictures={"scenes, and below what the histogram found": _pairs(material, guess, others)},
    )


def _pairs(material: Material, guess: NDArray[np.int64], others: Samples) -> NDArray[np.uint8]:
    scenes = np.concatenate([in_line(material.plain), others])
    rows = [[picture(scenes[place], material.policy) for place in places[:_PICTURES]] for places in (range(8), guess)]
    return np.concatenate([np.concatenate(row, axis=1) for row in rows])


ATTACK = Attack(
    name=NAME,
    title="A known scene is found by its values",
    stands=(Stand.FILE, Stand.MEMORY),
    frames_needed=FRAMES,
    run=run,
)
