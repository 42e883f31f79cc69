"""The camera around the chip: scenes, pixels, and capture to private frames."""

from sensor_sim.camera import Camera
from sensor_sim.chart import draw as draw_chart
from sensor_sim.errors import CameraStateError, ProfileError, SceneError, SettingsError
from sensor_sim.loading import load_scene
from sensor_sim.pattern import serial_number
from sensor_sim.pixel import expose
from sensor_sim.raw_files import RawLayout, read_headerless, read_raw
from sensor_sim.scene import DnScene, LightScene, Scene
from sensor_sim.sensor_profile import Readout, SensorProfile, Shutter, list_profiles, load_profile
from sensor_sim.settings import CameraSettings, PixelModel, Shot

__all__ = [
    "Camera",
    "CameraSettings",
    "CameraStateError",
    "DnScene",
    "LightScene",
    "PixelModel",
    "ProfileError",
    "RawLayout",
    "Readout",
    "Scene",
    "SceneError",
    "SensorProfile",
    "SettingsError",
    "Shot",
    "Shutter",
    "draw_chart",
    "expose",
    "list_profiles",
    "load_profile",
    "load_scene",
    "read_headerless",
    "read_raw",
    "serial_number",
]
