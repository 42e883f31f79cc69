"""The private frame as a 16-bit PNG without compression (docs/spec/frame_files.md, section 4).

A PNG's image data may be compressed in any way; ours are stored, so that every byte follows from
the frame, and neither writing nor reading needs a compressor.
"""

from __future__ import annotations

import struct
import zlib

import numpy as np
from numpy.typing import NDArray

from adc_firmware.container import Container, disagreement
from adc_firmware.errors import FrameError
from adc_firmware.frame import FrameHeader
from adc_firmware.record import Record

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PRIVATE = b"prVF"  # ancillary, private, unsafe to copy
_PRIVATE_AT = len(_SIGNATURE) + 12 + 13 + 4  # type of the second chunk
_GREY, _RGB = 0, 2
_ZLIB = b"\x78\x01"
_BLOCK = 65_535
_BLOCK_HEAD = 5
_END = struct.pack(">I", 0) + b"IEND" + struct.pack(">I", zlib.crc32(b"IEND"))
_MAX_CHUNK = 2**31 - 1
_AROUND = 12  # length, type and checksum of a chunk


def _front(record: Record) -> bytes:
    """Everything before the chunk IDAT."""
    policy = record.header.policy
    if _stream_bytes(record.header) > _MAX_CHUNK:
        raise FrameError("the frame does not fit a PNG's chunk of 2 GiB")
    colour = _GREY if policy.samples_per_photosite == 1 else _RGB
    size = struct.pack(">IIBBBBB", policy.width, policy.height, 16, colour, 0, 0, 0)
    return _SIGNATURE + _chunk(b"IHDR", size) + _chunk(_PRIVATE, record.to_bytes())


def _body(samples: NDArray[np.uint16]) -> memoryview:
    """The chunks IDAT and IEND."""
    lines = np.zeros((len(samples), 1 + samples[0].size * 2), np.uint8)  # filter type 0, then big-endian
    lines[:, 1:] = samples.astype(">u2").view(np.uint8).reshape(len(samples), -1)
    data = lines.reshape(-1)
    start, size = 8 + len(_ZLIB), _stored_bytes(data.size)
    out = np.empty(start + size + 8 + len(_END), np.uint8)
    _store(data, out[start : start + size])
    out[:start] = _octets(struct.pack(">I", size + len(_ZLIB) + 4) + b"IDAT" + _ZLIB)
    out[start + size : start + size + 4] = _octets(struct.pack(">I", zlib.adler32(data.data)))
    out[start + size + 4 : start + size + 8] = _octets(struct.pack(">I", zlib.crc32(out[4 : start + size + 4].data)))
    out[start + size + 8 :] = _octets(_END)
    return out.data


def _samples(body: memoryview, header: FrameHeader) -> NDArray[np.uint16]:
    """The samples in the places where they must be, if the body is what comes of them."""
    height, line = header.policy.height, _line_bytes(header)
    data = np.empty(height * line, np.uint8)
    start = 8 + len(_ZLIB)
    _unstore(_octets(body)[start : start + _stored_bytes(data.size)], data)
    pixels = np.ascontiguousarray(data.reshape(height, line)[:, 1:]).view(">u2")
    samples = pixels.astype(np.uint16).reshape(header.shape)
    if not np.array_equal(_octets(_body(samples)), _octets(body)):
        raise disagreement("PNG")
    return samples


def _store(data: NDArray[np.uint8], out: NDArray[np.uint8]) -> None:
    """Stored blocks of DEFLATE."""
    last = (data.size - 1) // _BLOCK * _BLOCK  # where the last block begins
    whole = out[: last // _BLOCK * (_BLOCK + _BLOCK_HEAD)].reshape(-1, _BLOCK + _BLOCK_HEAD)
    whole[:, :_BLOCK_HEAD] = _octets(_block_head(0, _BLOCK))
    whole[:, _BLOCK_HEAD:] = data[:last].reshape(-1, _BLOCK)
    rest = out[whole.size :]
    rest[:_BLOCK_HEAD] = _octets(_block_head(1, data.size - last))
    rest[_BLOCK_HEAD:] = data[last:]


def _unstore(stored: NDArray[np.uint8], out: NDArray[np.uint8]) -> None:
    """The inverse of _store, whatever the heads of the blocks are."""
    last = (out.size - 1) // _BLOCK * _BLOCK
    whole = stored[: last // _BLOCK * (_BLOCK + _BLOCK_HEAD)].reshape(-1, _BLOCK + _BLOCK_HEAD)
    out[:last].reshape(-1, _BLOCK)[...] = whole[:, _BLOCK_HEAD:]
    out[last:] = stored[whole.size + _BLOCK_HEAD :]


def _block_head(final: int, size: int) -> bytes:
    return struct.pack("<BHH", final, size, size ^ 0xFFFF)


def _line_bytes(header: FrameHeader) -> int:
    return 1 + 2 * header.policy.width * header.policy.samples_per_photosite


def _stored_bytes(size: int) -> int:
    return size + _BLOCK_HEAD * -(-size // _BLOCK)


def _stream_bytes(header: FrameHeader) -> int:
    return len(_ZLIB) + _stored_bytes(header.policy.height * _line_bytes(header)) + 4


def _body_bytes(header: FrameHeader) -> int:
    return _stream_bytes(header) + _AROUND + len(_END)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _octets(data: bytes | memoryview) -> NDArray[np.uint8]:
    return np.frombuffer(data, np.uint8)


PNG = Container(
    "PNG",
    ((0, _SIGNATURE), (_PRIVATE_AT, _PRIVATE)),
    _PRIVATE_AT + len(_PRIVATE),
    _front,
    _body,
    _body_bytes,
    _samples,
)
