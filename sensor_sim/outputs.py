"""Where captured frames go: names from a pattern, checked before the first exposure."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adc_firmware import FrameHeader, PrivateFrame
from keyvault.errors import OutputError
from sensor_sim.sensor_profile import SensorProfile
from sensor_sim.settings import CameraSettings
from sensor_sim.slots import Slot

_NUMBER = re.compile(r"%(0?[1-9]?)d")
_SPLIT = re.compile(r"%0?[1-9]?d")


@dataclass(frozen=True, slots=True)
class FrameNames:
    """File names of a run of frames.

    Attributes:
        pattern: a path; one ``%d`` in it, such as ``%05d``, becomes the number of the frame.
        count: how many frames there will be; None: that is not known yet.

    Raises OutputError when constructed for several frames without a number in the pattern, or
    with anything else after a ``%``.
    """

    pattern: str
    count: int | None

    def __post_init__(self) -> None:
        numbers = len(_NUMBER.findall(self.pattern))
        if self.pattern.count("%") != numbers or numbers > 1:
            raise OutputError(
                f"output {self.pattern} has a % that is not one frame number", hint="write a name such as frame%05d.dng"
            )
        if self.count != 1 and not numbers:
            raise OutputError(
                f"{self.count or 'several'} frames cannot all go to {self.pattern}",
                hint="write a name such as frame%05d.dng",
            )

    def path(self, number: int) -> Path:
        """The file of frame ``number``, from 0."""
        return Path(_NUMBER.sub(lambda match: f"{number:{match[1]}d}", self.pattern))

    def paths(self) -> Iterable[Path]:
        """The files of all frames, endless if their number is not known."""
        return map(self.path, itertools.count() if self.count is None else range(self.count))

    def matches(self, path: Path) -> bool:
        """Whether a file could be one of the frames, whatever its number."""
        parts = (re.escape(part) for part in _SPLIT.split(str(Path(self.pattern).resolve())))
        return re.fullmatch(r"\d+".join(parts), str(path.resolve())) is not None


def describe(frame: PrivateFrame, file: Path, profile: SensorProfile) -> dict[str, Any]:
    """What a capture says of a frame in a file: :func:`describe_frame` and the file's name."""
    return {"file": str(file)} | describe_frame(frame, profile)


def describe_frame(
    frame: PrivateFrame,
    profile: SensorProfile,
    settings: CameraSettings | None = None,
    slot: Slot | None = None,
) -> dict[str, Any]:
    """What is known of a frame, with the names of libcamera's controls where it has one.

    ``SensorBlackLevels`` are on libcamera's 16-bit scale, red, green, green, blue; ``BlackLevel``
    and ``WhiteLevel`` are DN.  From ``SensorProfile`` on nothing is in the frame's header: row r of
    a rolling shutter starts ``r * RowTime`` microseconds after ``SensorTimestamp``.

    Args:
        frame: a frame.
        profile: of its sensor.
        settings: adds ``SensorTemperature``, degrees Celsius.
        slot: of a stream; adds ``FrameSequence``, and at a fixed frame rate ``FrameDuration``,
            microseconds.
    """
    stated = describe_header(frame.header) | {
        "SensorProfile": profile.name,
        "Shutter": str(profile.readout.shutter),
        "RowTime": profile.readout.row_time_us,
    }
    if settings is not None:
        stated["SensorTemperature"] = settings.temperature_c
    if slot is not None:
        stated["FrameSequence"] = slot.sequence
        stated |= {} if slot.duration_us is None else {"FrameDuration": slot.duration_us}
    return stated


def describe_header(header: FrameHeader) -> dict[str, Any]:
    """The part of :func:`describe_frame` that a frame says itself."""
    red, green, blue = header.white_balance
    return {
        "SensorTimestamp": header.timestamp_ns,
        "ExposureTime": header.exposure_us,
        "AnalogueGain": header.gain_milli / 1000,
        "ColourGains": [red / green, blue / green],
        "SensorBlackLevels": [header.black_level << (16 - header.policy.bits)] * 4,
        "BlackLevel": header.black_level,
        "WhiteLevel": header.white_level,
        "Sensor": header.sensor,
        "KeyId": header.key_id,
        "Epoch": header.epoch,
        "Session": header.session.hex(),
        "Counter": header.counter,
        "Protection": str(header.policy.protection),
    }
