"""One frame at a time, whatever its key: a sample that stays near its place tells what is there.

Where samples move inside a row or a band, its mean and spread are those of the scene; where they move over the whole
frame, its histogram is, which goes with some scenes more than with others.  What scenes look like is learned
from scenes that the attacker knows, captured under keys of his own as the policy has it, by ridge regression
(``audit.ridge``).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from skimage.metrics import structural_similarity

from audit import views
from audit.attack import Attack, Evidence
from audit.finding import Finding, Scale, Stand
from audit.intervals import commonest_share, paired_interval, share_interval
from audit.material import Material, make_material, white
from audit.ridge import nearness, practised
from keyvault.errors import InputError
from keyvault.policy import Cfa, FrameKeys, Policy, Protection, Unit
from quad_scenes import WHITE

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]
LEVELS = (0.1, 0.3, 0.5, 0.7, 0.9)
QUAD = 2  # photosites a side
FRAMES = 150  # attacked, one at a time
LEARNED = 2000  # scenes at most
LEAST_SCENES = 200  # to learn from, besides as many frames of the control
BROKEN = 0.5  # correlation
_UNIT = "correlation of guess and scene"
_BANDS = "Scenes as learned from what each band's values are."
_WHOLE = "Samples move over the whole frame: scenes as learned from its histogram."


def describe(frames: Floats, rows: int) -> Floats:
    """What no shuffle inside bands of ``rows`` rows changes: mean, deviation and quantiles of every band: (n, f).

    Args:
        frames: float64 (n, h, w, c), in stored or in true order.
        rows: of a band; the last one may have fewer.
    """
    count, height, _, channels = frames.shape
    found = []
    for first in range(0, height, rows):
        band = frames[:, first : first + rows].reshape(count, -1, channels)
        found += [band.mean(axis=1), band.std(axis=1), *np.quantile(band, LEVELS, axis=1)]
    return np.stack(found, axis=1).reshape(count, -1)


def brightness(plain: Floats, policy: Policy) -> Floats:
    """The scene as the attacker wants it, grey of 8 bits: (n, h, w, c) to (n, y, x); a mosaic's quads are one point."""
    grey = plain.mean(axis=3) * (WHITE / white(policy))
    if policy.cfa is Cfa.NONE:
        return grey
    count, height, width = grey.shape
    return np.asarray(grey.reshape(count, height // QUAD, QUAD, width // QUAD, QUAD).mean(axis=(2, 4)), np.float64)


def correlations(guesses: Floats, truths: Floats) -> Floats:
    """Pearson's correlation of each guess with its truth, 0 for a flat guess: (n, ...) both, to (n,)."""
    lines = (one.reshape(len(one), -1) for one in (guesses, truths))
    first, second = (one - one.mean(axis=1, keepdims=True) for one in lines)
    scale = np.sqrt((first**2).sum(axis=1) * (second**2).sum(axis=1))
    return np.where(scale > 1e-6, (first * second).sum(axis=1) / np.maximum(scale, 1e-6), 0.0)


def correlation(guesses: Floats, truths: Floats) -> float:
    """The mean of :func:`correlations`."""
    return float(correlations(guesses, truths).mean())


@dataclass(frozen=True, eq=False)
class Known:
    """Scenes that an attacker knows.

    Attributes:
        frames: float64 (m, h, w, c), them in stored order, under a key of his own, as he sees the frames he attacks.
        truths: float64 (m, y, x), them as :func:`brightness` has them.
        labels: int64 (m,), their classes.
        policy: of the frames; its scope and unit say what stays in place.
    """

    frames: Floats
    truths: Floats
    labels: Labels
    policy: Policy

    @classmethod
    def of(cls, material: Material, stand: Stand) -> Known:
        """Frames that an attacker at a place has made of scenes he knows."""
        return cls(stored(material, stand), true_brightness(material), material.labels, material.policy)

    @property
    def mean(self) -> Floats:
        """What an attacker guesses who has no frame: (y, x)."""
        return np.asarray(self.truths.mean(axis=0))


def pictures(frames: Floats, known: Known) -> Floats:
    """What an attacker makes of each frame, (n, h, w, c) in stored order: grey (n, y, x)."""
    rows = known.policy.band_rows
    estimate = practised(describe(known.frames, rows), known.truths.reshape(len(known.truths), -1), correlation)
    return estimate(describe(frames, rows)).reshape(len(frames), *known.truths.shape[1:])


def classes(frames: Floats, known: Known) -> Labels:
    """The class of each frame by a linear classifier on what stays in place, whole histogram included: (n,)."""
    names, rows = np.unique(known.labels), known.policy.band_rows
    targets = (known.labels[:, None] == names).astype(np.float64)
    estimate = practised(describe(known.frames, rows), targets, nearness)
    return np.asarray(names[estimate(describe(frames, rows)).argmax(axis=1)], np.int64)


def stored(material: Material, stand: Stand) -> Floats:
    """Frames as an attacker at a place has them, with an axis of samples: (n, h, w, c)."""
    return _raster(views.seen(material, stand), material.policy)


def true_brightness(material: Material) -> Floats:
    """The scenes of frames, as :func:`brightness` has them: (n, y, x)."""
    return brightness(_raster(views.in_line(material.plain), material.policy), material.policy)


def structure(guesses: Floats, truths: Floats) -> float:
    """Mean structural similarity of guesses and truths, of 8-bit values (Wang et al., IEEE TIP 13(4), 2004)."""
    pairs = zip(guesses, truths, strict=True)
    return float(np.mean([structural_similarity(*pair, data_range=WHITE) for pair in pairs]))


def run(evidence: Evidence, stand: Stand, generator: np.random.Generator) -> Finding:
    """Attack single frames of the policy, and as the control frames whose samples stay in their rows.

    The score is the correlation of guess and scene.  Chance is that of the mean of the known scenes, which is what
    the attacker is left with where frames tell nothing.

    Raises InputError if too few scenes are known to learn from.
    """
    material = evidence.material.first(FRAMES)
    policy = material.policy
    known = Known.of(_own(evidence, policy, _learned(evidence)), stand)
    frames, truths = stored(material, stand), true_brightness(material)
    guesses = pictures(frames, known)
    values = correlations(guesses, truths)
    by_chance = correlations(np.broadcast_to(known.mean, truths.shape), truths)
    scale = Scale(_UNIT, float(by_chance.mean()), BROKEN)
    interval = paired_interval(values, by_chance, generator).cut_at(1.0)
    note = f"{_BANDS if policy.band_rows < policy.height else _WHOLE} SSIM {structure(guesses, truths):.2f}. "
    return Finding.judged(
        scale,
        interval,
        attack=ATTACK.name,
        stand=stand,
        policy=evidence.name,
        score=float(values.mean()),
        control_broke=_breaks(evidence, generator),
        frames=len(values),
        smallest_breaking=1,
        note=note + _classified(frames, material.labels, known),
        pictures=_shown(material, guesses, truths, values, stand),
    )


def _raster(samples: NDArray[np.uint16], policy: Policy) -> Floats:
    return samples.reshape(len(samples), policy.height, policy.width, -1).astype(np.float64)


def _learned(evidence: Evidence) -> slice:
    """Which of the known scenes are learned from; the last ones are of the control.

    Raises InputError if there are too few.
    """
    count = _judged(evidence)
    if count < LEAST_SCENES // 2:
        raise InputError(
            f"it wants {LEAST_SCENES} known scenes, there are {len(evidence.scenes)}", hint="give more scenes"
        )
    return slice(0, min(LEARNED, len(evidence.scenes) - count))


def _judged(evidence: Evidence) -> int:
    """How many frames the control has."""
    return min(FRAMES, len(evidence.scenes) // 2)


def _own(evidence: Evidence, policy: Policy, chosen: slice) -> Material:
    """Frames that an attacker makes of known scenes, under a key of his own."""
    return make_material(evidence.scenes[chosen], policy, evidence.labels[chosen])


def _breaks(evidence: Evidence, generator: np.random.Generator) -> bool:
    """Whether frames are recognised whose samples stay in their rows, better than the mean scene would do it."""
    rows = replace(
        evidence.material.policy,
        unit=Unit.PHOTOSITE,
        scope="row",
        protection=Protection.SHUFFLE,
        frame_keys=FrameKeys.PER_FRAME,
    )
    known = Known.of(_own(evidence, rows, _learned(evidence)), Stand.MEMORY)
    control = _own(evidence, rows, slice(-_judged(evidence), None))
    truths = true_brightness(control)
    values = correlations(pictures(stored(control, Stand.MEMORY), known), truths)
    by_chance = correlations(np.broadcast_to(known.mean, truths.shape), truths)
    scale = Scale(_UNIT, float(by_chance.mean()), BROKEN)
    return paired_interval(values, by_chance, generator).low > scale.level


def _classified(frames: Floats, labels: Labels, known: Known) -> str:
    if (labels < 0).any() or (known.labels < 0).any():
        return ""
    hits = int((classes(frames, known) == labels).sum())
    share = share_interval(hits, len(labels))
    return (
        f"A linear classifier on bands and histogram names {hits / len(labels):.0%} of the scenes "
        f"({share.low:.0%} to {share.high:.0%}; the commonest class {commonest_share(labels):.0%})."
    )


def _shown(
    material: Material, guesses: Floats, truths: Floats, values: Floats, stand: Stand
) -> dict[str, NDArray[np.uint8]]:
    """Scene, frame and guess of the frame that was guessed best, and of a middling one."""
    order = np.argsort(values)
    shown = {}
    for name, one in (("best", int(order[-1])), ("middling", int(order[len(order) // 2]))):
        seen = views.seen(material, stand)[one]
        shown[f"{name}: scene"] = _grey(truths[one])
        shown[f"{name}: what the attacker sees"] = views.picture(seen, material.policy)
        shown[f"{name}: what the attacker makes of it"] = _grey(guesses[one])
    return shown


def _grey(values: Floats) -> NDArray[np.uint8]:
    return np.clip(values, 0, WHITE).astype(np.uint8)


ATTACK = Attack("single_frame", "One frame at a time", (Stand.FILE, Stand.MEMORY), FRAMES, run)
