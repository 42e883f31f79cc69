"""One picture of a peer at a time: what stays near its place is a thumbnail, and a known blur can be taken off.

Thumbnails: a ridge (``audit.ridge``) from statistics of tiles, which no key that keeps samples inside a tile changes,
to the scene; learned from known scenes under keys of the attacker's own.

Blur: the filter of Wiener (Extrapolation, Interpolation, and Smoothing of Stationary Time Series, 1949), frequency by
frequency; its spectra are measured on known scenes that the attacker blurs himself, noise of the 8 bits included.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.fft import dctn, idctn

from audit.attacks import single_frame
from audit.attacks.single_frame import BROKEN, correlation, correlations, structure
from audit.finding import Finding, Scale
from audit.intervals import mean_interval, paired_interval
from audit.peer_evidence import PeerAttack, PeerEvidence, Protected
from audit.peer_features import TILES, tile_statistics
from audit.peer_learning import estimated, known_scenes
from audit.peer_pictures import grey, mean_scene, side_by_side
from peers import optics
from peers.registry import Peer, Protection

Floats = NDArray[np.float64]
PICTURES = 1000
SIDE = 32  # of what he makes of a picture by its tiles
_SLIGHT = 1.0  # radius in pixels of the lens that is the control of lenses


def deconvolve(private: Floats, blurred: Floats, sharp: Floats) -> Floats:
    """Take a blur off pictures (n, h, w) by what it did to others, (m, h, w) both.

    The cosine transform of the first kind has a symmetric blur with mirrored borders on its diagonal.
    """
    seen, wanted = (dctn(one, type=1, axes=(1, 2)) for one in (blurred, sharp))
    wiener = (seen * wanted).mean(axis=0) / np.maximum((seen**2).mean(axis=0), 1e-12)
    return np.asarray(idctn(dctn(private, type=1, axes=(1, 2)) * wiener, type=1, axes=(1, 2)), np.float64)


def from_tiles(protected: Protected) -> tuple[Floats, Floats]:
    """The scene of each picture as its tiles tell it, and the mean of those it is learned from, grey: (n, 32, 32)."""
    scenes = known_scenes(protected)
    wanted = smaller(grey(protected.known[scenes]))
    found = estimated(protected, scenes, tile_statistics, wanted.reshape(len(wanted), -1), correlation)
    guesses = found.reshape(-1, SIDE, SIDE)
    return guesses, np.broadcast_to(wanted.mean(axis=0), guesses.shape)


def attacked(protected: Protected) -> tuple[Floats, Floats, Floats]:
    """What the attacker makes of each picture, the scenes, and the mean known scene: (n, h, w) grey each.

    Raises InputError if too few scenes are known to learn from.
    """
    truth = grey(protected.plain)
    if not protected.keyed:
        known = protected.known[known_scenes(protected)]
        found = deconvolve(grey(protected.private), grey(protected.own(known)), grey(known))
        return found, truth, mean_scene(protected, len(protected))
    found, blind = from_tiles(protected)
    return found, smaller(truth), blind


def control_of(evidence: PeerEvidence) -> Protected:
    """What the same way has to break: a shuffle inside 4 x 4 blocks, or a slight blur where there is no key."""
    if evidence.material.keyed:
        return evidence.inside
    blurred = Peer("a slight blur", lambda *_: Protection(partial(optics.transform, radius=_SLIGHT), None))
    return replace(evidence.control, peer=blurred)


def broke(control: Protected, level: float, generator: np.random.Generator) -> bool:
    """Whether the attack gets above a level, and where there is no key also above what can be seen without it."""
    guess, truth, _ = attacked(control)
    found = correlations(guess, truth)
    better = found - correlations(grey(control.private), truth) if not control.keyed else np.ones(1)
    return mean_interval(found, generator).low > level and mean_interval(better, generator).low > 0


def smaller(pictures: Floats) -> Floats:
    """Pictures (n, h, w) at 32 x 32."""
    if pictures.shape[1:] == (SIDE, SIDE):
        return pictures
    return np.stack([cv2.resize(one, (SIDE, SIDE), interpolation=cv2.INTER_AREA) for one in pictures])


def run(evidence: PeerEvidence, generator: np.random.Generator) -> Finding:
    """Attack up to 1,000 pictures one at a time; chance is the correlation of the mean of the known scenes."""
    material = evidence.material.first(PICTURES).each_alone()
    guess, truth, blind = attacked(material)
    values, by_chance = correlations(guess, truth), correlations(blind, truth)
    scale = Scale("correlation of guess and scene", float(by_chance.mean()), BROKEN)
    interval = paired_interval(values, by_chance, generator).cut_at(1.0)
    return Finding.judged(
        scale,
        interval,
        attack=PEER_ATTACK.name,
        stand=PEER_ATTACK.stand,
        policy=evidence.name,
        score=float(values.mean()),
        control_broke=broke(control_of(evidence).first(PICTURES).each_alone(), scale.level, generator),
        frames=len(material),
        smallest_breaking=1,
        note=_note(material, guess, truth),
        pictures={
            "scenes": side_by_side(truth),
            "protected": side_by_side(material.private),
            "what one picture gives": side_by_side(guess),
        },
    )


def _note(material: Protected, guess: Floats, truth: Floats) -> str:
    alike = f"SSIM {structure(guess, truth):.2f}."
    if material.keyed:
        return (
            f"Scenes as learned from the statistics of {TILES} x {TILES} tiles of a picture, each under a key of its "
            f"own. {alike}"
        )
    before = grey(material.private)
    return (
        f"The known blur taken off. {alike} Before that, without any attack: correlation "
        f"{correlations(before, truth).mean():.2f}, SSIM {structure(before, truth):.2f}. The only noise is that of 8 "
        "bits; a sensor's own would leave less to be had."
    )


PEER_ATTACK = PeerAttack("single_frame", single_frame.ATTACK.title, 50, run)
