"""What a protection costs: its time, and how much less its images compress."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from measure import compare
from peers.block_cipher import Images
from peers.registry import Protect

PNG, WEBP = "png", "webp"
_OPTIONS = {PNG: [cv2.IMWRITE_PNG_COMPRESSION, 9], WEBP: [cv2.IMWRITE_WEBP_QUALITY, 101]}  # above 100 is lossless


@dataclass(frozen=True)
class Sizes:
    """Bytes of images under lossless compression, all of them together."""

    png: int
    webp: int


@dataclass(frozen=True)
class Cost:
    """Of a protection.

    Attributes:
        sizes: of the protected images.
        plain: sizes of the same images without protection.
        images: how many there are.
        microseconds: of the transformation of one image, all of them in one batch.
        rounds: of which this is the median.
    """

    sizes: Sizes
    plain: Sizes
    images: int
    microseconds: float
    rounds: int

    @property
    def png_ratio(self) -> float:
        """PNG bytes of the protected images over those of the plain ones."""
        return self.sizes.png / self.plain.png

    @property
    def webp_ratio(self) -> float:
        """Lossless WebP bytes of the protected images over those of the plain ones."""
        return self.sizes.webp / self.plain.webp


def lossless_bytes(image: Images, form: str) -> bytes:
    """One (h, w, 3) uint8 RGB image as a lossless PNG or WebP file."""
    _, content = cv2.imencode(f".{form}", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), _OPTIONS[form])
    return content.tobytes()


def sizes(images: Images) -> Sizes:
    """Bytes of (n, h, w, 3) uint8 images, each in a file of its own."""
    png, webp = (sum(len(lossless_bytes(image, form)) for image in images) for form in (PNG, WEBP))
    return Sizes(png, webp)


def measure_cost(transform: Protect, images: Images, rounds: int = 9) -> Cost:
    """Protect (n, h, w, 3) uint8 images and say what it takes; at least one image."""
    timed = compare("transformation", {"transform": lambda: transform(images)}, rounds=rounds)
    microseconds = timed.timings[0].median_s / len(images) * 1e6
    protected = np.concatenate([transform(image[None]) for image in images])
    return Cost(sizes(protected), sizes(images), len(images), microseconds, rounds)
