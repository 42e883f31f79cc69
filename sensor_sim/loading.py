"""From whatever names a scene to the scene."""

from __future__ import annotations

from pathlib import Path

from keyvault.policy import Policy
from sensor_sim import chart, photograph, raw_files
from sensor_sim.errors import SceneError
from sensor_sim.scene import DnScene, LightScene, Scene

CHART = "chart"


def load_scene(source: Scene | Path | str | None, policy: Policy) -> Scene:
    """Bring a scene in front of a sensor of this policy.

    Args:
        source: a scene; ``None`` or ``"chart"`` for the built-in chart; or a file: camera raw by
            its suffix, everything else a photograph that is cropped and resized to the sensor.
        policy: geometry of the sensor.

    Raises:
        SceneError: the file cannot be read.
        PolicyError: it does not fit the sensor.
    """
    scene = _load(source, policy)
    scene.check_fits(policy)
    return scene


def _load(source: Scene | Path | str | None, policy: Policy) -> Scene:
    if isinstance(source, LightScene | DnScene):
        return source
    if source is None or source == CHART:
        return chart.draw(policy.width, policy.height)
    path = Path(source)
    if path.suffix.lower() == raw_files.HEADERLESS:  # LibRaw would guess a camera from the length
        raise SceneError(
            f"scene {path} does not say its own size and levels",
            hint="give --raw-size, --raw-cfa, --raw-black and --raw-white, or read_headerless in Python",
        )
    if path.suffix.lower() in raw_files.SUFFIXES:
        return raw_files.read_raw(path)
    return photograph.read(path, policy.width, policy.height)
