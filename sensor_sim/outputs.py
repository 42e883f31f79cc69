"""Where captured frames go: names from a pattern, checked before the first exposure."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adc_firmware import PrivateFrame
from keyvault.errors import OutputError

_NUMBER = re.compile(r"%(0?[1-9]?)d")


@dataclass(frozen=True, slots=True)
class FrameNames:
    """File names of a run of frames.

    Attributes:
        pattern: a path; one ``%d`` in it, such as ``%05d``, becomes the number of the frame.
        count: how many frames there will be.

    Raises OutputError when constructed for several frames without a number in the pattern, or
    with anything else after a ``%``.
    """

    pattern: str
    count: int

    def __post_init__(self) -> None:
        numbers = len(_NUMBER.findall(self.pattern))
        if self.pattern.count("%") != numbers or numbers > 1:
            raise OutputError(
                f"output {self.pattern} has a % that is not one frame number", hint="write a name such as frame%05d.dng"
            )
        if self.count > 1 and not numbers:
            raise OutputError(
                f"{self.count} frames cannot all go to {self.pattern}", hint="write a name such as frame%05d.dng"
            )

    def path(self, number: int) -> Path:
        """The file of frame ``number``, from 0."""
        return Path(_NUMBER.sub(lambda match: f"{number:{match[1]}d}", self.pattern))

    def paths(self) -> Iterable[Path]:
        """The files of all frames."""
        return map(self.path, range(self.count))


def check_outputs(outputs: Iterable[Path], inputs: Iterable[Path]) -> None:
    """Raise OutputError unless every output can be written and is not one of the inputs.

    An output that exists is replaced, unless the run needs it.
    """
    needed = {path.resolve() for path in inputs}
    seen: set[Path] = set()
    folders: set[Path] = set()
    for path in outputs:
        target = path.resolve()
        if target in needed:
            raise OutputError(f"output {path} is one of the inputs", hint="choose another name")
        if target in seen:
            raise OutputError(f"two outputs are named {path}", hint="choose different names")
        if target.is_dir():
            raise OutputError(f"output {path} is a folder", hint="name a file")
        seen.add(target)
        folders.add(path.parent)
    for folder in folders:
        if not folder.is_dir():
            raise OutputError(f"there is no folder {folder}", hint="make it, or choose another output")
        if not os.access(folder, os.W_OK | os.X_OK):
            raise OutputError(f"folder {folder} cannot be written to", hint="choose another output")


def describe(frame: PrivateFrame, file: Path) -> dict[str, Any]:
    """What a capture says of a frame, with the names of libcamera's controls where it has one.

    ``SensorBlackLevels`` are on libcamera's 16-bit scale, red, green, green, blue; ``BlackLevel``
    and ``WhiteLevel`` are DN.
    """
    header = frame.header
    red, green, blue = header.white_balance
    return {
        "file": str(file),
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
