"""The camera: a scene, a sensor in front of it, and the chip that alone reads it out."""

from __future__ import annotations

import time
import weakref
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, Self

from adc_firmware import PrivateFrame
from keyvault.device import Device
from keyvault.grant import Grant
from sensor_sim.buffers import FrameBuffers
from sensor_sim.configuration import StreamConfiguration
from sensor_sim.desk import Callback, Setup
from sensor_sim.errors import CameraStateError
from sensor_sim.feed import SceneFeed
from sensor_sim.keys import KeyPlace, KeySource
from sensor_sim.region import Region
from sensor_sim.request import Request
from sensor_sim.request_source import RequestSource
from sensor_sim.scene import Scene
from sensor_sim.scene_stream import SceneSource, open_scenes
from sensor_sim.sensor import Sensor
from sensor_sim.sensor_profile import SensorProfile, load_profile
from sensor_sim.session import Session
from sensor_sim.settings import CameraSettings
from sensor_sim.stats import StreamStats

_PATIENCE_S = 5.0  # with a scene or callback that does not return, when the program ends


class Camera(RequestSource):
    """A simulated camera whose chip opens a sealed key; frames come from it private only.

    Everything is checked on opening: the key is verified and opened, the first scene is loaded and
    held against the key's geometry.  On closing, the camera forgets both.

    >>> with Camera("sealed.bin") as camera:  # doctest: +SKIP
    ...     camera.configure(frame_rate=30)
    ...     camera.start()
    ...     with camera.capture_request() as request:
    ...         print(request.array("raw").shape, request.metadata["ExposureTime"])

    Without :meth:`start`, :meth:`capture` makes single frames in the caller's own thread.

    Args:
        key: sealed key file, folder of them, or several; the newest epoch valid now is used.
        scene: what :func:`open_scenes` takes: a scene, a file, a folder, a video, several images, a
            live camera; None for the built-in chart.
        region: the part of every scene that the sensor sees; None for all of it.
        device: the sensor's device file; None takes the one in this user's home.
        settings: how to expose.
        profile: what the sensor is like: a profile, its name or its file; None for the ideal one.
        status: the vault's status list; None takes the one in this user's home, if there is one.
    """

    def __init__(
        self,
        key: KeySource,
        *,
        scene: SceneSource = None,
        region: Region | None = None,
        device: Device | Path | str | None = None,
        settings: CameraSettings | None = None,
        profile: SensorProfile | Path | str | None = None,
        status: Path | str | None = None,
    ) -> None:
        self._place = KeyPlace(key, device, status)
        self._scene, self._region = scene, region
        self._settings = settings or CameraSettings()
        self._profile = profile
        self._configuration = StreamConfiguration()
        self._callback: Callback | None = None
        self._session: Session | None = None
        self._buffers: FrameBuffers | None = None  # of the stream that runs, or ran last
        self._forgotten: weakref.finalize[..., Any] | None = None  # stops the stream if nobody else does

    def __enter__(self) -> Self:
        """As :meth:`open`."""
        self.open()
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def open(self) -> None:
        """Open profile, key and scene.

        Raises:
            SettingsError: the sensor does not take this exposure time, gain or frame rate.
            PolicyError: the sensor is not made with the filters that the key is for.
            PrivcamError: as :func:`open_newest`, :func:`open_scenes` and :func:`load_profile` do.
        """
        if self._session is not None:
            raise CameraStateError("this camera is open already", hint="make another Camera for a second session")
        profile = load_profile(self._profile)
        sensor = Sensor.power_up(self._place, profile, self._settings)
        setup = Setup(sensor, self._settings, self._configuration.frame_rate, self._callback)
        self._session = Session(setup, self._feed(sensor, loop=self._configuration.loop), self._place)

    def close(self) -> None:
        """Stop, and forget key and scene.  Closing twice does nothing; a closed camera can be opened again."""
        if self._session is not None:
            self.stop()
            self._session.close()
            self._session = None

    @property
    def grant(self) -> Grant:
        """The public claims of the key in use."""
        return self._open().setup.sensor.grant

    @property
    def scene(self) -> Scene:
        """The scene in front of the camera."""
        return self._open().scene

    @property
    def profile(self) -> SensorProfile:
        """What the sensor is like."""
        return self._open().setup.sensor.profile

    @property
    def serial(self) -> int:
        """The sensor's serial number, which fixes its patterns; it follows from its enrolled name."""
        return self._open().setup.sensor.serial

    @property
    def seed(self) -> int:
        """The seed of the noise in use."""
        return self._open().setup.sensor.seed

    @property
    def settings(self) -> CameraSettings:
        """How the next frame is exposed."""
        return self._settings if self._session is None else self._session.setup.settings

    @property
    def configuration(self) -> StreamConfiguration:
        """How the camera streams, or will."""
        return self._configuration

    def capture(self, scene: Scene | None = None, *, number: int | None = None) -> PrivateFrame:
        """Expose and read out one frame in this thread.

        Args:
            scene: another scene for this frame alone; None takes the next one.
            number: which noise it gets under the seed; None counts the frames of this session.

        Raises:
            CameraStateError: the camera is not open, or a stream runs.
            SceneEndedError: there is no further scene.
            ValidityError: the key is not valid any more.
            PolicyError: ``scene`` does not fit the sensor.
            SampleRangeError: a DN of the scene is 2**bits or more.
        """
        session = self._open()
        self._refuse_stream("capture single frames", "take them from the stream: capture_request()")
        return session.capture(scene, number)

    def configure(self, configuration: StreamConfiguration | None = None, **fields: Any) -> None:
        """Say how to stream, before or after :meth:`open`.

        Args:
            configuration: all of it; None keeps what is configured.
            fields: of :class:`StreamConfiguration`, in place of those.

        Raises:
            CameraStateError: a stream runs.
            SettingsError: a value is out of range, or the sensor does not reach the frame rate.
            PrivcamError: ``loop`` changes, so the scenes are opened again, and that fails.
        """
        self._refuse_stream("configure", "stop() first")
        wanted = (configuration or self._configuration).with_fields(fields)
        session = self._session
        if session is not None:
            sensor, again = session.setup.sensor, wanted.loop != self._configuration.loop
            scenes = partial(self._feed, sensor, loop=wanted.loop) if again else None
            session.reconfigure(wanted, scenes)
        self._configuration = wanted

    def start(self) -> None:
        """Begin to make frames in a thread of their own; does nothing while they are made.

        Scenes go on where they were; sequence numbers and :attr:`stats` begin anew.
        """
        session = self._open()
        if self.running:
            return
        self.stop()
        stream = session.prepare(self._configuration)
        self._buffers = stream.buffers
        self._forgotten = weakref.finalize(self, stream.stop, _PATIENCE_S)
        stream.start()

    def stop(self) -> None:
        """End the stream; frames that nobody took are thrown away, held requests stay.  Twice does nothing."""
        if self._session is not None:
            self._session.stop()
        if self._forgotten is not None:
            self._forgotten.detach()

    @property
    def running(self) -> bool:
        """Whether frames are being made: from ``start()`` to ``stop()``, the last scene or an error."""
        session = self._session
        return session is not None and session.stream is not None and session.stream.running

    def capture_request(self, flush: bool = False, timeout: float | None = None) -> Request:
        """The oldest frame that waits, or the next one: each is delivered once.

        Args:
            flush: throw away what waits; the frame's exposure starts after this call.
            timeout: seconds; None waits as long as it takes.

        Raises:
            FrameTimeoutError: none came in time; the stream goes on.
            SceneEndedError: the scenes have ended, and every frame was delivered.
            CameraStateError: the camera is not started, or was stopped meanwhile.
            PrivcamError: what ended the stream, once the frames before it are delivered: the key
                expired (ValidityError), a scene cannot be read (SceneError), a callback's own, ...
                It is raised once; after that CameraStateError with its words.
        """
        after_ns = time.monotonic_ns() if flush else None
        stream = self._open().stream
        if stream is None:
            raise CameraStateError("the camera is not started", hint="camera.start() begins a stream")
        return stream.buffers.take(after_ns, timeout)

    @property
    def stats(self) -> StreamStats:
        """The counts of the stream that runs, or ran last, all at one moment."""
        return StreamStats() if self._buffers is None else self._buffers.stats()

    @property
    def post_callback(self) -> Callback | None:
        """Called with every frame's request before it is queued, in the thread that makes the frames.

        The request is its own until it returns; what it raises ends the stream and reaches the application.
        """
        return self._callback

    @post_callback.setter
    def post_callback(self, callback: Callback | None) -> None:
        self._callback = callback
        if self._session is not None:
            self._session.call_back(callback)

    def set_controls(self, controls: Mapping[str, Any]) -> None:
        """Change how the next frame is exposed, all at once.

        Args:
            controls: ``ExposureTime`` in microseconds, ``AnalogueGain``, ``FrameRate`` in frames a
                second (None: as soon as possible), ``Illumination``, a factor on the scene's light.

        Raises:
            SettingsError: there is no such control, the sensor does not take the value, or does not
                reach the frame rate with it; nothing changes then.
        """
        self._open().change(lambda setup: setup.with_controls(controls))

    @property
    def camera_controls(self) -> dict[str, tuple[float, float, float | None]]:
        """Least value, greatest value and the one in use of every control."""
        return self._open().setup.limits()

    def rotate_key(self, key: KeySource | None = None) -> Grant:
        """Take over a newer key for the next frame that is begun; no frame is lost.

        The chip starts a new session, whose counter begins at 0.  A key that is refused leaves the
        one in use.  Returns the claims of the key in use.

        Args:
            key: where it is, and will be looked for from now on; None looks again where it was.

        Raises:
            InputError: it is for another sensor, or no newer epoch; the device file has gone.
            PolicyError: it is for other frames.
            WrongDeviceError: the device file is not the one any more that it is sealed for.
            PrivcamError: as :func:`open_newest` does.
        """
        return self._open().rotate_key(key)

    def _open(self) -> Session:
        if self._session is None:
            raise CameraStateError("this camera is not open", hint="use it inside: with Camera(...) as camera")
        return self._session

    def _refuse_stream(self, what: str, hint: str) -> None:
        if self._session is not None and self._session.stream is not None:
            raise CameraStateError(f"this camera cannot {what} while it streams", hint=hint)

    def _next_frame(self) -> PrivateFrame:
        return self.capture() if self._open().stream is None else super()._next_frame()

    def _feed(self, sensor: Sensor, *, loop: bool) -> SceneFeed:
        return SceneFeed(open_scenes(self._scene, sensor.grant.policy, region=self._region, loop=loop))
