"""Pictures under peers of Table 2 and their controls, as attacks on peers are given them; and noise in their place."""

from __future__ import annotations

from functools import partial

import numpy as np
from scipy.ndimage import gaussian_filter

from audit.finding import Finding
from audit.peer_evidence import Images, PeerAttack, PeerEvidence
from audit.peer_subjects import _CONTROLS, protect
from audit.scenes import Scenes
from peers.registry import PEERS, Peer, Protection


def pictures(count: int, seed: int = 1, tint: float = 20) -> Images:
    """Smooth pictures with a tint, as photographs have one, and a little grain: uint8 (count, 32, 32, 3)."""
    rng = np.random.default_rng(seed)
    smooth, grey = (_smooth(rng, count, channels) for channels in (3, 1))
    level = rng.uniform(100, 150, (count, 1, 1, 1)) + rng.uniform(-tint, tint, (count, 1, 1, 3))
    return np.clip(level + 0.15 * tint * smooth + 35 * grey + rng.normal(size=smooth.shape), 0, 255).astype(np.uint8)


def _smooth(rng: np.random.Generator, count: int, channels: int) -> np.ndarray:
    """Cut out of larger pictures, so that opposite borders have nothing in common."""
    found = gaussian_filter(rng.normal(size=(count, 48, 48, channels)), (0, 5, 5, 0), mode="wrap")[:, :32, :32]
    return found / found.std()


def _pad(seed: int, images: Images) -> Images:
    return np.random.default_rng([seed, len(images)]).integers(0, 256, images.shape, np.uint8)


NOISE = Peer("noise in place of pictures", lambda seed, _h, _w: Protection(partial(_pad, seed), lambda images: images))


def evidence(key: str, peer: Peer | None = None) -> PeerEvidence:
    """Pictures of two classes under a peer, in fewer numbers than an audit has."""
    images = pictures(360)
    scenes = Scenes(images[:200], np.arange(200) % 2, images[200:], np.arange(160) % 2)
    controls = {name: protect(name, one, scenes, 3) for name, one in _CONTROLS.items()}
    return PeerEvidence(f"peer:{key}", protect(key, peer or PEERS[key], scenes, 3), *controls.values())


def run(attack: PeerAttack, under: PeerEvidence) -> Finding:
    """The finding of an attack, once it is sound as a finding."""
    found = attack.run(under, np.random.default_rng(0))
    assert (found.attack, found.policy, found.stand) == (attack.name, under.name, attack.stand)
    assert found.interval.low <= found.score <= found.interval.high
    assert Finding.from_json(found.to_json()).to_json() == found.to_json()
    return found
