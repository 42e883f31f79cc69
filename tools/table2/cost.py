"""What protections cost: their time, and how much less their images compress."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from measure import compare
from peers.block_cipher import Images
from peers.registry import PEERS, Peer, Protect
from table2.inference_cost import measure_inference

PNG, WEBP = "png", "webp"
_OPTIONS = {PNG: [cv2.IMWRITE_PNG_COMPRESSION, 9], WEBP: [cv2.IMWRITE_WEBP_QUALITY, 101]}  # above 100 is lossless

#: The protection that the time of the others is divided by.
BASELINE = "pixel-shuffle"
AT_ONCE = 100  # images


@dataclass(frozen=True)
class Sizes:
    """Bytes of images under lossless compression, all of them together."""

    png: int
    webp: int


@dataclass(frozen=True)
class Compression:
    """Sizes of images without protection and with it.

    Attributes:
        protected, plain: bytes of the same images.
        images: how many there are.
    """

    protected: Sizes
    plain: Sizes
    images: int

    @property
    def png_ratio(self) -> float:
        """PNG bytes of the protected images over those of the plain ones."""
        return self.protected.png / self.plain.png

    @property
    def webp_ratio(self) -> float:
        """Lossless WebP bytes of the protected images over those of the plain ones."""
        return self.protected.webp / self.plain.webp


@dataclass(frozen=True)
class TransformationTime:
    """Of a protection.

    Attributes:
        microseconds: of one image, in batches of 100; median.
        ratio: to that of a pixel shuffle in the same round, image for image; median.
        images: protected in a round.
        rounds: of which these are the medians.
    """

    microseconds: float
    ratio: float
    images: int
    rounds: int


def lossless_bytes(image: NDArray[np.uint8], form: str) -> bytes:
    """One (h, w, 3) uint8 RGB or (h, w) grey image as a lossless PNG or WebP file."""
    stored = cv2.cvtColor(image, cv2.COLOR_RGB2BGR) if image.ndim == 3 else image
    _, content = cv2.imencode(f".{form}", stored, _OPTIONS[form])
    return content.tobytes()


def sizes(images: NDArray[np.uint8]) -> Sizes:
    """Bytes of (n, h, w, 3) or (n, h, w) uint8 images, each in a file of its own."""
    png, webp = (sum(len(lossless_bytes(image, form)) for image in images) for form in (PNG, WEBP))
    return Sizes(png, webp)


def compress(peer: Peer, transform: Protect, images: Images) -> Compression:
    """Protect (n, h, w, 3) uint8 images and compress them as the peer stores them; at least one image."""
    protected = np.concatenate([transform(image[None]) for image in images])
    return Compression(sizes(peer.stored(protected)), sizes(images), len(images))


def measure_peer(peer: Peer, images: Images, *, seed: int, batch: int, rounds: int) -> dict[str, Any]:
    """How a peer's images compress and what its network takes, as JSON values."""
    compression = compress(peer, peer.protection(seed).transform, peer.scale(images))
    inference = measure_inference(peer, batch=batch, rounds=rounds)
    return {"compression": asdict(compression), "inference": asdict(inference) if inference else None}


def _all(transform: Protect, images: Images) -> None:
    for first in range(0, len(images), AT_ONCE):
        transform(images[first : first + AT_ONCE])


def time_transformations(
    peers: Mapping[str, Peer], images: Images, *, seed: int, rounds: int
) -> dict[str, TransformationTime]:
    """Let the peers protect (n, h, w, 3) uint8 images in turns, pixel shuffle first; times by name.

    They protect a hundred at a time: with larger arrays, time goes into fresh memory, and depends on who went before.
    """
    things = {
        name: partial(_all, peer.protection(seed).transform, peer.scale(images))
        for name, peer in ({BASELINE: PEERS[BASELINE]} | dict(peers)).items()
    }
    timed = compare("transformation", things, rounds=rounds)
    return {
        timing.name: TransformationTime(timing.median_s / len(images) * 1e6, timing.ratio, len(images), rounds)
        for timing in timed.timings
    }
