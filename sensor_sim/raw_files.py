"""Camera raw files as scenes: their DN enter the converter unchanged."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rawpy
from numpy.typing import NDArray

from adc_firmware.packing import Packing, named, unpack
from keyvault.errors import InputError, PolicyError
from keyvault.policy import Cfa
from sensor_sim.errors import SceneError
from sensor_sim.private_scene import refuse_private
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
        packing: exact name of V4L2, PFNC or DNG, such as SRGGB12P, BayerRG12p or DNG12
            (docs/spec/frame_files.md, section 2); None for 16-bit little-endian words.
        stride: bytes from the beginning of a line to that of the next if lines are padded, as V4L2's
            bytesperline; None if they are not.
        white_balance: gains of red, green and blue; 1024 is 1.0.

    Raises SceneError when constructed with values that do not go together.
    """

    width: int
    height: int
    cfa: Cfa
    black_level: int
    white_level: int
    packing: str | None = None
    stride: int | None = None
    white_balance: tuple[int, int, int] = NEUTRAL

    def __post_init__(self) -> None:
        if min(self.width, self.height) < 1 or (self.stride is not None and self.stride < 1):
            raise SceneError(f"a raw image of {self.width}x{self.height}, stride {self.stride}, has no photosites")
        if len(self.white_balance) != 3 or not all(1 <= gain <= _MAX_GAIN for gain in self.white_balance):
            raise SceneError(f"white balance {self.white_balance} is not three gains from 1 to {_MAX_GAIN}")
        if self.packing is not None and _named(self.packing).cfa not in (None, self.cfa):
            raise SceneError(f"packing {self.packing} is not for the mosaic {self.cfa}", hint="check --raw-cfa")

    @property
    def packing_name(self) -> str:
        """The packing, which if none was given is V4L2's for 16 bits."""
        return self.packing or ("Y16" if self.cfa is Cfa.NONE else f"S{self.cfa}16")


def read_raw(path: Path) -> DnScene:
    """Read the visible area of a Bayer raw file (DNG, NEF, CR2 ...) through LibRaw.

    A frame header has one black level.  Where a file has one for each colour, their mean stands
    for them if none is off by more than a thousandth of the range; the DN themselves never change.

    Raises:
        SceneError: it cannot be read, or is not a plain Bayer mosaic.
    """
    try:
        refuse_private(path)
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
    """Read samples in raster order, packed as the layout says, nothing before and nothing behind.

    Raises:
        SceneError: it cannot be read, is a private frame, or its length is not that of the layout.
    """
    refuse_private(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise SceneError(f"cannot read scene {path}: {error.strerror}", hint="check the path") from error
    try:
        dn = unpack(data, layout.packing_name, layout.width, layout.height, stride=layout.stride)
    except (InputError, PolicyError) as error:
        raise SceneError(
            f"scene {path}: {error}",
            hint=error.hint or "check --raw-size (width first) and that the file has no header",
        ) from error
    return DnScene(dn, layout.black_level, layout.white_level, layout.white_balance, layout.cfa, str(path))


def _named(name: str) -> Packing:
    try:
        return named(name)
    except InputError as error:
        raise SceneError(str(error), hint=error.hint) from error


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
