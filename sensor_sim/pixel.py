"""The pixel: light to electrons to volts (docs/sensor.md).

For a sample with quantum efficiency qe, filter response f (on red, green and blue), light L,
shutter t, illumination E, temperature T and analogue gain g, with n standard normal numbers that
belong to the sensor, and N, Poisson numbers that are new in every frame::

    photons   = nominal_photons * (t / nominal_shutter) * E * (f . L)
    dark      = dark_current * 2 ** ((T - reference) / doubling) * t                e-
    mean      = qe * photons * (1 + prnu * n_sample) + dark                         e-
    electrons = min(Poisson(mean), full_well) + read_noise * N(0, 1)                e-
    offset    = dsnu_pixel * n'_sample + dsnu_row * n_row + dsnu_column * n_column  e-
    volts     = (electrons + offset) * conversion_gain * g                          V

Without noise, electrons = min(mean, full_well).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from adc_firmware import AnalogSource
from adc_firmware.addressing import PART_PHOTOSITES
from keyvault.errors import PolicyError
from keyvault.policy import Cfa, Policy
from keyvault.threads import each
from sensor_sim import _kernels as kernels
from sensor_sim.colour import srgb_to_filters
from sensor_sim.pattern import FixedPattern
from sensor_sim.scene import DnScene, LightScene, Scene
from sensor_sim.settings import CameraSettings, PixelModel, Shot

LUMINANCE = (0.2126, 0.7152, 0.0722)  # ITU-R BT.709


@dataclass(frozen=True, slots=True, eq=False)
class ExposedArray:
    """Photosites after an exposure: an :class:`adc_firmware.AnalogSource` of float32 volts.

    Rows are computed when they are read, so no more than a block of volts exists at a time.
    """

    scene: LightScene
    policy: Policy
    settings: CameraSettings
    pixel: PixelModel
    shot: Shot

    @property
    def shape(self) -> tuple[int, ...]:
        """(h, w) or (h, w, 3)."""
        plane = (self.policy.height, self.policy.width)
        return plane if self.policy.samples_per_photosite == 1 else (*plane, 3)

    @property
    def black_level(self) -> int:
        """DN of no light."""
        return self.pixel.converter(self.policy.bits).black_level

    @property
    def white_level(self) -> int:
        """DN of saturation."""
        return int(2**self.policy.bits - 1)

    def rows(self, first: int, last: int) -> NDArray[np.float32]:
        """Volts of rows first .. last - 1: (rows, w) or (rows, w, 3)."""
        policy, pixel = self.policy, self.pixel
        if not 0 <= first <= last <= policy.height:
            raise IndexError(f"rows {first} to {last} of an array of {policy.height}")
        mix, model, noise = self._electrons(), self._model(), self._noise()
        pattern = FixedPattern(pixel, self.shot.serial)
        spread = (pixel.patterned, np.uint64(self.shot.serial), float(pixel.prnu), float(pixel.dsnu_pixel_e))
        row_part, column_part = pattern.rows(first, last), pattern.columns(policy.width)
        out = np.empty((last - first, policy.samples_per_photosite, policy.width), np.float32)  # channels in planes
        strip = max(1, PART_PHOTOSITES // policy.width)

        def expose_strip(low: int) -> None:
            high = min(last, low + strip)
            here = slice(low - first, high - first)
            fixed = (*spread, row_part[here], column_part)
            kernels.expose(self.scene.radiance[low:high], mix, model, noise, fixed, low, out[here])

        each(expose_strip, range(first, last, strip))
        return np.ascontiguousarray(out.transpose(0, 2, 1)).reshape(last - first, *self.shape[1:])

    def _electrons(self) -> NDArray[np.float64]:
        """Mean electrons of each sample for a radiance of 1.0: (2, 2, samples, 3)."""
        pixel, settings = self.pixel, self.settings
        photons = pixel.nominal_photons * settings.shutter_us / pixel.nominal_shutter_us * settings.illumination
        return photons * response(self.policy, pixel)

    def _model(self) -> tuple[float, float, float, float]:
        pixel, settings = self.pixel, self.settings
        volts = pixel.conversion_gain_uv * 1e-6 * settings.gain_milli / 1000
        dark = pixel.dark_e(settings.shutter_us, settings.temperature_c)
        return float(pixel.full_well_e), float(pixel.read_noise_e), volts, dark

    def _noise(self) -> tuple[bool, np.uint64, int]:
        return self.settings.noise, np.uint64(self.shot.seed), self.shot.frame


@dataclass(frozen=True, slots=True, eq=False)
class DnArray:
    """DN on their way to the converter: an :class:`adc_firmware.AnalogSource` of uint16."""

    scene: DnScene

    @property
    def shape(self) -> tuple[int, ...]:
        """(h, w) or (h, w, 3)."""
        return self.scene.dn.shape

    @property
    def black_level(self) -> int:
        """DN of no light."""
        return self.scene.black_level

    @property
    def white_level(self) -> int:
        """DN of saturation."""
        return self.scene.white_level

    def rows(self, first: int, last: int) -> NDArray[np.uint16]:
        """DN of rows first .. last - 1."""
        return self.scene.dn[first:last]


def expose(scene: Scene, policy: Policy, settings: CameraSettings, pixel: PixelModel, shot: Shot) -> AnalogSource:
    """Put a sensor of this policy in front of a scene, and expose it.

    Raises:
        PolicyError: the scene does not fit the sensor, or the sensor is not made with such filters.
    """
    scene.check_fits(policy)
    response(policy, pixel)
    if isinstance(scene, DnScene):
        return DnArray(scene)
    return ExposedArray(scene, policy, settings, pixel, shot)


def white_balance(scene: Scene, policy: Policy, pixel: PixelModel) -> tuple[int, int, int]:
    """Gains of red, green and blue that make white grey, 1024 for 1.0; a file with DN states its own."""
    if isinstance(scene, DnScene):
        return scene.white_balance
    red, green, blue = _efficiencies(policy, pixel)
    return round(1024 * green / red), 1024, round(1024 * green / blue)


def response(policy: Policy, pixel: PixelModel) -> NDArray[np.float64]:
    """Electrons of each sample for a photon of red, green and blue light: (2, 2, samples, 3), rows of the quad first.

    Light that a filter sees negatively, by its colour matrix, counts against light of other primaries.

    Raises:
        PolicyError: there is no such sensor without filters, or none with them.
    """
    efficiencies = np.diag(_efficiencies(policy, pixel))
    if policy.samples_per_photosite == 1 and policy.cfa is Cfa.NONE:
        return np.broadcast_to(efficiencies @ np.array(LUMINANCE), (2, 2, 1, 3)).copy()
    filtered = efficiencies @ srgb_to_filters(pixel.xyz_to_camera)
    if policy.samples_per_photosite == 3:
        return np.broadcast_to(filtered, (2, 2, 3, 3)).copy()
    return filtered[["RGB".index(colour) for colour in policy.cfa]].reshape(2, 2, 1, 3)


def _efficiencies(policy: Policy, pixel: PixelModel) -> tuple[float, float, float]:
    """Quantum efficiencies for red, green and blue light; a monochrome sensor has one for all."""
    mono = policy.cfa is Cfa.NONE and policy.samples_per_photosite == 1
    found = (pixel.qe_mono,) * 3 if mono else (pixel.qe_red, pixel.qe_green, pixel.qe_blue)
    red, green, blue = found
    if red is None or green is None or blue is None:
        kind, other = ("monochrome", "with --cfa RGGB") if mono else ("colour", "with --cfa none")
        raise PolicyError(
            f"the sensor is not made as a {kind} one, which the key is for",
            hint=f"issue a key {other}, or choose another profile",
        )
    return red, green, blue
