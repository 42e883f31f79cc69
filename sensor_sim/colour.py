"""What a sensor's colour filters see of light that is given in the primaries of sRGB.

Cameras turn their own colours into sRGB with a matrix.  Here it is undone, after the tone curve and
before the quantum efficiencies, as in T. Brooks et al., "Unprocessing images for learned raw
denoising", CVPR 2019, section 3.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

MAX_ENTRY = 10.0
_SRGB_TO_XYZ = np.array(  # IEC 61966-2-1: linear sRGB to CIE XYZ, white D65
    [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
)


class ColourMatrix:
    """What a profile may state as its matrix: nine numbers by rows, or nothing."""

    optional = True

    def admit(self, value: Any) -> bool:
        """Whether this is such a matrix, and each filter sees white."""
        if value is None:
            return True
        if not isinstance(value, tuple) or len(value) != 9:
            return False
        real = all(isinstance(entry, int | float) and type(entry) is not bool for entry in value)
        if not real or not all(math.isfinite(entry) and abs(entry) <= MAX_ENTRY for entry in value):
            return False
        return bool((_seen(value).sum(1) > 0).all())

    def __str__(self) -> str:
        return f"nine numbers from -{MAX_ENTRY:g} to {MAX_ENTRY:g}, by rows, with which every filter sees white"


def srgb_to_filters(xyz_to_camera: tuple[float, ...] | None) -> NDArray[np.float64]:
    """What the red, green and blue filter see of linear sRGB light: (3, 3); every row has the sum 1.

    Args:
        xyz_to_camera: CIE XYZ to the camera's colours under D65, by rows, in any unit, as DNG states it in
            its ColorMatrix tags; None for filters that see one primary each.

    White is seen alike by all filters; what they make of it is for the quantum efficiencies to say.
    """
    if xyz_to_camera is None:
        return np.eye(3)
    seen = _seen(xyz_to_camera)
    return seen / seen.sum(1, keepdims=True)


def _seen(xyz_to_camera: tuple[float, ...]) -> NDArray[np.float64]:
    return np.array(xyz_to_camera, np.float64).reshape(3, 3) @ _SRGB_TO_XYZ
