"""From whatever names one scene to the scene."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keyvault.policy import Cfa, Policy
from sensor_sim import chart, photograph, raw_files
from sensor_sim.errors import SceneError
from sensor_sim.region import Region
from sensor_sim.scene import DnScene, LightScene, Scene

CHART = "chart"


def load_scene(source: Scene | Path | str | None, policy: Policy, region: Region | None = None) -> Scene:
    """Bring one scene in front of a sensor of this policy.

    Args:
        source: a scene; ``None`` or ``"chart"`` for the built-in chart; or a file: camera raw by
            its suffix, everything else a photograph that is cropped and resized to the sensor.
        policy: geometry of the sensor.
        region: the part of the scene that the sensor sees; None for all of it.

    Raises:
        SceneError: the file cannot be read.
        SettingsError: the region does not lie in the scene.
        PolicyError: the scene does not fit the sensor.
    """
    scene = _load(source, policy, region)
    scene.check_fits(policy)
    return scene


def as_scene(item: Any, name: str, policy: Policy, region: Region | None = None) -> Scene:
    """Bring an item of a data set in front of a sensor of this policy.

    Args:
        item: a scene, a file, an image (uint8 or uint16 RGB array (h, w, 3), or one of PIL), or a tuple
            that begins with one of these, such as image and label.
        name: for messages.
        policy: geometry of the sensor.
        region: the part that the sensor sees; None for all of it.

    Raises SceneError for anything else, and as :func:`load_scene` does.
    """
    if isinstance(item, tuple | list) and item:
        return as_scene(item[0], name, policy, region)
    if isinstance(item, LightScene | DnScene | Path | str):
        return load_scene(item, policy, region)
    image = _pixels(item, name) if _is_pil(item) else item
    if not isinstance(image, np.ndarray) or image.dtype not in (np.uint8, np.uint16):
        raise SceneError(
            f"{name} is {_kind(item)}, not a scene",
            hint="give RGB arrays of uint8 or uint16, PIL images, files or scenes",
        )
    if image.ndim != 3 or image.shape[2] != 3 or not image.size:
        raise SceneError(f"{name} has shape {image.shape}; an RGB image is (h, w, 3)", hint="DN are given as DnScene")
    return photograph.from_image(image, policy.width, policy.height, name, region)


def is_image(item: Any) -> bool:
    """Whether this is one image, of NumPy or PIL, and not a number of them."""
    return _is_pil(item) or (isinstance(item, np.ndarray) and item.ndim <= 3)


def _load(source: Scene | Path | str | None, policy: Policy, region: Region | None) -> Scene:
    if isinstance(source, LightScene):
        return source if region is None else _part(source, policy, region)
    if isinstance(source, DnScene):
        return source if region is None else _window(source, region)
    if source is None or source == CHART:
        return _load(chart.draw(policy.width, policy.height), policy, region)
    path = Path(source)
    if path.suffix.lower() == raw_files.HEADERLESS:  # LibRaw would guess a camera from the length
        raise SceneError(
            f"scene {path} does not say its own size and levels",
            hint="give --raw-size, --raw-cfa, --raw-black and --raw-white, or read_headerless in Python",
        )
    if path.suffix.lower() in raw_files.SUFFIXES:
        return _load(raw_files.read_raw(path), policy, region)
    return photograph.read(path, policy.width, policy.height, region)


def _part(scene: LightScene, policy: Policy, region: Region) -> LightScene:
    part = photograph.centre(region.cut(scene.radiance, scene.name), policy.width, policy.height)
    return LightScene(photograph.fit(np.ascontiguousarray(part), policy.width, policy.height), scene.name)


def _window(scene: DnScene, region: Region) -> DnScene:
    """The DN of the region, unchanged: whether their number is the sensor's is checked like that of any scene."""
    return replace(scene, dn=region.cut(scene.dn, scene.name, quads=scene.dn.ndim == 2 and scene.cfa is not Cfa.NONE))


def _is_pil(item: Any) -> bool:
    return callable(getattr(item, "convert", None)) and isinstance(getattr(item, "mode", None), str)


def _pixels(image: Any, name: str) -> NDArray[Any]:
    """RGB of an image of PIL, whose own conversion would clip what has more than 8 bits."""
    if image.mode.startswith("I;16"):
        return np.repeat(np.asarray(image).astype(np.uint16)[:, :, None], 3, axis=2)
    if image.mode in ("I", "F"):
        raise SceneError(f"{name} is an image of 32 bits, whose white nobody knows", hint="give uint8 or uint16")
    return np.asarray(image.convert("RGB"))


def _kind(item: object) -> str:
    return f"{item.dtype} {item.shape}" if isinstance(item, np.ndarray) else f"a {type(item).__name__}"
