"""The camera: a scene, a sensor in front of it, and the chip that alone reads it out."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from adc_firmware import Exposure, PrivateFrame, SecureAdc
from keyvault.device import Device
from keyvault.grant import Grant
from sensor_sim.errors import CameraStateError
from sensor_sim.keys import KeySource, open_newest
from sensor_sim.loading import load_scene
from sensor_sim.pattern import serial_number
from sensor_sim.pixel import expose, response, white_balance
from sensor_sim.scene import Scene
from sensor_sim.sensor_profile import SensorProfile, load_profile
from sensor_sim.settings import SEED_BITS, CameraSettings, Shot


@dataclass(slots=True)
class _Session:
    """What a camera has while it is open."""

    grant: Grant
    chip: SecureAdc
    scene: Scene
    profile: SensorProfile
    seed: int
    serial: int
    frames: int = 0


class Camera:
    """A simulated camera whose chip opens a sealed key; frames come from it private only.

    Everything is checked on entering: the key is verified and opened, the scene is loaded and
    held against the key's geometry.  On leaving, the camera forgets both.

    >>> with Camera("sealed.bin") as camera:  # doctest: +SKIP
    ...     frame = camera.capture()

    Args:
        key: sealed key file, folder of them, or several; the newest epoch valid now is used.
        scene: a scene, an image or raw file, or None for the built-in chart.
        device: the sensor's device file; None takes the one in this user's home.
        settings: how to expose.
        profile: what the sensor is like: a profile, its name or its file; None for the ideal one.
    """

    def __init__(
        self,
        key: KeySource,
        *,
        scene: Scene | Path | str | None = None,
        device: Device | Path | str | None = None,
        settings: CameraSettings | None = None,
        profile: SensorProfile | Path | str | None = None,
    ) -> None:
        self._key = key
        self._scene = scene
        self._device = device
        self.settings = settings or CameraSettings()
        self._profile = profile
        self._session: _Session | None = None

    def __enter__(self) -> Self:
        """Open key, scene and profile.

        Raises:
            SettingsError: the sensor does not take this exposure time or gain.
            PolicyError: the sensor is not made with the filters that the key is for.
            PrivcamError: as :func:`open_newest`, :func:`load_scene` and :func:`load_profile` do.
        """
        if self._session is not None:
            raise CameraStateError("this camera is open already", hint="make another Camera for a second session")
        profile = load_profile(self._profile)
        profile.readout.check(self.settings)
        opened, device = open_newest(self._key, self._device)
        policy = opened.grant.policy
        response(policy, profile.pixel)
        scene = load_scene(self._scene, policy)
        chip = SecureAdc(opened, device.signer, profile.pixel.converter(policy.bits))
        seed = secrets.randbits(SEED_BITS) if self.settings.seed is None else self.settings.seed
        self._session = _Session(opened.grant, chip, scene, profile, seed, serial_number(opened.grant.sensor))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._session = None

    @property
    def grant(self) -> Grant:
        """The public claims of the key in use."""
        return self._open().grant

    @property
    def scene(self) -> Scene:
        """The scene in front of the camera."""
        return self._open().scene

    @property
    def profile(self) -> SensorProfile:
        """What the sensor is like."""
        return self._open().profile

    @property
    def serial(self) -> int:
        """The sensor's serial number, which fixes its patterns; it follows from its enrolled name."""
        return self._open().serial

    @property
    def seed(self) -> int:
        """The seed of the noise in use."""
        return self._open().seed

    def capture(self, scene: Scene | None = None, *, number: int | None = None) -> PrivateFrame:
        """Expose and read out one frame.

        Args:
            scene: another scene for this frame alone.
            number: which noise it gets under the seed; None counts the frames of this session.

        Raises:
            CameraStateError: outside the camera's ``with``.
            PolicyError: ``scene`` does not fit the sensor.
            SampleRangeError: a DN of the scene is 2**bits or more.
        """
        session = self._open()
        seen = session.scene if scene is None else scene
        shot = Shot(session.seed, session.frames if number is None else number, session.serial)
        source = expose(seen, session.grant.policy, self.settings, session.profile.pixel, shot)
        session.frames += 1
        return session.chip.read_out(source, self._exposure(seen))

    def frames(self, count: int) -> Iterator[PrivateFrame]:
        """Capture ``count`` frames, each when it is asked for."""
        for _ in range(count):
            yield self.capture()

    def _exposure(self, scene: Scene) -> Exposure:
        session = self._open()
        return Exposure(
            exposure_us=self.settings.shutter_us,
            gain_milli=self.settings.gain_milli,
            white_balance=white_balance(scene, session.grant.policy, session.profile.pixel),
            timestamp_ns=time.time_ns(),
        )

    def _open(self) -> _Session:
        if self._session is None:
            raise CameraStateError("this camera is not open", hint="use it inside: with Camera(...) as camera")
        return self._session
