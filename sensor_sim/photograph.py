"""A photograph as a scene: sRGB code values become light again."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from sensor_sim.errors import SceneError
from sensor_sim.private_scene import refuse_private
from sensor_sim.region import Region
from sensor_sim.scene import LightScene


def srgb_to_linear(encoded: NDArray[Any]) -> NDArray[np.float64]:
    """The inverse of the sRGB transfer function (IEC 61966-2-1) on values in [0, 1], in binary64.

    c / 12.92 up to c = 0.04045, and ((c + 0.055) / 1.055) ** 2.4 above.
    """
    encoded = np.asarray(encoded, np.float64)
    return np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)


def decode(path: Path) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """Decode an image file: RGB (h, w, 3), uint8 or uint16, turned upright as EXIF says.

    Grey images become three equal channels; transparency is dropped.

    Raises:
        SceneError: it cannot be read, is a private frame, or is not an image that OpenCV decodes.
    """
    refuse_private(path)
    try:
        data = np.frombuffer(path.read_bytes(), np.uint8)
    except OSError as error:
        raise SceneError(f"cannot read scene {path}: {error.strerror}", hint="check the path") from error
    try:
        image = cv2.imdecode(data, cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH) if data.size else None
    except cv2.error as error:
        raise SceneError(f"cannot decode scene {path}: {error.err}", hint="use a smaller or intact image") from error
    if image is None or image.dtype not in (np.uint8, np.uint16):
        raise SceneError(
            f"scene {path} is damaged, or not an image of 8 or 16 bits",
            hint="give an intact PNG or JPEG, a DNG, or a headerless .raw with --raw-size",
        )
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def from_image(
    image: NDArray[Any], width: int, height: int, name: str = "photograph", region: Region | None = None
) -> LightScene:
    """Light of an sRGB image at the sensor's geometry.

    The image is cut to the region, linearised, cut around its centre to the sensor's aspect ratio,
    and resized in linear light: averaged by area where it shrinks, bilinear where it grows.

    Args:
        image: uint8 or uint16 RGB (h, w, 3).
        width, height: photosites.
        name: for messages.
        region: the part of the image that the sensor sees; None for all of it.
    """
    seen = centre(image if region is None else region.cut(image, name), width, height)
    linear = cv2.LUT(np.ascontiguousarray(seen), _table(np.iinfo(image.dtype).max))
    return LightScene(fit(linear, width, height), name)


def fit(light: NDArray[np.float32], width: int, height: int) -> NDArray[np.float32]:
    """Resize linear light (h, w, 3) to width x height: averaged where it shrinks, bilinear where it grows."""
    if light.shape[:2] == (height, width):
        return light
    shrinks = light.shape[0] >= height and light.shape[1] >= width
    return cv2.resize(light, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)


def read(path: Path, width: int, height: int, region: Region | None = None) -> LightScene:
    """Read a photograph at the sensor's geometry; raises as :func:`decode` and :meth:`Region.cut` do."""
    return from_image(decode(path), width, height, str(path), region)


def centre(image: NDArray[Any], width: int, height: int) -> NDArray[Any]:
    """The largest centred part of the image with the aspect ratio width : height."""
    rows, columns = image.shape[:2]
    scale = min(columns / width, rows / height)
    keep_rows = min(rows, max(1, round(height * scale)))
    keep_columns = min(columns, max(1, round(width * scale)))
    top, left = (rows - keep_rows) // 2, (columns - keep_columns) // 2
    return image[top : top + keep_rows, left : left + keep_columns]


@cache
def _table(top: int) -> NDArray[np.float32]:
    return srgb_to_linear(np.arange(top + 1) / top).astype(np.float32)
