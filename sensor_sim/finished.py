"""A frame that the producer has finished, and how it was made."""

from __future__ import annotations

from dataclasses import dataclass

from adc_firmware import PrivateFrame
from sensor_sim.sensor_profile import SensorProfile
from sensor_sim.settings import CameraSettings
from sensor_sim.slots import Slot


@dataclass(frozen=True, slots=True)
class Finished:
    """One frame of a stream.

    Attributes:
        frame: what left the chip.
        slot: when it was exposed.
        settings: how.
        profile: by what sensor.
    """

    frame: PrivateFrame
    slot: Slot
    settings: CameraSettings
    profile: SensorProfile
