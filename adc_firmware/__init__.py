"""The converter chip: conversion, keyed readout, and the signed private frame with its files.

Names are loaded when they are first used, so that importing the package alone is quick.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from adc_firmware.addressing import MaskGenerator, frame_permutation, unmask
    from adc_firmware.chip import Exposure, SecureAdc
    from adc_firmware.converter import Converter
    from adc_firmware.dng import decode, encode
    from adc_firmware.encodings import Encoding, encodings_for
    from adc_firmware.errors import ForeignFrameError, FrameError, FrameTamperedError, SampleRangeError, SourceError
    from adc_firmware.files import read, write
    from adc_firmware.frame import FrameHeader, PrivateFrame
    from adc_firmware.inspection import UnverifiedFrame, inspect
    from adc_firmware.readout import AnalogSource
    from adc_firmware.single_slope import ColumnConverter, SingleSlope

__all__ = [
    "AnalogSource",
    "ColumnConverter",
    "Converter",
    "Encoding",
    "Exposure",
    "ForeignFrameError",
    "FrameError",
    "FrameHeader",
    "FrameTamperedError",
    "MaskGenerator",
    "PrivateFrame",
    "SampleRangeError",
    "SecureAdc",
    "SingleSlope",
    "SourceError",
    "UnverifiedFrame",
    "decode",
    "encode",
    "encodings_for",
    "frame_permutation",
    "inspect",
    "read",
    "unmask",
    "write",
]

_HOME = {
    "AnalogSource": "adc_firmware.readout",
    "ColumnConverter": "adc_firmware.single_slope",
    "Converter": "adc_firmware.converter",
    "Encoding": "adc_firmware.encodings",
    "Exposure": "adc_firmware.chip",
    "ForeignFrameError": "adc_firmware.errors",
    "FrameError": "adc_firmware.errors",
    "FrameHeader": "adc_firmware.frame",
    "FrameTamperedError": "adc_firmware.errors",
    "MaskGenerator": "adc_firmware.addressing",
    "PrivateFrame": "adc_firmware.frame",
    "SampleRangeError": "adc_firmware.errors",
    "SecureAdc": "adc_firmware.chip",
    "SingleSlope": "adc_firmware.single_slope",
    "SourceError": "adc_firmware.errors",
    "UnverifiedFrame": "adc_firmware.inspection",
    "decode": "adc_firmware.dng",
    "encode": "adc_firmware.dng",
    "encodings_for": "adc_firmware.encodings",
    "frame_permutation": "adc_firmware.addressing",
    "inspect": "adc_firmware.inspection",
    "read": "adc_firmware.files",
    "unmask": "adc_firmware.addressing",
    "write": "adc_firmware.files",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
