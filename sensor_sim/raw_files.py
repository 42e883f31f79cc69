"""Camera raw files as scenes: their DN enter the converter unchanged."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rawpy
from numpy.typing import NDArray

from adc_firmware.dng import HEAD_BYTES, is_private
from keyvault.policy import Cfa
from sensor_sim.errors import SceneError
from sensor_sim.scene import NEUTRAL, DnScene

HEADERLESS = ".raw"
_KINDS = "3fr arw cr2 cr3 crw dcr dng erf iiq kdc mef mos mrw nef nrw orf pef raf rw2 rwl sr2 srf srw x3f"
SUFFIXES = frozenset(f".{kind}" for kind in _KINDS.split())
MAX_BLACK_SPREAD = 1 / 1000  # of the range from black to white
_MAX_GAIN = 2**16 - 1


@dataclass(frozen=True, slots=True)
class RawLayout:
    """What a headerless raw file does not say itself.

    Attributes:
        width, height: photosites.
        cfa: colour filter array; ``Cfa.NONE`` for a monochrome sensor.
        black_level, white_level: DN.
    """

    width: int
    height: int
    cfa: Cfa
    black_level: int
    white_level: int


def read_raw(path: Path) -> DnScene:
    """Read the visible area of a Bayer raw file (DNG, NEF, CR2 ...) through LibRaw.

    A frame header has one black level.  Where a file has one for each colour, their mean stands
    for them if none is off by more than a thousandth of the range; the DN themselves never change.

    Raises:
        SceneError: it cannot be read, or is not a plain Bayer mosaic.
    """
    try:
        with path.open("rb") as file:
            if is_private(file.read(HEAD_BYTES)):
                raise SceneError(
                    f"scene {path} is a private frame, not a photograph",
                    hint="give the original scene; keyed-infer reveal shows a frame to its key holder",
                )
        with rawpy.imread(str(path)) as raw:
            return _scene(raw, path)
    except OSError as error:
        raise SceneError(f"cannot read scene {path}: {error.strerror}", hint="check the path") from error
    except (rawpy.LibRawError, rawpy.NotSupportedError) as error:
        raise SceneError(
            f"LibRaw cannot read scene {path}: {_reason(error)}",
            hint="check that it is an intact raw file; a headerless one needs --raw-size",
        ) from error


def read_headerless(path: Path, layout: RawLayout) -> DnScene:
    """Read uint16 little-endian DN in raster order, nothing before and nothing behind.

    Raises:
        SceneError: it cannot be read, or its length is not that of the layout.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise SceneError(f"cannot read scene {path}: {error.strerror}", hint="check the path") from error
    size = f"{layout.width}x{layout.height}"
    expected = 2 * layout.width * layout.height
    if len(data) != expected:
        raise SceneError(
            f"scene {path} has {len(data)} bytes; {size} photosites of 16 bits are {expected}",
            hint="check --raw-size (width first) and that the file has no header",
        )
    dn = np.frombuffer(data, "<u2").reshape(layout.height, layout.width)
    return DnScene(dn, layout.black_level, layout.white_level, cfa=layout.cfa, name=str(path))


def _scene(raw: Any, path: Path) -> DnScene:
    if raw.raw_type != rawpy.RawType.Flat:
        raise SceneError(
            f"scene {path} has several values a photosite (type {raw.raw_type.name})", hint="use a Bayer raw file"
        )
    if raw.raw_pattern is None or raw.raw_pattern.shape != (2, 2):
        raise SceneError(f"scene {path} is not a 2 x 2 Bayer mosaic", hint="use a Bayer raw file")
    colours = raw.raw_colors_visible[:2, :2]
    letters = "".join(raw.color_desc.decode("ascii", "replace")[int(c)] for c in colours.flat)
    if letters not in set(Cfa):
        raise SceneError(f"scene {path} has the filters {letters}, which are not Bayer's", hint="use a Bayer raw file")
    white = int(raw.white_level)
    black = _black_level([int(raw.black_level_per_channel[int(c)]) for c in colours.flat], white, path)
    balance = _white_balance(raw.camera_whitebalance) or _white_balance(raw.daylight_whitebalance) or NEUTRAL
    return DnScene(_visible(raw), black, white, balance, Cfa(letters), str(path))


def _visible(raw: Any) -> NDArray[np.uint16]:
    """A copy, since LibRaw's buffer ends with its file."""
    return np.array(raw.raw_image_visible, np.uint16)


def _black_level(levels: list[int], white: int, path: Path) -> int:
    mean = round(sum(levels) / len(levels))
    if max(abs(level - mean) for level in levels) > MAX_BLACK_SPREAD * (white - mean):
        raise SceneError(
            f"scene {path} has black levels {levels}, one for each colour; a private frame has one",
            hint="subtract the differences first, and give the result as a headerless .raw",
        )
    return mean


def _white_balance(gains: list[float]) -> tuple[int, int, int] | None:
    """Gains relative to green with 10 fractional bits, or None if the file has none."""
    red, green, blue = gains[:3]
    if not all(math.isfinite(gain) and gain > 0 for gain in (red, green, blue)):
        return None
    scaled = (round(1024 * red / green), 1024, round(1024 * blue / green))
    return scaled if all(1 <= gain <= _MAX_GAIN for gain in scaled) else None


def _reason(error: Exception) -> str:
    (reason,) = error.args[:1] or ("unknown reason",)
    return reason.decode("ascii", "replace") if isinstance(reason, bytes) else str(reason)
