"""What the ISP does to every frame of one geometry: sizes, windows, bands and taps; no key needed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from inference.errors import InputMismatchError
from inference.imaging import demosaic
from inference.imaging.demosaic import Area, Patch, Target, mirrored
from inference.imaging.resize import AxisTaps, axis_taps
from inference.imaging.settings import Demosaic, Fit, IspSettings
from keyvault.policy import Cfa, Policy

Size = tuple[int, int]
PATCH_PHOTOSITES = 1 << 16  # of one band; its balanced samples stay in the cache
MIN_BAND_ROWS = 16


@dataclass(frozen=True, slots=True)
class Method:
    """One way to make pixels of photosites.

    Attributes:
        kernel: what computes them.
        grain: photosites along each axis to a pixel.
        reach: farthest tap outside the pixel's own photosites.
    """

    kernel: Callable[[Patch, Target], None]
    grain: int
    reach: int


_PHOTOSITES = Method(demosaic.photosites, 1, 0)
_BAYER = {
    Demosaic.QUAD: Method(demosaic.quads, 2, 0),
    Demosaic.BILINEAR: Method(demosaic.bilinear, 1, demosaic.BILINEAR_REACH),
    Demosaic.MALVAR: Method(demosaic.malvar, 1, demosaic.MALVAR_REACH),
}


@dataclass(frozen=True, slots=True, eq=False)
class Axis:
    """One axis of the way from the demosaiced image to the output.

    Attributes:
        taps: of the output positions; None where the axis is not scaled.
        first, last: range of demosaiced positions that are needed.
        count: output positions.
    """

    taps: AxisTaps | None
    first: int
    last: int
    count: int


@dataclass(frozen=True, slots=True, eq=False)
class Band:
    """Rows of the demosaiced window that one thread makes at a time.

    Attributes:
        first, last: rows of the window.
        area: the photosites that they need.
        row_starts, columns, colours: as :class:`inference.imaging.demosaic.Patch` has them.
    """

    first: int
    last: int
    area: Area
    row_starts: NDArray[np.int32]
    columns: NDArray[np.int32]
    colours: NDArray[np.int64]

    @property
    def photosites(self) -> int:
        """Number of photosites in the area."""
        return (self.area.last_row - self.area.first_row) * (self.area.last_column - self.area.first_column)


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """The stages for one policy and one set of settings.

    Attributes:
        settings: what was asked for.
        method: how pixels are made of photosites.
        rows, columns: what happens along each axis; columns are scaled first.
        bands: of the demosaiced window, from top to bottom.
    """

    settings: IspSettings
    method: Method
    rows: Axis
    columns: Axis
    bands: tuple[Band, ...]

    @property
    def size(self) -> Size:
        """(height, width) of the output."""
        return self.rows.count, self.columns.count

    @property
    def window(self) -> Size:
        """(height, width) of the demosaiced window."""
        return self.rows.last - self.rows.first, self.columns.last - self.columns.first

    @property
    def scaled(self) -> bool:
        """Whether any axis is scaled."""
        return self.rows.taps is not None or self.columns.taps is not None


@lru_cache(maxsize=64)
def plan_for(policy: Policy, settings: IspSettings) -> Plan:
    """The plan for frames of ``policy``; InputMismatchError if the settings cannot be met."""
    mosaic = policy.cfa is not Cfa.NONE
    if settings.keep_order and mosaic:
        raise InputMismatchError(
            f"a {policy.cfa} mosaic cannot keep its stored order: demosaicing makes new pixels",
            hint="keep_order is for monochrome and stacked sensors",
        )
    method = _BAYER[settings.demosaic] if mosaic else _PHOTOSITES
    developed = policy.height // method.grain, policy.width // method.grain
    scaled = _scaled_size(developed, settings)
    size = settings.size or developed
    if scaled[0] < size[0] or scaled[1] < size[1]:
        raise InputMismatchError(
            f"an image scaled to {scaled[1]}x{scaled[0]} does not cover {size[1]}x{size[0]}",
            hint="give a larger short side",
        )
    rows, columns = (_axis(*sides) for sides in zip(developed, scaled, size, strict=True))
    return Plan(settings, method, rows, columns, _bands(policy, method, rows, columns))


def _scaled_size(size: Size, settings: IspSettings) -> Size:
    if settings.size is None:
        return size
    if settings.fit is Fit.STRETCH:
        return settings.size
    height, width = size
    if settings.short_side is not None:
        short = settings.short_side
        return (short, short * width // height) if height <= width else (short * height // width, short)
    wanted_height, wanted_width = settings.size
    if wanted_height * width >= wanted_width * height:
        return wanted_height, max(wanted_width, round(width * wanted_height / height))
    return max(wanted_height, round(height * wanted_width / width)), wanted_width


def _axis(developed: int, scaled: int, count: int) -> Axis:
    first = round((scaled - count) / 2)
    if scaled == developed:
        return Axis(None, first, first + count, count)
    taps = axis_taps(developed, scaled, first, count)
    return Axis(taps, taps.first, taps.last, count)


def _bands(policy: Policy, method: Method, rows: Axis, columns: Axis) -> tuple[Band, ...]:
    across = _reached(columns, method, policy.width)
    width = int(across.max() - across.min()) + 1
    height = rows.last - rows.first
    limit = max(PATCH_PHOTOSITES // (width * method.grain) - 2 * method.reach, MIN_BAND_ROWS)
    cuts = np.linspace(0, height, -(-height // limit) + 1).astype(int).tolist()
    return tuple(
        _band(policy, method, (rows.first, first, last), (columns.first, across)) for first, last in pairwise(cuts)
    )


def _reached(axis: Axis, method: Method, length: int) -> NDArray[np.int64]:
    """The photosites along one axis that taps fall in, margins mirrored."""
    return mirrored(axis.first * method.grain - method.reach, axis.last * method.grain + method.reach, length)


def _band(policy: Policy, method: Method, span: tuple[int, int, int], across: tuple[int, NDArray[np.int64]]) -> Band:
    """One band: ``span`` is the window's first row and the band's rows in it, ``across`` the same for columns."""
    origin, first, last = span
    left, columns = across
    top = origin + first
    down = mirrored(top * method.grain - method.reach, (origin + last) * method.grain + method.reach, policy.height)
    area = Area(int(down.min()), int(down.max()) + 1, int(columns.min()), int(columns.max()) + 1)
    width = area.last_column - area.first_column
    row_starts = ((down - area.first_row) * width).astype(np.int32)
    phases = [2 * ((y + top * method.grain) & 1) + ((x + left * method.grain) & 1) for y in (0, 1) for x in (0, 1)]
    arrays = (
        row_starts,
        (columns - area.first_column).astype(np.int32),
        demosaic.phase_colours(policy.cfa)[phases],
    )
    for array in arrays:
        array.flags.writeable = False
    return Band(first, last, area, *arrays)
