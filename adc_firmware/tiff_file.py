"""TIFF files with one directory and one uncompressed strip, of which every byte is decided."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from adc_firmware.errors import FrameError
from adc_firmware.frame import FrameHeader, sample_bytes
from keyvault.policy import Protection

MAX_BYTES = 2**32 - 1
MAGIC = b"II*\0"
DIRECTORY = len(MAGIC) + 4  # what follows the offset of the directory
_ALIGNMENT = 64
_BYTE, _ASCII, _SHORT, _LONG, _RATIONAL, _SRATIONAL = 1, 2, 3, 4, 5, 10
_FORMATS = {_BYTE: "B", _SHORT: "H", _LONG: "I", _RATIONAL: "I", _SRATIONAL: "i"}
_STRIP_OFFSETS = 273


@dataclass(frozen=True, slots=True)
class Field:
    """One directory entry; a value that lies elsewhere in the file has a ``place``."""

    tag: int
    kind: int
    count: int
    value: bytes
    place: int | None = None


def octets(tag: int, *values: int) -> Field:
    """A field of type BYTE."""
    return _numbers(tag, _BYTE, values)


def shorts(tag: int, *values: int) -> Field:
    """A field of type SHORT."""
    return _numbers(tag, _SHORT, values)


def longs(tag: int, *values: int) -> Field:
    """A field of type LONG."""
    return _numbers(tag, _LONG, values)


def rationals(tag: int, *values: int) -> Field:
    """A field of type RATIONAL: numerator, denominator, ..."""
    return _numbers(tag, _RATIONAL, values)


def srationals(tag: int, *values: int) -> Field:
    """A field of type SRATIONAL: numerator, denominator, ..."""
    return _numbers(tag, _SRATIONAL, values)


def text(tag: int, value: str) -> Field:
    """A field of type ASCII."""
    data = value.encode("ascii") + b"\0"
    return Field(tag, _ASCII, len(data), data)


def image_fields(header: FrameHeader, photometric: int) -> list[Field]:
    """The fields that every kind of TIFF has, but for the strip's place."""
    policy = header.policy
    samples = policy.samples_per_photosite
    return [
        longs(254, 0),  # NewSubfileType: full resolution
        longs(256, policy.width),
        longs(257, policy.height),
        shorts(258, *[16] * samples),  # BitsPerSample
        shorts(259, 1),  # Compression: none
        shorts(262, photometric),
        shorts(274, 1),  # Orientation
        shorts(277, samples),
        longs(278, policy.height),  # RowsPerStrip
        longs(279, sample_bytes(policy)),
        shorts(284, 1),  # PlanarConfiguration: chunky
    ]


def description(header: FrameHeader) -> str:
    """What a viewer can tell a person who wonders about the noise."""
    masked = header.policy.protection is Protection.SHUFFLE_MASK
    return "privcam private frame (shuffled, masked)" if masked else "privcam private frame (shuffled)"


def front(header: FrameHeader, mark: bytes, record: tuple[int, bytes], fields: list[Field]) -> bytes:
    """Everything before the strip.

    Args:
        header: of the frame.
        mark: what stands between the directory's offset and the record; of even length.
        record: its tag and its bytes.
        fields: all others but StripOffsets.

    Raises:
        FrameError: the file would be longer than 4 GiB.
    """
    tag, private = record
    place = DIRECTORY + len(mark)
    private_field = Field(tag, _BYTE, len(private), private, place)
    directory = place + len(private) + len(private) % 2
    longer = sum(len(f.value) + len(f.value) % 2 for f in fields if len(f.value) > 4)
    strip = directory + 2 + 12 * (len(fields) + 2) + 4 + longer
    strip += -strip % _ALIGNMENT
    if strip + sample_bytes(header.policy) > MAX_BYTES:
        raise FrameError("the frame does not fit a TIFF file of 4 GiB")
    entries = _directory([*fields, private_field, longs(_STRIP_OFFSETS, strip)], directory)
    head = MAGIC + struct.pack("<I", directory) + mark + private + b"\0" * (len(private) % 2)
    return (head + entries).ljust(strip, b"\0")


def _directory(fields: list[Field], start: int) -> bytes:
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


def _numbers(tag: int, kind: int, values: tuple[int, ...]) -> Field:
    count = len(values) // 2 if kind in (_RATIONAL, _SRATIONAL) else len(values)
    return Field(tag, kind, count, struct.pack(f"<{len(values)}{_FORMATS[kind]}", *values))
