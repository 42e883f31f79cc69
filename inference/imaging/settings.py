"""What the keyed ISP is asked to do."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from math import isfinite

from inference.errors import InputMismatchError
from keyvault.policy import MAX_SIDE

Triple = tuple[float, float, float]


class Demosaic(StrEnum):
    """How a Bayer mosaic becomes RGB; sensors without a colour filter array need none.

    ``quad`` makes one pixel of each 2 x 2 quad (half the size), ``bilinear`` averages the
    nearest samples of each colour, ``malvar`` adds the gradient correction of Malvar, He and
    Cutler, "High-quality linear interpolation for demosaicing of Bayer-patterned color images"
    (ICASSP 2004).
    """

    QUAD = "quad"
    BILINEAR = "bilinear"
    MALVAR = "malvar"


class Gamma(StrEnum):
    """Transfer function: that of sRGB (IEC 61966-2-1), or none."""

    SRGB = "srgb"
    NONE = "none"


class Fit(StrEnum):
    """How an image of another aspect ratio becomes ``size``."""

    STRETCH = "stretch"
    CENTRE_CROP = "centre-crop"


@dataclass(frozen=True, slots=True)
class IspSettings:
    """Settings of :func:`inference.isp`.

    Attributes:
        size: (height, width) of the result; None keeps the demosaiced size.
        demosaic, gamma: see :class:`Demosaic` and :class:`Gamma`.
        mean, std: of each channel, subtracted and divided by at the end; both or neither.
        fit: ``stretch`` scales the whole image to ``size``; ``centre-crop`` scales it with its
            aspect ratio kept and takes the window of ``size`` in the middle.
        short_side: with ``centre-crop``, the shorter side after scaling and before cropping;
            None means just large enough for ``size``.
        keep_order: leave samples at their stored positions, so that the layout is the frame's
            own permutation (the setting of the paper's Eq. 1).  Only where the ISP moves
            nothing: no colour filter array and no resize.

    Strings are accepted for the enumerations.  Raises InputMismatchError when constructed with
    values that do not go together.
    """

    size: tuple[int, int] | None = None
    demosaic: Demosaic = Demosaic.BILINEAR
    gamma: Gamma = Gamma.SRGB
    mean: Triple | None = None
    std: Triple | None = None
    fit: Fit = Fit.STRETCH
    short_side: int | None = None
    keep_order: bool = False

    def __post_init__(self) -> None:
        for name, kind in (("demosaic", Demosaic), ("gamma", Gamma), ("fit", Fit)):
            try:
                object.__setattr__(self, name, kind(getattr(self, name)))
            except ValueError as error:
                known = ", ".join(kind)
                raise InputMismatchError(f"{name} {getattr(self, name)!r} is not one of {known}") from error
        _check_size(self)
        _check_normalisation(self)


def _check_size(settings: IspSettings) -> None:
    sides = settings.size or ()
    if settings.size is not None and len(sides) != 2:
        raise InputMismatchError(f"size {settings.size} is not (height, width)")
    if settings.short_side is not None:
        sides = (*sides, settings.short_side)
        if settings.fit is not Fit.CENTRE_CROP or settings.size is None or settings.short_side < min(settings.size):
            raise InputMismatchError(
                f"short side {settings.short_side} needs a centre crop to a size that is not larger",
                hint="give size and fit='centre-crop' with it",
            )
    if any(not 1 <= side <= MAX_SIDE for side in sides):
        raise InputMismatchError(f"size {sides} is outside 1 to {MAX_SIDE}")
    if settings.keep_order and settings.size is not None:
        raise InputMismatchError("a resize cannot keep the stored order", hint="leave size or keep_order out")


def _check_normalisation(settings: IspSettings) -> None:
    mean, std = settings.mean, settings.std
    if mean is None and std is None:
        return
    if mean is None or std is None or len(mean) != 3 or len(std) != 3:
        raise InputMismatchError(f"mean {mean} and std {std} are not three values each")
    if not all(isfinite(value) for value in (*mean, *std)) or not all(value > 0 for value in std):
        raise InputMismatchError(f"mean {mean} and std {std} are not finite, or std is not above 0")
    for name, triple in (("mean", mean), ("std", std)):
        object.__setattr__(settings, name, tuple(map(float, triple)))
