"""The private frame as a file: a DNG whose every byte follows from header, signature and samples.

Layout (docs/spec/private_frame.md, section 6): TIFF header, DNGPrivateData, one directory, the
directory's longer values, one uncompressed strip.  The private data lies at a fixed place, so
reading needs no TIFF parser: it reads the private data, writes the front of the file anew and
compares.  Nothing of a file that is accepted is left to chance, unknown tags included.
"""

from __future__ import annotations

import stat
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from adc_firmware.errors import FrameError, FrameTamperedError
from adc_firmware.frame import (
    DOMAIN,
    SIGNATURE_BYTES,
    FrameHeader,
    PrivateFrame,
    raster_bytes,
    select_grant,
    verify,
)
from keyvault.errors import PrivcamError
from keyvault.files import PUBLIC_FILE, read_bounded, write_whole
from keyvault.grant import Grant
from keyvault.policy import Cfa, Protection

SUFFIX = ".dng"
MAX_FILE_BYTES = 2**32 - 1  # classic TIFF
_TIFF = b"II*\0"
_PRIVATE = 8  # where DNGPrivateData begins
HEAD_BYTES = _PRIVATE + len(DOMAIN)
_HEADER = HEAD_BYTES + 4
_ALIGNMENT = 64
_CFA, _LINEAR_RAW = 32803, 34892
_D65 = 21
_DNG_VERSION, _DNG_BACKWARD = (1, 4, 0, 0), (1, 1, 0, 0)
_XYZ_TO_SRGB = (32406, -15372, -4986, -9689, 18758, 415, 557, -2040, 10570)  # D65, ten-thousandths
_BYTE, _ASCII, _SHORT, _LONG, _RATIONAL, _SRATIONAL = 1, 2, 3, 4, 5, 10
_FORMATS = {_BYTE: "B", _SHORT: "H", _LONG: "I", _RATIONAL: "I", _SRATIONAL: "i"}


def encode(frame: PrivateFrame) -> bytes:
    """The bytes of the frame's DNG file.

    Raises:
        FrameError: the frame is too large for a TIFF file (4 GiB).
    """
    front = _front(frame.header, frame.signature)
    return b"".join((front, raster_bytes(frame.samples)))


def decode(data: bytes, grants: Mapping[str, Grant]) -> PrivateFrame:
    """Verify the bytes of a private frame's file.

    Args:
        data: the whole file; the frame's samples are a view of it.
        grants: those at hand, by key id.

    Raises:
        FrameError: not a private frame, truncated, too long or malformed.
        ForeignFrameError: its grant is not at hand.
        FrameTamperedError: claims, container or signature do not agree.
    """
    data = bytes(data)
    header, signature = _private_data(data)
    grant = select_grant(header, grants)
    front = _front(header, signature)
    expected = len(front) + _sample_bytes(header)
    if len(data) != expected:
        what = "truncated" if len(data) < expected else "too long"
        raise FrameError(f"the private frame is {what}: {len(data)} bytes, not {expected}", hint="fetch the file again")
    if not data.startswith(front):
        raise FrameTamperedError(
            "DNG tags and authenticated header of the frame disagree", hint="fetch the file again from its origin"
        )
    return verify(header, _samples(data, len(front), header), signature, grant)


def read(path: Path | str, grants: Mapping[str, Grant]) -> PrivateFrame:
    """Read and verify a file; InputError if it cannot be read, else as decode, naming the file."""
    path = Path(path)
    data = read_bounded(path, min(_size(path), MAX_FILE_BYTES), "private frame")
    try:
        return decode(data, grants)
    except PrivcamError as error:
        raise type(error)(f"{path}: {error}", hint=error.hint) from error


def write(frame: PrivateFrame, path: Path | str) -> None:
    """Write a frame's file whole or not at all, mode 0644; OutputError if it cannot be written."""
    write_whole(Path(path), encode(frame), mode=PUBLIC_FILE)


def is_private(head: bytes) -> bool:
    """Whether a file that begins like this (HEAD_BYTES suffice) claims to be a private frame."""
    return head.startswith(_TIFF) and head.startswith(DOMAIN, _PRIVATE)


def _size(path: Path) -> int:
    try:
        status = path.stat()
    except OSError:
        return 0  # opening it says why
    if not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
        raise FrameError(f"{path} is not a regular file", hint="write the frame to a file first")
    return status.st_size


def _private_data(data: bytes) -> tuple[FrameHeader, bytes]:
    """Header and signature, neither verified."""
    if not is_private(data):
        raise FrameError("this is not a private frame", hint="private frames are written by sensor-sim capture")
    if len(data) < _HEADER:
        raise FrameError("the private frame ends inside its header", hint="fetch the file again")
    (length,) = struct.unpack_from("<I", data, _HEADER - 4)
    end = _HEADER + length
    if len(data) < end + SIGNATURE_BYTES:
        raise FrameError("the private frame ends inside its header", hint="fetch the file again")
    return FrameHeader.from_bytes(data[_HEADER:end]), data[end : end + SIGNATURE_BYTES]


def _sample_bytes(header: FrameHeader) -> int:
    return 2 * header.policy.photosites * header.policy.samples_per_photosite


def _samples(data: bytes, offset: int, header: FrameHeader) -> NDArray[np.uint16]:
    return np.frombuffer(data, "<u2", offset=offset).reshape(header.shape).astype(np.uint16, copy=False)


@dataclass(frozen=True, slots=True)
class _Field:
    """One directory entry; a value that lies elsewhere in the file has a ``place``."""

    tag: int
    kind: int
    count: int
    value: bytes
    place: int | None = None


def _front(header: FrameHeader, signature: bytes) -> bytes:
    """Everything before the samples."""
    body = header.to_bytes()
    private = DOMAIN + struct.pack("<I", len(body)) + body + signature
    directory = _PRIVATE + len(private) + len(private) % 2
    fields = [*_image_fields(header), *_colour_fields(header), *_camera_fields(header)]
    fields.append(_Field(50740, _BYTE, len(private), private, _PRIVATE))
    longer = sum(len(f.value) + len(f.value) % 2 for f in fields if f.place is None and len(f.value) > 4)
    strip = directory + 2 + 12 * (len(fields) + 1) + 4 + longer
    strip += -strip % _ALIGNMENT
    if strip + _sample_bytes(header) > MAX_FILE_BYTES:
        raise FrameError("the frame does not fit a TIFF file of 4 GiB")
    fields.append(_numbers(273, _LONG, strip))
    front = _TIFF + struct.pack("<I", directory) + private + b"\0" * (len(private) % 2) + _directory(fields, directory)
    return front.ljust(strip, b"\0")


def _directory(fields: list[_Field], start: int) -> bytes:
    """A TIFF image file directory at ``start``, with its longer values behind it."""
    place = start + 2 + 12 * len(fields) + 4
    entries, values = [struct.pack("<H", len(fields))], []
    for field in sorted(fields, key=lambda f: f.tag):
        entry = struct.pack("<HHI", field.tag, field.kind, field.count)
        if field.place is not None:
            entry += struct.pack("<I", field.place)
        elif len(field.value) <= 4:
            entry += field.value.ljust(4, b"\0")
        else:
            entry += struct.pack("<I", place)
            values.append(field.value + b"\0" * (len(field.value) % 2))
            place += len(values[-1])
        entries.append(entry)
    return b"".join((*entries, bytes(4), *values))


def _image_fields(header: FrameHeader) -> list[_Field]:
    policy = header.policy
    samples = policy.samples_per_photosite
    return [
        _numbers(254, _LONG, 0),  # NewSubfileType: full resolution
        _numbers(256, _LONG, policy.width),
        _numbers(257, _LONG, policy.height),
        _numbers(258, _SHORT, *[16] * samples),  # BitsPerSample
        _numbers(259, _SHORT, 1),  # Compression: none
        _numbers(262, _SHORT, _LINEAR_RAW if policy.cfa is Cfa.NONE else _CFA),
        _numbers(274, _SHORT, 1),  # Orientation
        _numbers(277, _SHORT, samples),
        _numbers(278, _LONG, policy.height),  # RowsPerStrip
        _numbers(279, _LONG, _sample_bytes(header)),
        _numbers(284, _SHORT, 1),  # PlanarConfiguration: chunky
        _numbers(50714, _SHORT, *[header.black_level] * samples),
        _numbers(50717, _SHORT, *[header.white_level] * samples),
    ]


def _colour_fields(header: FrameHeader) -> list[_Field]:
    fields = []
    if header.policy.cfa is not Cfa.NONE:
        fields = [
            _numbers(33421, _SHORT, 2, 2),  # CFARepeatPatternDim
            _numbers(33422, _BYTE, *("RGB".index(colour) for colour in header.policy.cfa)),
            _numbers(50710, _BYTE, 0, 1, 2),  # CFAPlaneColor
            _numbers(50711, _SHORT, 1),  # CFALayout: rectangular
        ]
    elif header.policy.samples_per_photosite == 1:
        return []
    matrix = [number for entry in _XYZ_TO_SRGB for number in (entry, 10_000)]
    neutral = [number for gain in header.white_balance for number in (1024, gain)]
    return [
        *fields,
        _numbers(50721, _SRATIONAL, *matrix),  # ColorMatrix1
        _numbers(50728, _RATIONAL, *neutral),  # AsShotNeutral
        _numbers(50778, _SHORT, _D65),  # CalibrationIlluminant1
    ]


def _camera_fields(header: FrameHeader) -> list[_Field]:
    masked = header.policy.protection is Protection.SHUFFLE_MASK
    model = "privcam private frame (shuffled, masked)" if masked else "privcam private frame (shuffled)"
    return [
        _text(271, "privcam"),  # Make
        _text(272, model),  # Model
        _numbers(33434, _RATIONAL, header.exposure_us, 1_000_000),  # ExposureTime, s
        _numbers(50706, _BYTE, *_DNG_VERSION),
        _numbers(50707, _BYTE, *_DNG_BACKWARD),
        _text(50708, model),  # UniqueCameraModel
        _text(50735, header.sensor),  # CameraSerialNumber
    ]


def _numbers(tag: int, kind: int, *values: int) -> _Field:
    count = len(values) // 2 if kind in (_RATIONAL, _SRATIONAL) else len(values)
    return _Field(tag, kind, count, struct.pack(f"<{len(values)}{_FORMATS[kind]}", *values))


def _text(tag: int, text: str) -> _Field:
    value = text.encode("ascii") + b"\0"
    return _Field(tag, _ASCII, len(value), value)
