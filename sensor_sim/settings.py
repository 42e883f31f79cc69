"""How a camera exposes, and what its pixels are like: plain values, checked when made."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from typing import Any

from adc_firmware import Converter
from sensor_sim.colour import ColourMatrix
from sensor_sim.errors import SettingsError

MAX_SHUTTER_US = 2**32 - 1
MAX_GAIN = 1000.0
MAX_ELECTRONS = 1e9
MAX_ILLUMINATION = 1e6
SEED_BITS = 64
MAX_FRAME = 2**63 - 1
TEMPERATURES = (-100.0, 150.0)
MIN_EFFICIENCY = 0.02  # so that white balance stays within what a frame header can state


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a parameter may be.

    Attributes:
        low, high: the least and the greatest value.
        whole: only whole numbers.
        optional: None says that there is no such thing.
    """

    low: float
    high: float
    whole: bool = False
    optional: bool = False

    def admit(self, value: Any) -> bool:
        """Whether the parameter may have this value."""
        if value is None:
            return self.optional
        return _whole(value, self.low, self.high) if self.whole else _real(value, self.low, self.high)

    def __str__(self) -> str:
        return f"{'a whole number ' if self.whole else ''}{self.low:.10g} to {self.high:.10g}"


def parameter(default: float | None, low: float, high: float, *, whole: bool = False, optional: bool = False) -> Any:
    """A field of a dataclass that calls :func:`check_bounds` when it is made."""
    return field(default=default, metadata={"bounds": Bounds(low, high, whole, optional)})


def check_bounds(thing: Any) -> None:
    """Raise SettingsError, which names the field, unless every parameter of a dataclass is within its bounds."""
    for each in fields(thing):
        bounds, value = each.metadata.get("bounds"), getattr(thing, each.name)
        if bounds is not None and not bounds.admit(value):
            raise SettingsError(f"{each.name} {value!r:.40} is not {bounds}")


@dataclass(frozen=True, slots=True)
class CameraSettings:
    """How to expose.

    Attributes:
        shutter_us: exposure time, microseconds.
        gain: analogue gain; takes effect in thousandths, as frame headers state it.
        noise: shot noise and read noise; without, a frame has its expected values exactly.  Fixed
            patterns are no noise: a sensor always has its own.
        seed: 64 bits that fix the noise; None draws new ones whenever a camera is opened.
        illumination: factor on the scene's light.
        temperature_c: of the sensor, degrees Celsius; the dark current follows it.

    Light scenes alone are exposed.  DN enter as they are; shutter and gain then only go into the
    header.  Raises SettingsError when constructed with values out of range.
    """

    shutter_us: int = 10_000
    gain: float = 1.0
    noise: bool = True
    seed: int | None = None
    illumination: float = 1.0
    temperature_c: float = 25.0

    def __post_init__(self) -> None:
        _check(_whole(self.shutter_us, 1, MAX_SHUTTER_US), f"shutter {self.shutter_us} is not 1 to {MAX_SHUTTER_US} us")
        _check(_real(self.gain, 0.001, MAX_GAIN), f"gain {self.gain} is not 0.001 to {MAX_GAIN:g}")
        _check(self.seed is None or _whole(self.seed, 0, 2**SEED_BITS - 1), f"seed {self.seed} is not 0 to 2**64 - 1")
        _check(_real(self.illumination, 0, MAX_ILLUMINATION), f"illumination {self.illumination} is not 0 to 1e6")
        _check(_real(self.temperature_c, *TEMPERATURES), f"temperature {self.temperature_c} is not -100 to 150 C")

    @property
    def gain_milli(self) -> int:
        """The gain in thousandths."""
        return round(1000 * self.gain)


@dataclass(frozen=True, slots=True)
class PixelModel:
    """What photosites are like; without arguments, those of the ideal sensor.

    Attributes:
        full_well_e: electrons at saturation.
        read_noise_e: standard deviation of the read noise, electrons.
        conversion_gain_uv: microvolts an electron makes.
        nominal_shutter_us: exposure time to which ``nominal_photons`` belong.
        nominal_photons: photons that a radiance of 1.0 brings to a photosite in that time.
        qe_red, qe_green, qe_blue: electrons a photon makes under each filter; None for a sensor
            that is made without filters only.
        qe_mono: the same without filter; None for a sensor that is made with filters only.
        xyz_to_camera: nine numbers by rows, CIE XYZ to the colours of the filters under D65
            (:func:`sensor_sim.colour.srgb_to_filters`); None for filters that see one primary of sRGB each.
        pitch_um: side of a photosite, micrometres; None if it is not known.
        dark_current_e_s: electrons a second that come without light, at ``dark_reference_c``.
        dark_reference_c: degrees Celsius.
        dark_doubling_c: rise in temperature that doubles the dark current, kelvins.
        prnu: standard deviation of the photosites' response, relative to its mean.
        dsnu_pixel_e, dsnu_row_e, dsnu_column_e: standard deviations of the offsets of photosites,
            rows and columns, electrons.

    Raises SettingsError when constructed with values out of range.
    """

    full_well_e: float = parameter(10_000.0, 1, MAX_ELECTRONS)
    read_noise_e: float = parameter(2.5, 0, MAX_ELECTRONS)
    conversion_gain_uv: float = parameter(100.0, 1e-6, 1e9)
    nominal_shutter_us: int = parameter(10_000, 1, MAX_SHUTTER_US, whole=True)
    nominal_photons: float = parameter(10_000.0, 1, MAX_ELECTRONS)
    qe_red: float | None = parameter(1.0, MIN_EFFICIENCY, 1, optional=True)
    qe_green: float | None = parameter(1.0, MIN_EFFICIENCY, 1, optional=True)
    qe_blue: float | None = parameter(1.0, MIN_EFFICIENCY, 1, optional=True)
    qe_mono: float | None = parameter(1.0, MIN_EFFICIENCY, 1, optional=True)
    xyz_to_camera: tuple[float, ...] | None = field(default=None, metadata={"bounds": ColourMatrix()})
    pitch_um: float | None = field(default=None, metadata={"bounds": Bounds(0.1, 1000, optional=True)})
    dark_current_e_s: float = parameter(0.0, 0, MAX_ELECTRONS)
    dark_reference_c: float = parameter(25.0, *TEMPERATURES)
    dark_doubling_c: float = parameter(8.0, 1, 100)
    prnu: float = parameter(0.0, 0, 0.1)
    dsnu_pixel_e: float = parameter(0.0, 0, MAX_ELECTRONS)
    dsnu_row_e: float = parameter(0.0, 0, MAX_ELECTRONS)
    dsnu_column_e: float = parameter(0.0, 0, MAX_ELECTRONS)

    def __post_init__(self) -> None:
        matrix: Any = self.xyz_to_camera
        if isinstance(matrix, list):  # as TOML has it
            object.__setattr__(self, "xyz_to_camera", tuple(matrix))
        check_bounds(self)
        filtered = [qe for qe in (self.qe_red, self.qe_green, self.qe_blue) if qe is not None]
        _check(len(filtered) in (0, 3), "qe_red, qe_green and qe_blue go together: give all three or none")
        _check(bool(filtered) or self.qe_mono is not None, "no quantum efficiency is given, neither mono nor in colour")

    @property
    def patterned(self) -> bool:
        """Whether photosites, rows or columns differ at all."""
        return any((self.prnu, self.dsnu_pixel_e, self.dsnu_row_e, self.dsnu_column_e))

    def dark_e(self, shutter_us: float, temperature_c: float) -> float:
        """Mean dark charge of an exposure, electrons (EMVA 1288 Release 4.0, dark current)."""
        doublings = (temperature_c - self.dark_reference_c) / self.dark_doubling_c
        return self.dark_current_e_s * 2.0**doublings * shutter_us * 1e-6

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
    """Whence the random numbers of one exposure come.

    Attributes:
        seed: of the noise.
        frame: number of the frame under that seed.
        serial: number of the individual sensor, which fixes its patterns.
    """

    seed: int
    frame: int
    serial: int = 0

    def __post_init__(self) -> None:
        _check(_whole(self.seed, 0, 2**SEED_BITS - 1), f"seed {self.seed} is not 0 to 2**64 - 1")
        _check(_whole(self.frame, 0, MAX_FRAME), f"frame number {self.frame} is not 0 to 2**63 - 1")
        _check(_whole(self.serial, 0, 2**SEED_BITS - 1), f"serial number {self.serial} is not 0 to 2**64 - 1")


def _whole(value: Any, low: float, high: float) -> bool:
    return type(value) is int and low <= value <= high


def _real(value: Any, low: float, high: float) -> bool:
    return isinstance(value, int | float) and type(value) is not bool and math.isfinite(value) and low <= value <= high


def _check(holds: bool, message: str) -> None:
    if not holds:
        raise SettingsError(message)
