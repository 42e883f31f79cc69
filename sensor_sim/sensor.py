"""The sensor: pixels of a profile, and the chip that has opened one epoch's key."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from adc_firmware import Exposure, PrivateFrame, SecureAdc
from adc_firmware.converter import VoltsConverter
from keyvault.errors import InputError, PolicyError
from keyvault.grant import Grant
from sensor_sim.keys import KeyPlace
from sensor_sim.pattern import serial_number
from sensor_sim.pixel import expose, response, white_balance
from sensor_sim.scene import Scene
from sensor_sim.sensor_profile import SensorProfile
from sensor_sim.settings import SEED_BITS, CameraSettings, Shot


@dataclass(frozen=True, slots=True)
class Take:
    """One exposure.

    Attributes:
        settings: how to expose.
        number: which noise it gets under the seed.
        timestamp_ns: its start, nanoseconds since 1970.
    """

    settings: CameraSettings
    number: int
    timestamp_ns: int


@dataclass(frozen=True, slots=True, eq=False)
class Sensor:
    """A sensor that is powered up; with another key it is another value (:meth:`with_key`).

    Attributes:
        grant: the public claims of the key in use.
        issuer: public key of the vault that it is of.
        chip: has opened that key.
        profile: what the sensor is like.
        converter: of the chip.
        seed: of the noise.
        serial: fixes the patterns; follows from the sensor's enrolled name.
    """

    grant: Grant
    issuer: Ed25519PublicKey
    chip: SecureAdc
    profile: SensorProfile
    converter: VoltsConverter
    seed: int
    serial: int

    @classmethod
    def power_up(cls, place: KeyPlace, profile: SensorProfile, settings: CameraSettings) -> Self:
        """Open the newest key that is valid now.

        Raises:
            SettingsError: the sensor does not take this exposure time or gain.
            PolicyError: the sensor is not made with the filters that the key is for.
            PrivcamError: as :func:`open_newest` does.
        """
        profile.readout.check(settings)
        opened, owner = place.open()
        policy = opened.grant.policy
        response(policy, profile.pixel)
        serial = serial_number(opened.grant.sensor)
        converter = profile.converter(policy, serial)
        chip = SecureAdc(opened, owner.signer, converter)
        seed = secrets.randbits(SEED_BITS) if settings.seed is None else settings.seed
        return cls(opened.grant, owner.issuer, chip, profile, converter, seed, serial)

    def with_key(self, place: KeyPlace) -> Self:
        """The same sensor with the newest key that is valid now; itself if that is the one in use.

        Its chip is a new one: session and counter start anew.

        Raises:
            InputError: the key is for another sensor, or of an epoch that is not newer.
            PolicyError: it is for other frames.
            PrivcamError: as :func:`open_newest` does; also if the device file has gone, or is not
                the one any more that the key was sealed for.
        """
        opened, owner = place.open(self._check_next)
        if opened.grant.key_id == self.grant.key_id:
            return self
        chip = SecureAdc(opened, owner.signer, self.converter)
        return replace(self, grant=opened.grant, issuer=owner.issuer, chip=chip)

    def _check_next(self, new: Grant) -> None:
        """Refuse a key that cannot follow the one in use, before it counts as used."""
        old = self.grant
        if new.key_id == old.key_id:
            return
        if new.sensor != old.sensor:
            raise InputError(
                f"the new key is for sensor {new.sensor}, this is {old.sensor}", hint="open another camera for it"
            )
        if new.policy != old.policy:
            raise PolicyError(
                f"epoch {new.epoch} of sensor {new.sensor} has another policy than epoch {old.epoch}, which is in use",
                hint="stop, and open the camera anew: frames of one stream are all alike",
            )
        if new.epoch <= old.epoch:
            raise InputError(
                f"the new key is epoch {new.epoch} of sensor {new.sensor}; epoch {old.epoch} is in use",
                hint="a newer one is needed: keyvault issue",
            )

    def read_out(self, scene: Scene, take: Take, numbered: Callable[[], object] | None = None) -> PrivateFrame:
        """Expose and read out one frame.

        Args:
            scene: what is in front.
            take: how, when, and with which noise.
            numbered: called once the chip has numbered the frame.

        Raises:
            PolicyError: the scene does not fit the sensor.
            SampleRangeError: a DN of the scene is 2**bits or more.
        """
        policy, pixel = self.grant.policy, self.profile.pixel
        source = expose(scene, policy, take.settings, pixel, Shot(self.seed, take.number, self.serial))
        exposure = Exposure(
            exposure_us=take.settings.shutter_us,
            gain_milli=take.settings.gain_milli,
            white_balance=white_balance(scene, policy, pixel),
            timestamp_ns=take.timestamp_ns,
        )
        return self.chip.read_out(source, exposure, numbered)

    def shortest_us(self, settings: CameraSettings) -> float:
        """The shortest time from frame to frame, microseconds."""
        return self.profile.readout.frame_us(self.grant.policy.height, settings.shutter_us)
