"""A stand-in for learned optics: a lens out of focus.

Hinojosa, Niebles and Arguello, "Learning Privacy-preserving Optics for Human Pose Estimation", ICCV 2021, and others
after it train a lens and a network together.  Their lenses blur; a thin lens out of focus blurs with a disc (the
circle of confusion of geometrical optics), and its radius is the strength.  There is no key and no inverse: what is
lost is lost to the host too.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from keyvault.errors import InputError
from peers.block_cipher import Images

STRENGTHS = (1.0, 2.0, 3.0, 4.0)  # radii in pixels, for 32 x 32 images
LEAST_RADIUS = 0.1
_FINE = 8  # samples across a pixel


def disc(radius: float) -> NDArray[np.float32]:
    """Point spread function of a lens out of focus: an odd square that sums to one.

    Raises:
        InputError: the radius is too small or not finite.
    """
    if not LEAST_RADIUS <= radius < np.inf:
        raise InputError(f"{radius} pixels is no radius of a blur", hint=f"give {LEAST_RADIUS} or more")
    reach = int(np.ceil(radius))
    fine = (np.arange((2 * reach + 1) * _FINE) + 0.5) / _FINE - reach - 0.5
    covered = fine[:, None] ** 2 + fine[None, :] ** 2 <= radius**2
    kernel = covered.reshape(2 * reach + 1, _FINE, 2 * reach + 1, _FINE).sum((1, 3)).astype(np.float32)
    return kernel / kernel.sum()


def transform(images: Images, radius: float) -> Images:
    """Blur (n, h, w, 3) uint8 images with a disc of ``radius`` pixels; beyond its border an image is mirrored."""
    kernel = disc(radius)
    blurred = [cv2.filter2D(image, -1, kernel, borderType=cv2.BORDER_REFLECT_101) for image in images]
    return np.stack(blurred) if blurred else images.copy()
