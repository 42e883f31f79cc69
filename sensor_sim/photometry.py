"""Lux and photons as the light of a scene: what photographers and lighting engineers measure.

White light is CIE standard illuminant D65.  The weights that a lux gives to wavelengths are the CIE
1924 luminous efficiency function V (ISO/CIE 23539), with K_m = 683 lm/W.
"""

from __future__ import annotations

import math
import re

from sensor_sim.errors import SettingsError
from sensor_sim.settings import PixelModel

_FIRST_NM, _STEP_NM = 400, 10
_D65 = (  # relative spectral power, 400 to 700 nm (ISO/CIE 11664-2)
    82.7549, 91.4860, 93.4318, 86.6823, 104.865, 117.008, 117.812, 114.861, 115.923, 108.811,
    109.354, 107.802, 104.790, 107.689, 104.405, 104.046, 100.000, 96.3342, 95.7880, 88.6856,
    90.0062, 89.5991, 87.6987, 83.2886, 83.6992, 80.0268, 80.2146, 82.2778, 78.2842, 69.7213,
    71.6091,
)  # fmt: skip
_V = (
    0.000396, 0.00121, 0.0040, 0.0116, 0.0230, 0.0380, 0.0600, 0.09098, 0.13902, 0.20802,
    0.3230, 0.5030, 0.7100, 0.8620, 0.9540, 0.99495, 0.9950, 0.9520, 0.8700, 0.7570,
    0.6310, 0.5030, 0.3810, 0.2650, 0.1750, 0.1070, 0.0610, 0.0320, 0.0170, 0.00821,
    0.004102,
)  # fmt: skip
_K_M = 683.0  # lm/W
_HC = 6.62607015e-34 * 299_792_458  # J m
CHANNELS = 3
_FORM = re.compile(r"([0-9][0-9.e+-]*) *(?:(photons)|(lx)(?:@f/?([0-9.]+))?)?", re.ASCII | re.IGNORECASE)


def photons_per_lux_second() -> float:
    """Photons of 400 to 700 nm that a lux second of D65 brings to a square micrometre; about 10,850."""
    wavelengths = [1e-9 * (_FIRST_NM + _STEP_NM * number) for number in range(len(_D65))]
    watts = 1 / (_K_M * sum(power * weight for power, weight in zip(_D65, _V, strict=True)))
    by_length = [power * length / _HC for power, length in zip(_D65, wavelengths, strict=True)]
    photons = sum(by_length) - (by_length[0] + by_length[-1]) / 2  # the band ends where the table does
    return watts * photons * 1e-12


def sensor_lux(scene_lux: float, f_number: float, *, reflectance: float = 1.0, transmission: float = 1.0) -> float:
    """Illuminance behind a lens: E * R * T / (4 N**2), for a diffuse surface far away.

    Args:
        scene_lux: illuminance E of the scene.
        f_number: N of the lens.
        reflectance: R, which a radiance of 1.0 stands for; 1.0 is a diffuse white.
        transmission: T of the lens.

    Raises SettingsError for values that no scene or lens has.
    """
    shares = 0 < reflectance <= 1 and 0 < transmission <= 1
    if not (shares and math.isfinite(f_number) and f_number > 0 and math.isfinite(scene_lux) and scene_lux >= 0):
        raise SettingsError(f"a lens of f/{f_number} under {scene_lux} lux, R {reflectance}, T {transmission} is none")
    return scene_lux * reflectance * transmission / (4 * f_number**2)


def illumination(lux: float, pixel: PixelModel, *, monochrome: bool = False) -> float:
    """:attr:`CameraSettings.illumination` at which a radiance of 1.0 brings ``lux`` to the photosites.

    Each of the three channels gets a third of the photons of white light; a sensor without filters
    (``monochrome``) gets all of them.

    Raises SettingsError if the profile does not say how large its photosites are, or for a negative lux.
    """
    if pixel.pitch_um is None:
        raise SettingsError(
            "the profile does not say how large its photosites are (pitch_um), so lux mean nothing",
            hint="choose another profile, or state the illumination as a factor",
        )
    if not (math.isfinite(lux) and lux >= 0):
        raise SettingsError(f"{lux} lux is not a number from 0 on")
    seconds = pixel.nominal_shutter_us * 1e-6
    photons = lux * seconds * pixel.pitch_um**2 * photons_per_lux_second()
    return photons / (1 if monochrome else CHANNELS) / pixel.nominal_photons


def illumination_of_photons(photons: float, pixel: PixelModel, shutter_us: int) -> float:
    """:attr:`CameraSettings.illumination` at which a radiance of 1.0 is so many photons a photosite and channel.

    Args:
        photons: in the exposure time.
        pixel: of the sensor.
        shutter_us: exposure time, microseconds.

    Raises SettingsError for a negative number.
    """
    if not (math.isfinite(photons) and photons >= 0):
        raise SettingsError(f"{photons} photons is not a number from 0 on")
    return photons * pixel.nominal_shutter_us / shutter_us / pixel.nominal_photons


def parse_illumination(text: str, pixel: PixelModel, shutter_us: int, *, monochrome: bool = False) -> float:
    """:attr:`CameraSettings.illumination` from a text.

    Args:
        text: ``0.5``, the factor itself; ``40lx`` on the sensor; ``500lx@f1.8`` on the scene, behind a
            lens; ``3000photons`` a photosite and channel in the exposure time.
        pixel: of the sensor.
        shutter_us: exposure time, microseconds.
        monochrome: whether the sensor is without filters.

    Raises SettingsError for other texts, and as :func:`illumination` and :func:`sensor_lux` do.
    """
    found = _FORM.fullmatch(text.strip())
    try:
        if found is None:
            raise ValueError(text)
        value, f_number = float(found[1]), None if found[4] is None else float(found[4])
    except ValueError as error:
        raise SettingsError(
            f"illumination {text!r:.60} is neither a factor nor lux nor photons",
            hint="write 0.5, 40lx (on the sensor), 500lx@f1.8 (on the scene) or 3000photons",
        ) from error
    if found[2]:
        return illumination_of_photons(value, pixel, shutter_us)
    if not found[3]:
        return value
    lux = value if f_number is None else sensor_lux(value, f_number)
    return illumination(lux, pixel, monochrome=monochrome)
