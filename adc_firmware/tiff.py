"""The private frame as a 16-bit TIFF for programs that know no DNG (docs/spec/frame_files.md, section 3)."""

from __future__ import annotations

from adc_firmware.container import Container, from_raster, raster_length
from adc_firmware.frame import raster_bytes
from adc_firmware.record import Record
from adc_firmware.tiff_file import DIRECTORY, MAGIC, description, front, image_fields, rationals, shorts, text

_MARK = b"TIFF v1\0"
_RECORD = 65000  # a tag of TIFF's reusable range
_BLACK_IS_ZERO, _RGB = 1, 2
_UNSIGNED = 1
_NO_UNIT = 1


def _front(record: Record) -> bytes:
    header = record.header
    samples = header.policy.samples_per_photosite
    fields = [
        *image_fields(header, _BLACK_IS_ZERO if samples == 1 else _RGB),
        text(270, description(header)),  # ImageDescription
        rationals(282, 1, 1),  # XResolution
        rationals(283, 1, 1),  # YResolution
        shorts(296, _NO_UNIT),  # ResolutionUnit
        shorts(339, *[_UNSIGNED] * samples),  # SampleFormat
    ]
    return front(header, _MARK, (_RECORD, record.to_bytes()), fields)


TIFF = Container(
    "TIFF",
    ((0, MAGIC), (DIRECTORY, _MARK)),
    DIRECTORY + len(_MARK),
    _front,
    raster_bytes,
    raster_length,
    from_raster,
)
