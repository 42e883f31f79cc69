"""The pixel: light to electrons to volts (docs/sensor.md).

For a photosite under filter c, radiance L_c, shutter t, illumination E and analogue gain g::

    mean      = full_well * (t / nominal_shutter) * E * L_c            e-
    electrons = min(Poisson(mean), full_well) + read_noise * N(0, 1)   e-
    volts     = electrons * conversion_gain * g                        V

Without noise, electrons = min(mean, full_well).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from adc_firmware import AnalogSource
from adc_firmware.addressing import PART_PHOTOSITES
from keyvault.policy import Cfa, Policy
from keyvault.threads import each
from sensor_sim import _kernels as kernels
from sensor_sim.scene import NEUTRAL, DnScene, LightScene, Scene
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
        policy, settings, pixel = self.policy, self.settings, self.pixel
        if not 0 <= first <= last <= policy.height:
            raise IndexError(f"rows {first} to {last} of an array of {policy.height}")
        electrons = pixel.full_well_e * settings.shutter_us / pixel.nominal_shutter_us * settings.illumination
        volts = pixel.conversion_gain_uv * 1e-6 * settings.gain_milli / 1000
        mix = electrons * filters(policy)
        model = (float(pixel.full_well_e), float(pixel.read_noise_e), volts)
        noise = (settings.noise, np.uint64(self.shot.seed), self.shot.frame)
        out = np.empty((last - first, policy.width, policy.samples_per_photosite), np.float32)

        def expose_strip(low: int) -> None:
            high = min(last, low + strip)
            kernels.expose(self.scene.radiance[low:high], mix, model, noise, low, out[low - first : high - first])

        strip = max(1, PART_PHOTOSITES // policy.width)
        each(expose_strip, range(first, last, strip))
        return out.reshape(last - first, *self.shape[1:])


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
        PolicyError: the scene does not fit the sensor.
    """
    scene.check_fits(policy)
    if isinstance(scene, DnScene):
        return DnArray(scene)
    return ExposedArray(scene, policy, settings, pixel, shot)


def white_balance(scene: Scene) -> tuple[int, int, int]:
    """Gains of red, green and blue that make white grey; the simulated filters are balanced."""
    return scene.white_balance if isinstance(scene, DnScene) else NEUTRAL


def filters(policy: Policy) -> NDArray[np.float64]:
    """Response of each sample to red, green and blue light: (2, 2, samples, 3), rows of the quad first."""
    if policy.samples_per_photosite == 3:
        return np.broadcast_to(np.eye(3), (2, 2, 3, 3)).copy()
    if policy.cfa is Cfa.NONE:
        return np.broadcast_to(np.array(LUMINANCE), (2, 2, 1, 3)).copy()
    return np.eye(3)[["RGB".index(colour) for colour in policy.cfa]].reshape(2, 2, 1, 3)
