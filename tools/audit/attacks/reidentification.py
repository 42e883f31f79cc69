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
from audit.photographs import ABOUT, photographed
from audit.views import in_line, known, picture, seen

Samples = NDArray[np.uint16]
Floats = NDArray[np.float64]
NAME = "reidentification"
FRAMES = 400  # of which none found leaves out one in a hundred
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


def album(evidence: Evidence, material: Material, generator: np.random.Generator) -> Samples:
    """Photographs that an attacker has: of the scenes of the material's frames, in their order, and of all others."""
    parts = in_line(material.plain), known(evidence.scenes, material.policy)
    return np.concatenate([photographed(one, material.policy, generator) for one in parts])


def hits(found: NDArray[np.int64]) -> int:
    """How many frames found their own scene."""
    return int((found == np.arange(len(found))).sum())


def run(evidence: Evidence, stand: Stand, generator: np.random.Generator) -> Finding:
    """Find the scenes of up to 400 frames among photographs of them and of all scenes that are known."""
    material, control = evidence.material.first(FRAMES), evidence.control.first(FRAMES)
    frames, scenes = seen(material, stand), album(evidence, material, generator)
    guess, by_mean = nearest(quantiles(frames), quantiles(scenes)), nearest(means(frames), means(scenes))
    of_control = nearest(quantiles(seen(control, stand)), quantiles(album(evidence, control, generator)))
    count = len(guess)
    scale = Scale("share of frames whose scene is found", 1 / len(scenes), _FAIL)
    return Finding.judged(
        scale,
        share_interval(hits(guess), count),
        attack=NAME,
        stand=stand,
        policy=evidence.name,
        score=hits(guess) / count,
        control_broke=share_interval(hits(of_control), len(control)).low > scale.level,
        frames=count,
        smallest_breaking=1,
        note=(
            f"Each frame was looked for by its histogram among {len(scenes)} scenes, known by {ABOUT}; its mean alone "
            f"found {hits(by_mean) / count:.1%}."
        ),
        pictures={"photographs of the scenes, and below what the histogram found": _pairs(scenes, guess, material)},
    )


def _pairs(scenes: Samples, guess: NDArray[np.int64], material: Material) -> NDArray[np.uint8]:
    places = [one[:_PICTURES] for one in (np.arange(len(guess)), guess)]
    rows = [[picture(scenes[place], material.policy) for place in row] for row in places]
    return np.concatenate([np.concatenate(row, axis=1) for row in rows])


ATTACK = Attack(
    name=NAME,
    title="A known scene is found by its values",
    stands=(Stand.FILE, Stand.MEMORY),
    frames_needed=FRAMES,
    run=run,
)
