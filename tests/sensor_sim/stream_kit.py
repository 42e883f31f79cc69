"""Streams of a small camera, for tests."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from keyvault.policy import Policy
from sensor_sim import (
    CameraSettings,
    DnScene,
)

ROOT = Path(__file__).resolve().parent.parent.parent
POLICY = Policy(32, 24)
QUICK = CameraSettings(shutter_us=100, noise=False)
THREAD = "privcam camera"


def producers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith((THREAD, "privcam frame"))]


def dn_scenes(count: int) -> list[DnScene]:
    return [DnScene(np.full((24, 32), level), 3, 4000) for level in range(count)]


def wait_for(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.001)
