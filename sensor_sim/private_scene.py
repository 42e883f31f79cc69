"""Private frames in place of scenes: refused, since their mosaic is noise."""

from __future__ import annotations

from pathlib import Path

from adc_firmware.files import is_private
from sensor_sim.errors import SceneError


def refuse_private(path: Path) -> None:
    """SceneError if a file claims to be a private frame, of whatever encoding, or has the sidecar of one."""
    if is_private(path):
        raise SceneError(
            f"scene {path} is a private frame, not a photograph",
            hint="give the original scene; keyed-infer reveal shows a frame to its key holder",
        )
