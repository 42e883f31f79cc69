"""The camera around the chip: scenes, pixels, and capture to private frames.

Names are loaded when they are first used, so that importing the package alone is quick.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sensor_sim.camera import Camera
    from sensor_sim.chart import draw as draw_chart
    from sensor_sim.configuration import Overflow, StreamConfiguration
    from sensor_sim.errors import (
        CameraStateError,
        FramesDroppedError,
        FrameTimeoutError,
        ProfileError,
        SceneEndedError,
        SceneError,
        SettingsError,
    )
    from sensor_sim.loading import load_scene
    from sensor_sim.pattern import serial_number
    from sensor_sim.pixel import expose
    from sensor_sim.raw_files import RawLayout, read_headerless, read_raw
    from sensor_sim.region import Region
    from sensor_sim.request import Request
    from sensor_sim.scene import DnScene, LightScene, Scene
    from sensor_sim.scene_stream import SceneStream, open_scenes
    from sensor_sim.sensor_profile import Readout, SensorProfile, Shutter, list_profiles, load_profile
    from sensor_sim.settings import CameraSettings, PixelModel, Shot
    from sensor_sim.stats import StreamStats

__all__ = [
    "Camera",
    "CameraSettings",
    "CameraStateError",
    "DnScene",
    "FrameTimeoutError",
    "FramesDroppedError",
    "LightScene",
    "Overflow",
    "PixelModel",
    "ProfileError",
    "RawLayout",
    "Readout",
    "Region",
    "Request",
    "Scene",
    "SceneEndedError",
    "SceneError",
    "SceneStream",
    "SensorProfile",
    "SettingsError",
    "Shot",
    "Shutter",
    "StreamConfiguration",
    "StreamStats",
    "draw_chart",
    "expose",
    "list_profiles",
    "load_profile",
    "load_scene",
    "open_scenes",
    "read_headerless",
    "read_raw",
    "serial_number",
]

_HOME = {
    "Camera": "sensor_sim.camera",
    "CameraSettings": "sensor_sim.settings",
    "CameraStateError": "sensor_sim.errors",
    "DnScene": "sensor_sim.scene",
    "FrameTimeoutError": "sensor_sim.errors",
    "FramesDroppedError": "sensor_sim.errors",
    "LightScene": "sensor_sim.scene",
    "Overflow": "sensor_sim.configuration",
    "PixelModel": "sensor_sim.settings",
    "ProfileError": "sensor_sim.errors",
    "RawLayout": "sensor_sim.raw_files",
    "Readout": "sensor_sim.sensor_profile",
    "Region": "sensor_sim.region",
    "Request": "sensor_sim.request",
    "Scene": "sensor_sim.scene",
    "SceneEndedError": "sensor_sim.errors",
    "SceneError": "sensor_sim.errors",
    "SceneStream": "sensor_sim.scene_stream",
    "SensorProfile": "sensor_sim.sensor_profile",
    "SettingsError": "sensor_sim.errors",
    "Shot": "sensor_sim.settings",
    "Shutter": "sensor_sim.sensor_profile",
    "StreamConfiguration": "sensor_sim.configuration",
    "StreamStats": "sensor_sim.stats",
    "draw_chart": "sensor_sim.chart:draw",
    "expose": "sensor_sim.pixel",
    "list_profiles": "sensor_sim.sensor_profile",
    "load_profile": "sensor_sim.sensor_profile",
    "load_scene": "sensor_sim.loading",
    "open_scenes": "sensor_sim.scene_stream",
    "read_headerless": "sensor_sim.raw_files",
    "read_raw": "sensor_sim.raw_files",
    "serial_number": "sensor_sim.pattern",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, _, original = _HOME[name].partition(":")
    return getattr(import_module(module), original or name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
