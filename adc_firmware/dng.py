"""The private frame as a DNG whose every byte follows from header, signature and samples.

Layout (docs/spec/private_frame.md, section 6): TIFF header, DNGPrivateData, one directory, the
directory's longer values, one uncompressed strip.
"""

from __future__ import annotations

from collections.abc import Mapping

from adc_firmware.container import Container, from_raster, raster_length
from adc_firmware.frame import FrameHeader, PrivateFrame, raster_bytes
from adc_firmware.record import Record
from adc_firmware.tiff_file import (
    DIRECTORY,
    MAGIC,
    Field,
    description,
    front,
    image_fields,
    octets,
    rationals,
    shorts,
    srationals,
    text,
)
from keyvault.grant import Grant
from keyvault.policy import Cfa

_PRIVATE_DATA = 50740
_CFA, _LINEAR_RAW = 32803, 34892
_D65 = 21
_DNG_VERSION, _DNG_BACKWARD = (1, 4, 0, 0), (1, 1, 0, 0)
_XYZ_TO_SRGB = (32406, -15372, -4986, -9689, 18758, 415, 557, -2040, 10570)  # D65, ten-thousandths


def encode(frame: PrivateFrame) -> bytes:
    """The bytes of the frame's DNG file.

    Raises:
        FrameError: the frame is too large for a TIFF file (4 GiB).
    """
    return DNG.encode(frame)


def decode(data: bytes, grants: Mapping[str, Grant]) -> PrivateFrame:
    """Verify the bytes of a private frame's DNG file.

    Args:
        data: the whole file; the frame's samples are a view of it.
        grants: those at hand, by key id.

    Raises:
        FrameError: not a private frame, truncated, too long or malformed.
        ForeignFrameError: its grant is not at hand.
        FrameTamperedError: claims, container or signature do not agree.
    """
    return DNG.decode(data, grants)


def _front(record: Record) -> bytes:
    header = record.header
    photometric = _LINEAR_RAW if header.policy.cfa is Cfa.NONE else _CFA
    fields = [*image_fields(header, photometric), *_colour_fields(header), *_camera_fields(header)]
    return front(header, b"", (_PRIVATE_DATA, record.to_bytes()), fields)


def _colour_fields(header: FrameHeader) -> list[Field]:
    fields = []
    if header.policy.cfa is not Cfa.NONE:
        fields = [
            shorts(33421, 2, 2),  # CFARepeatPatternDim
            octets(33422, *("RGB".index(colour) for colour in header.policy.cfa)),
            octets(50710, 0, 1, 2),  # CFAPlaneColor
            shorts(50711, 1),  # CFALayout: rectangular
        ]
    elif header.policy.samples_per_photosite == 1:
        return []
    matrix = [number for entry in _XYZ_TO_SRGB for number in (entry, 10_000)]
    neutral = [number for gain in header.white_balance for number in (1024, gain)]
    return [
        *fields,
        srationals(50721, *matrix),  # ColorMatrix1
        rationals(50728, *neutral),  # AsShotNeutral
        shorts(50778, _D65),  # CalibrationIlluminant1
    ]


def _camera_fields(header: FrameHeader) -> list[Field]:
    samples = header.policy.samples_per_photosite
    return [
        text(271, "privcam"),  # Make
        text(272, description(header)),  # Model
        rationals(33434, header.exposure_us, 1_000_000),  # ExposureTime, s
        octets(50706, *_DNG_VERSION),
        octets(50707, *_DNG_BACKWARD),
        text(50708, description(header)),  # UniqueCameraModel
        shorts(50714, *[header.black_level] * samples),
        shorts(50717, *[header.white_level] * samples),
        text(50735, header.sensor),  # CameraSerialNumber
    ]


DNG = Container("DNG", ((0, MAGIC),), DIRECTORY, _front, raster_bytes, raster_length, from_raster)
