"""One frame at a time, whatever its key: a sample that stays near its place tells what is there.

Where samples move inside a row or a band, its mean and spread are those of the scene.  What bands look like is learned
from scenes that the attacker knows, by ridge regression (Hoerl and Kennard, Technometrics 12(1), 1970).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from skimage.metrics import structural_similarity

from audit import views
from audit.attack import Attack, Evidence
from audit.finding import Finding, Scale, Stand
from audit.intervals import commonest_share, mean_interval, paired_interval, share_interval
from audit.material import Material, make_material, white
from keyvault.errors import InputError
from keyvault.policy import Cfa, FrameKeys, Policy, Protection, Unit
from quad_scenes import WHITE

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]
LEVELS = (0.1, 0.3, 0.5, 0.7, 0.9)
STRENGTH = 100.0  # of the ridge, for standardised features
QUAD = 2  # photosites a side
FRAMES = 150  # attacked, one at a time
LEARNED = 2000  # scenes at most
LEAST_SCENES = 200  # to learn from, besides as many frames of the control
BROKEN = 0.5  # correlation
_BANDS = "Scenes as learned from what each band's values are."
_WHOLE = "Samples move over the whole frame: nothing is left but the mean of known scenes."


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


def places_only(frames: Floats, rows: int) -> Floats:
    """How the description of each band differs from that of the whole frame; nothing but zeros if it is the whole."""
    bands = describe(frames, rows)
    whole = describe(frames, frames.shape[1])
    return bands - np.tile(whole, bands.shape[1] // whole.shape[1])


def ridge(features: Floats, targets: Floats, strength: float = STRENGTH) -> Callable[[Floats], Floats]:
    """The linear function of features (n, f) that is nearest to targets (n, t), with a penalty on its weights."""
    middle, spread = features.mean(axis=0), np.maximum(features.std(axis=0), 1e-6)
    scaled, mean = (features - middle) / spread, targets.mean(axis=0)
    weights = np.linalg.solve(scaled.T @ scaled + strength * np.eye(features.shape[1]), scaled.T @ (targets - mean))
    return lambda seen: np.asarray((seen - middle) / spread @ weights + mean, np.float64)


def brightness(plain: Floats, policy: Policy) -> Floats:
    """The scene as the attacker wants it, grey of 8 bits: (n, h, w, c) to (n, y, x); a mosaic's quads are one point."""
    grey = plain.mean(axis=3) * (WHITE / white(policy))
    if policy.cfa is Cfa.NONE:
        return grey
    count, height, width = grey.shape
    return np.asarray(grey.reshape(count, height // QUAD, QUAD, width // QUAD, QUAD).mean(axis=(2, 4)), np.float64)


def correlations(guesses: Floats, truths: Floats) -> Floats:
    """Pearson's correlation of each guess with its truth, 0 for a flat guess: (n, y, x) both, to (n,)."""
    first, second = (one.reshape(len(one), -1) - one.mean(axis=(1, 2))[:, None] for one in (guesses, truths))
    scale = np.sqrt((first**2).sum(axis=1) * (second**2).sum(axis=1))
    return np.where(scale > 1e-6, (first * second).sum(axis=1) / np.maximum(scale, 1e-6), 0.0)


@dataclass(frozen=True, eq=False)
class Known:
    """Scenes that an attacker knows: float64 (m, h, w, c) as this sensor sees them, and their classes (m,)."""

    plain: Floats
    labels: Labels


def pictures(frames: Floats, known: Known, policy: Policy) -> Floats:
    """What an attacker makes of each frame: grey (n, y, x).

    Args:
        frames: float64 (n, h, w, c) in stored order.
        known: what the estimator learns from.
        policy: whose scope and unit say what stays in place.
    """
    wanted = brightness(known.plain, policy)
    estimate = ridge(places_only(known.plain, policy.band_rows), wanted.reshape(len(wanted), -1))
    return estimate(places_only(frames, policy.band_rows)).reshape(len(frames), *wanted.shape[1:])


def classes(frames: Floats, known: Known, policy: Policy) -> Labels:
    """The class of each frame by a linear classifier on what stays in place, whole histogram included: (n,)."""
    names = np.unique(known.labels)
    targets = (known.labels[:, None] == names).astype(np.float64)
    score = ridge(describe(known.plain, policy.band_rows), targets)(describe(frames, policy.band_rows))
    return np.asarray(names[score.argmax(axis=1)], np.int64)


def stored(material: Material, stand: Stand) -> Floats:
    """Frames as an attacker at a place has them, with an axis of samples: (n, h, w, c)."""
    return _raster(views.seen(material, stand), material.policy)


def structure(guesses: Floats, truths: Floats) -> float:
    """Mean structural similarity of guesses and truths, of 8-bit values (Wang et al., IEEE TIP 13(4), 2004)."""
    pairs = zip(guesses, truths, strict=True)
    return float(np.mean([structural_similarity(*pair, data_range=WHITE) for pair in pairs]))


def run(evidence: Evidence, stand: Stand, generator: np.random.Generator) -> Finding:
    """Attack single frames of the policy, and as the control frames whose samples stay in their rows.

    The score is the correlation of guess and scene.  Chance is that of the mean of the known scenes, which is what
    the attacker is left with where nothing stays in place.

    Raises InputError if too few scenes are known to learn from.
    """
    material = evidence.material.first(FRAMES)
    policy = material.policy
    known, control = _split(evidence, policy)
    frames, truths = stored(material, stand), brightness(_raster(views.in_line(material.plain), policy), policy)
    guesses = pictures(frames, known, policy)
    values = correlations(guesses, truths)
    blind = np.broadcast_to(brightness(known.plain, policy).mean(axis=0), truths.shape)
    by_chance = correlations(blind, truths)
    scale = Scale("correlation of guess and scene", float(by_chance.mean()), BROKEN)
    interval = paired_interval(values, by_chance, generator)
    note = f"{_BANDS if policy.band_rows < policy.height else _WHOLE} SSIM {structure(guesses, truths):.2f}. "
    return Finding.judged(
        scale,
        interval,
        attack=ATTACK.name,
        stand=stand,
        policy=evidence.name,
        score=float(values.mean()),
        control_broke=_breaks(control, known, generator),
        frames=len(values),
        smallest_breaking=1,
        note=note + _classified(frames, material.labels, known, policy),
        pictures=_shown(material, guesses, truths, values, stand),
    )


def _raster(samples: NDArray[np.uint16], policy: Policy) -> Floats:
    return samples.reshape(len(samples), policy.height, policy.width, -1).astype(np.float64)


def _split(evidence: Evidence, policy: Policy) -> tuple[Known, Material]:
    """Scenes to learn from, and frames of others of them whose samples stay in their rows."""
    count = min(FRAMES, len(evidence.scenes) // 2)
    if count < LEAST_SCENES // 2:
        raise InputError(
            f"it wants {LEAST_SCENES} known scenes, there are {len(evidence.scenes)}", hint="give more scenes"
        )
    rows = replace(
        policy, unit=Unit.PHOTOSITE, scope="row", protection=Protection.SHUFFLE, frame_keys=FrameKeys.PER_FRAME
    )
    learned = slice(0, min(LEARNED, len(evidence.scenes) - count))
    plain = _raster(views.known(evidence.scenes[learned], policy), policy)
    return Known(plain, evidence.labels[learned]), make_material(evidence.scenes[-count:], rows)


def _breaks(control: Material, known: Known, generator: np.random.Generator) -> bool:
    truths = brightness(_raster(views.in_line(control.plain), control.policy), control.policy)
    values = correlations(pictures(stored(control, Stand.MEMORY), known, control.policy), truths)
    return mean_interval(values, generator).low > BROKEN


def _classified(frames: Floats, labels: Labels, known: Known, policy: Policy) -> str:
    if (labels < 0).any() or (known.labels < 0).any():
        return ""
    hits = int((classes(frames, known, policy) == labels).sum())
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
