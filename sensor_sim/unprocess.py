"""A photograph on the scale of a sensor: tone curve, colour matrix and white balance undone.

After T. Brooks et al., "Unprocessing images for learned raw denoising", CVPR 2019, section 3, with the
transfer function of sRGB in place of a power of 2.2.  For data sets that want such images without a
sensor; a camera does not use it, for it has pixels (docs/scenes.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensor_sim.colour import ColourMatrix, srgb_to_filters
from sensor_sim.errors import SettingsError
from sensor_sim.photograph import srgb_to_linear

_KNEE = 0.9  # where highlights begin


class Tone(StrEnum):
    """The curve from linear light to the code values of a photograph.

    ``srgb``: the transfer function of sRGB alone.  ``srgb+smoothstep``: that, and on its result the
    contrast curve 3 x**2 - 2 x**3, which stands for what cameras add.
    """

    SRGB = "srgb"
    CONTRAST = "srgb+smoothstep"


def undo_tone(encoded: NDArray[Any], tone: Tone = Tone.SRGB) -> NDArray[np.float64]:
    """Linear light of code values in [0, 1]; the contrast curve is undone by 1/2 - sin(asin(1 - 2 y) / 3)."""
    encoded = np.asarray(encoded, np.float64)
    if tone is Tone.CONTRAST:
        encoded = np.clip(0.5 - np.sin(np.arcsin(1 - 2 * encoded) / 3), 0, 1)
    return srgb_to_linear(encoded)


def undo_gains(light: NDArray[Any], gains: Sequence[float]) -> NDArray[np.float64]:
    """Take the gains of a white balance away, and leave white that is saturated saturated.

    Division by gains above 1 would leave no saturated red and blue, and no true white.  So the divisor
    goes to 1 as the mean of a pixel's channels goes from 0.9 to 1.

    Args:
        light: white balanced, in the colours of a sensor (..., 3); 1.0 is saturation.
        gains: of red, green and blue.

    Raises:
        SettingsError: these are not three gains above 0.
    """
    divisors = np.array(gains, np.float64)
    if divisors.shape != (3,) or not (np.isfinite(divisors).all() and (divisors > 0).all()):
        raise SettingsError(f"white balance {gains!r:.60} is not three gains above 0")
    light, factors = np.asarray(light, np.float64), 1 / divisors
    bright = np.clip((light.mean(axis=-1, keepdims=True) - _KNEE) / (1 - _KNEE), 0, 1) ** 2
    return np.asarray(light * np.maximum(bright + (1 - bright) * factors, factors))


def unprocess(
    image: NDArray[Any],
    xyz_to_camera: Sequence[float] | None,
    gains: Sequence[float],
    tone: Tone | str = Tone.SRGB,
) -> NDArray[np.float32]:
    """What a sensor may have given for a photograph, before noise and mosaic.

    Args:
        image: uint8 or uint16 RGB (..., 3), sRGB.
        xyz_to_camera: of the sensor, as in a profile; None for filters that see one primary each.
        gains: of red, green and blue in the photograph's white balance; green's is 1 as a rule.
        tone: of the photograph.

    Returns float32 of the image's shape; 0 is no light, 1 is saturation, and for gains from 1 on nothing is above.

    Raises:
        SettingsError: the image, matrix, gains or tone are none.
    """
    image, matrix = np.asarray(image), None if xyz_to_camera is None else tuple(xyz_to_camera)
    if image.dtype not in (np.uint8, np.uint16) or image.ndim < 1 or image.shape[-1] != 3:
        raise SettingsError(f"an image is uint8 or uint16 RGB (..., 3), not {image.dtype} {image.shape}")
    if not ColourMatrix().admit(matrix):
        raise SettingsError(f"xyz_to_camera {matrix!r:.60} is not {ColourMatrix()}")
    if tone not in tuple(Tone):
        raise SettingsError(f"tone {tone!r:.40} is not {' or '.join(Tone)}")
    light = undo_tone(image / np.iinfo(image.dtype).max, Tone(tone))
    seen = np.maximum(light @ srgb_to_filters(matrix).T, 0)
    return undo_gains(seen, gains).astype(np.float32)
