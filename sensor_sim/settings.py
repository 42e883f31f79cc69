"""How a camera exposes, and what its pixels are like: plain values, checked when made."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from adc_firmware import Converter
from sensor_sim.errors import SettingsError

MAX_SHUTTER_US = 2**32 - 1
MAX_GAIN = 1000.0
MAX_ELECTRONS = 1e9
SEED_BITS = 64
MAX_FRAME = 2**63 - 1


@dataclass(frozen=True, slots=True)
class CameraSettings:
    """How to expose.

    Attributes:
        shutter_us: exposure time, microseconds.
        gain: analogue gain; takes effect in thousandths, as frame headers state it.
        noise: shot noise and read noise; without, a frame has its expected values exactly.
        seed: 64 bits that fix the noise; None draws new ones whenever a camera is opened.
        illumination: factor on the scene's light.

    Light scenes alone are exposed.  DN enter as they are; shutter and gain then only go into the
    header.  Raises SettingsError when constructed with values out of range.
    """

    shutter_us: int = 10_000
    gain: float = 1.0
    noise: bool = True
    seed: int | None = None
    illumination: float = 1.0

    def __post_init__(self) -> None:
        _check(_whole(self.shutter_us, 1, MAX_SHUTTER_US), f"shutter {self.shutter_us} is not 1 to {MAX_SHUTTER_US} us")
        _check(_real(self.gain, 0.001, MAX_GAIN), f"gain {self.gain} is not 0.001 to {MAX_GAIN:g}")
        _check(self.seed is None or _whole(self.seed, 0, 2**SEED_BITS - 1), f"seed {self.seed} is not 0 to 2**64 - 1")
        _check(_real(self.illumination, 0, 1e6), f"illumination {self.illumination} is not 0 to 1e6")

    @property
    def gain_milli(self) -> int:
        """The gain in thousandths."""
        return round(1000 * self.gain)


@dataclass(frozen=True, slots=True)
class PixelModel:
    """What a photosite is like; the same for all of them.

    Attributes:
        full_well_e: electrons at saturation.
        read_noise_e: standard deviation of the read noise, electrons.
        conversion_gain_uv: microvolts an electron makes.
        nominal_shutter_us: exposure time at which a radiance of 1.0 fills the well.

    Raises SettingsError when constructed with values out of range.
    """

    full_well_e: float = 10_000.0
    read_noise_e: float = 2.5
    conversion_gain_uv: float = 100.0
    nominal_shutter_us: int = 10_000

    def __post_init__(self) -> None:
        _check(_real(self.full_well_e, 1, MAX_ELECTRONS), f"full well {self.full_well_e} is not 1 to 1e9 e-")
        _check(_real(self.read_noise_e, 0, MAX_ELECTRONS), f"read noise {self.read_noise_e} is not 0 to 1e9 e-")
        _check(
            _real(self.conversion_gain_uv, 1e-6, 1e9), f"conversion gain {self.conversion_gain_uv} is not 1e-6 to 1e9"
        )
        _check(
            _whole(self.nominal_shutter_us, 1, MAX_SHUTTER_US),
            f"nominal shutter {self.nominal_shutter_us} is not 1 to {MAX_SHUTTER_US} us",
        )

    def converter(self, bits: int) -> Converter:
        """The converter that suits this pixel: at gain 1 a full well is the highest DN.

        Its black level is 2**bits / 64: 64 at 12 bits, room for the read noise of dark photosites.
        """
        black = 2**bits // 64
        swing = self.full_well_e * self.conversion_gain_uv * 1e-6
        return Converter(bits=bits, black_level=black, gain=(2**bits - 1 - black) / swing)

    def electrons_per_dn(self, bits: int) -> float:
        """Electrons that one DN stands for at gain 1."""
        return 1e6 / (self.conversion_gain_uv * self.converter(bits).gain)


@dataclass(frozen=True, slots=True)
class Shot:
    """One exposure's noise: which seed, and the number of the frame under that seed."""

    seed: int
    frame: int

    def __post_init__(self) -> None:
        _check(_whole(self.seed, 0, 2**SEED_BITS - 1), f"seed {self.seed} is not 0 to 2**64 - 1")
        _check(_whole(self.frame, 0, MAX_FRAME), f"frame number {self.frame} is not 0 to 2**63 - 1")


def _whole(value: Any, low: int, high: int) -> bool:
    return type(value) is int and low <= value <= high


def _real(value: Any, low: float, high: float) -> bool:
    return isinstance(value, int | float) and math.isfinite(value) and low <= value <= high


def _check(holds: bool, message: str) -> None:
    if not holds:
        raise SettingsError(message)
