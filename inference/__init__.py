"""The authorised host: opens private frames and runs networks on them while they stay shuffled.

Names are loaded when they are first used, so that importing the package alone is quick.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from inference.comparison import Comparison, compare
    from inference.convert import secure
    from inference.detection.detector import KeyedDetector, secure_detector
    from inference.errors import (
        DeviceUnavailableError,
        InputMismatchError,
        ModelError,
        SavedNetworkError,
        UnknownModelError,
        UnsupportedOperatorError,
        WeightsError,
    )
    from inference.explanation import Explanation, explain
    from inference.exporting import PortableNetwork, export, portable
    from inference.imaging import IspSettings, isp
    from inference.layout import KeyedTensor, Layout
    from inference.models import Preset, preset
    from inference.module import KeyedModule
    from inference.onnx_export import export_onnx
    from inference.session import Session, ShuffledFrame, open_session
    from inference.storage import load, save
    from inference.video import stream
    from inference.weights import load_weights, pretrained

__all__ = [
    "Comparison",
    "DeviceUnavailableError",
    "Explanation",
    "InputMismatchError",
    "IspSettings",
    "KeyedDetector",
    "KeyedModule",
    "KeyedTensor",
    "Layout",
    "ModelError",
    "PortableNetwork",
    "Preset",
    "SavedNetworkError",
    "Session",
    "ShuffledFrame",
    "UnknownModelError",
    "UnsupportedOperatorError",
    "WeightsError",
    "compare",
    "explain",
    "export",
    "export_onnx",
    "isp",
    "load",
    "load_weights",
    "open_session",
    "portable",
    "preset",
    "pretrained",
    "save",
    "secure",
    "secure_detector",
    "stream",
]

_DETECTION = "inference.detection.detector"
_ERRORS = "inference.errors"
_HOME = {
    "Comparison": "inference.comparison",
    "DeviceUnavailableError": _ERRORS,
    "Explanation": "inference.explanation",
    "InputMismatchError": _ERRORS,
    "IspSettings": "inference.imaging",
    "KeyedDetector": _DETECTION,
    "KeyedModule": "inference.module",
    "KeyedTensor": "inference.layout",
    "Layout": "inference.layout",
    "ModelError": _ERRORS,
    "PortableNetwork": "inference.exporting",
    "Preset": "inference.models",
    "SavedNetworkError": _ERRORS,
    "Session": "inference.session",
    "ShuffledFrame": "inference.session",
    "UnknownModelError": _ERRORS,
    "UnsupportedOperatorError": _ERRORS,
    "WeightsError": _ERRORS,
    "compare": "inference.comparison",
    "explain": "inference.explanation",
    "export": "inference.exporting",
    "export_onnx": "inference.onnx_export",
    "isp": "inference.imaging",
    "load": "inference.storage",
    "load_weights": "inference.weights",
    "open_session": "inference.session",
    "portable": "inference.exporting",
    "preset": "inference.models",
    "pretrained": "inference.weights",
    "save": "inference.storage",
    "secure": "inference.convert",
    "secure_detector": _DETECTION,
    "stream": "inference.video",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
