"""The converter chip: conversion, keyed readout, and the signed private frame as a DNG."""

from adc_firmware.addressing import MaskGenerator, frame_permutation, unmask
from adc_firmware.chip import Exposure, SecureAdc
from adc_firmware.converter import Converter
from adc_firmware.dng import decode, encode, read, write
from adc_firmware.errors import (
    ForeignFrameError,
    FrameError,
    FrameTamperedError,
    SampleRangeError,
    SourceError,
)
from adc_firmware.frame import FrameHeader, PrivateFrame
from adc_firmware.readout import AnalogSource
from adc_firmware.single_slope import ColumnConverter, SingleSlope

__all__ = [
    "AnalogSource",
    "ColumnConverter",
    "Converter",
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
    "decode",
    "encode",
    "frame_permutation",
    "read",
    "unmask",
    "write",
]
