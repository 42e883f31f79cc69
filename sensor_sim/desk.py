"""What the next frame is made with: any thread changes it, a frame is made with one state of it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from sensor_sim.configuration import check_rate
from sensor_sim.errors import SettingsError
from sensor_sim.request import Request
from sensor_sim.sensor import Sensor
from sensor_sim.settings import MAX_ILLUMINATION, CameraSettings
from sensor_sim.slots import Timing

Callback = Callable[[Request], object]
_SETTINGS = {"ExposureTime": "shutter_us", "AnalogueGain": "gain", "Illumination": "illumination"}
_RATE = "FrameRate"


@dataclass(frozen=True, slots=True)
class Setup:
    """One state.

    Attributes:
        sensor: with the key in use.
        settings: how to expose.
        frame_rate: frames a second, or None for as soon as possible.
        callback: gets every frame before it is queued.

    Raises SettingsError when constructed with settings that the sensor does not take, or a frame
    rate that it does not reach with them.
    """

    sensor: Sensor
    settings: CameraSettings
    frame_rate: float | None = None
    callback: Callback | None = None

    def __post_init__(self) -> None:
        self.sensor.profile.readout.check(self.settings)
        check_rate(self.frame_rate)
        shortest = self.sensor.shortest_us(self.settings)
        if self.frame_rate is not None and self.frame_rate * shortest > 1e6 * (1 + 1e-9):
            raise SettingsError(
                f"{self.frame_rate:g} frames a second leave {1e6 / self.frame_rate:g} us for each; readout and "
                f"exposure need {shortest:g}",
                hint=f"ask for {1e6 / shortest:.6g} at most, or expose for a shorter time",
            )

    @property
    def timing(self) -> Timing:
        """How exposures follow each other."""
        return Timing.of(self.frame_rate, self.sensor.shortest_us(self.settings))

    def with_controls(self, controls: Mapping[str, Any]) -> Setup:
        """The state after ``set_controls``; SettingsError for a control that is unknown or out of range."""
        unknown = [name for name in controls if name not in (*_SETTINGS, _RATE)]
        if unknown:
            raise SettingsError(
                f"there is no control {unknown[0]!r:.40}", hint=f"controls are {', '.join((*_SETTINGS, _RATE))}"
            )
        changed: Any = {field: controls[name] for name, field in _SETTINGS.items() if name in controls}
        rate = controls.get(_RATE, self.frame_rate)
        return replace(self, settings=replace(self.settings, **changed), frame_rate=rate)

    def limits(self) -> dict[str, tuple[float, float, float | None]]:
        """The controls: least value, greatest value and the one in use."""
        readout, settings = self.sensor.profile.readout, self.settings
        return {
            "ExposureTime": (readout.min_shutter_us, readout.max_shutter_us, settings.shutter_us),
            "AnalogueGain": (readout.min_gain, readout.max_gain, settings.gain),
            "Illumination": (0.0, MAX_ILLUMINATION, settings.illumination),
            "FrameRate": (1e-6, 1e6 / self.sensor.shortest_us(settings), self.frame_rate),
        }


class Desk:
    """Holds the setup of the next frame."""

    def __init__(self, setup: Setup) -> None:
        self._lock = threading.Lock()
        self._setup = setup

    @property
    def setup(self) -> Setup:
        """The present state."""
        return self._setup

    def change(self, change: Callable[[Setup], Setup]) -> Setup:
        """Replace the state by ``change`` of it; what that raises leaves it as it is."""
        with self._lock:
            self._setup = change(self._setup)
            return self._setup
