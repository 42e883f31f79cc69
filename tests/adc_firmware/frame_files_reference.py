"""A second implementation of docs/spec/frame_files.md, written from the document.

It shares no code with adc_firmware; what is private_frame.md's comes from frame_reference.
"""

from __future__ import annotations

import json
import struct
import zlib
from typing import Any

import frame_reference as frames
import numpy as np
from bit_packing import GROUPS, packed, parsed
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from numpy.typing import NDArray

SPECIFICATION = "privcam frame files v1"
V4L2_16 = {"Y16", "SRGGB16", "SGRBG16", "SGBRG16", "SBGGR16"}
ONE_FILE = ("dng", "tiff", "png")


def record(header: dict[str, Any], signature: bytes) -> bytes:
    body = frames.canonical(header)
    return frames.NAME + struct.pack("<I", len(body)) + body + signature


def shape(header: dict[str, Any]) -> tuple[int, ...]:
    policy = header["policy"]
    plane = (policy["height"], policy["width"])
    return plane if policy["samples_per_photosite"] == 1 else (*plane, 3)


def data_bytes(encoding: str, header: dict[str, Any], signature: bytes, stored: NDArray[np.uint16]) -> bytes:
    """The file, or the data file, of a frame; ``stored`` in the header's shape."""
    raster = stored.astype("<u2").tobytes()
    if encoding == "dng":
        return frames.before_strip(header, signature) + raster
    if encoding == "tiff":
        return tiff_front(header, signature) + raster
    if encoding == "png":
        return png(header, signature, stored)
    if encoding == "npy":
        return npy_head(header) + raster
    return packed(stored, encoding)


def sidecar_bytes(encoding: str, header: dict[str, Any], signature: bytes) -> bytes | None:
    if encoding in ONE_FILE:
        return None
    members = {"encoding": encoding, "header": header, "signature": signature.hex(), "specification": SPECIFICATION}
    return frames.canonical(members)


def tiff_front(header: dict[str, Any], signature: bytes) -> bytes:
    """Section 3, up to the strip."""
    policy, block = header["policy"], record(header, signature)
    width, height, samples = policy["width"], policy["height"], policy["samples_per_photosite"]
    text = frames.tags(header)[50708][1]
    entries: dict[int, tuple[int, int, bytes]] = {  # tag -> type, count, octets
        254: (4, 1, struct.pack("<I", 0)),
        256: (4, 1, struct.pack("<I", width)),
        257: (4, 1, struct.pack("<I", height)),
        258: (3, samples, struct.pack("<H", 16) * samples),
        259: (3, 1, struct.pack("<H", 1)),
        262: (3, 1, struct.pack("<H", 2 if samples == 3 else 1)),
        270: (2, len(text), text),
        273: (4, 1, bytes(4)),
        274: (3, 1, struct.pack("<H", 1)),
        277: (3, 1, struct.pack("<H", samples)),
        278: (4, 1, struct.pack("<I", height)),
        279: (4, 1, struct.pack("<I", 2 * width * height * samples)),
        282: (5, 1, struct.pack("<II", 1, 1)),
        283: (5, 1, struct.pack("<II", 1, 1)),
        284: (3, 1, struct.pack("<H", 1)),
        296: (3, 1, struct.pack("<H", 1)),
        339: (3, samples, struct.pack("<H", 1) * samples),
        65000: (1, len(block), b""),
    }
    directory = 16 + len(block) + len(block) % 2
    values_at = directory + 2 + 12 * len(entries) + 4
    values = b""
    places = {}
    for tag, (_, _, octets) in entries.items():
        if len(octets) > 4:
            places[tag] = values_at + len(values)
            values += octets + bytes(len(octets) % 2)
    strip = -(-(values_at + len(values)) // 64) * 64
    places[65000] = 16
    lines = b""
    for tag, (kind, count, octets) in entries.items():
        value = struct.pack("<I", places[tag]) if tag in places else octets.ljust(4, b"\0")
        lines += struct.pack("<HHI", tag, kind, count) + (struct.pack("<I", strip) if tag == 273 else value)
    head = b"II*\0" + struct.pack("<I", directory) + b"TIFF v1\0" + block + bytes(len(block) % 2)
    return (head + struct.pack("<H", len(entries)) + lines + bytes(4) + values).ljust(strip, b"\0")


def png(header: dict[str, Any], signature: bytes, stored: NDArray[np.uint16]) -> bytes:
    """Section 4."""
    policy = header["policy"]
    colour = 2 if policy["samples_per_photosite"] == 3 else 0
    size = struct.pack(">II", policy["width"], policy["height"]) + bytes([16, colour, 0, 0, 0])
    lines = b"".join(b"\0" + line.astype(">u2").tobytes() for line in stored)
    blocks = [lines[i : i + 65535] for i in range(0, len(lines), 65535)]
    stream = b"\x78\x01"
    for number, block in enumerate(blocks, 1):
        last = number == len(blocks)
        stream += bytes([last]) + struct.pack("<HH", len(block), 65535 - len(block)) + block
    stream += struct.pack(">I", zlib.adler32(lines))
    chunks = ((b"IHDR", size), (b"prVF", record(header, signature)), (b"IDAT", stream), (b"IEND", b""))
    parts = (struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in chunks)
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def npy_head(header: dict[str, Any]) -> bytes:
    numbers = ", ".join(str(number) for number in shape(header))
    text = "{'descr': '<u2', 'fortran_order': False, 'shape': (%s), }" % numbers  # noqa: UP031 - as the document has it
    return b"\x93NUMPY\x01\0" + struct.pack("<H", 118) + text.ljust(117).encode() + b"\n"


def holds(encoding: str, policy: dict[str, Any]) -> bool:
    """Section 2; the size limits are out of reach of a vector."""
    if encoding in (*ONE_FILE, "npy"):
        return True
    cfa, bits, order = parsed(encoding)
    return (
        policy["samples_per_photosite"] == 1
        and cfa in (None, policy["cfa"])
        and (policy["bits"] == bits or encoding in V4L2_16)
        and (order != "mipi" or policy["width"] % GROUPS[bits] == 0)
    )


def refusal(data: bytes, sidecar: bytes | None, grants: list[dict[str, Any]]) -> str | None:
    """Section 6: the class that refuses the files, or None."""
    tiff = data.startswith(b"II*\0")
    if tiff and data[8:33] == frames.NAME:
        return frames.refusal(data, grants)
    if tiff and data[8:16] == b"TIFF v1\0" and data[16:41] == frames.NAME:
        return one_file("tiff", data, 16, grants)
    if data.startswith(b"\x89PNG\r\n\x1a\n") and data[37:41] == b"prVF" and data[41:66] == frames.NAME:
        return one_file("png", data, 41, grants)
    return "FrameError" if sidecar is None else pair(data, sidecar, grants)


def one_file(encoding: str, data: bytes, place: int, grants: list[dict[str, Any]]) -> str | None:
    (length,) = struct.unpack("<I", data[place + 25 : place + 29].ljust(4, b"\0"))
    end = place + 29 + length
    if length > 16384 or len(data) < end + 64:
        return "FrameError"
    header = header_in(data[place + 29 : end])
    if header is None:
        return "FrameError"
    grant = {frames.key_id(one): one for one in grants}.get(header["key_id"])
    if grant is None:
        return "ForeignFrameError"
    signature, blank = data[end : end + 64], np.zeros(shape(header), np.uint16)
    if len(data) != len(data_bytes(encoding, header, signature, blank)):
        return "FrameError"
    stored = stored_in(encoding, data, header, end)
    if data != data_bytes(encoding, header, signature, stored) or not granted(header, grant):
        return "FrameTamperedError"
    return signed(header, signature, stored, grant)


def stored_in(encoding: str, data: bytes, header: dict[str, Any], end: int) -> NDArray[np.uint16]:
    count = int(np.prod(shape(header)))
    if encoding == "tiff":
        return np.frombuffer(data[-2 * count :], "<u2").reshape(shape(header))
    stream = data[end + 64 + 4 + 8 + 2 : -20]
    lines = b"".join(stream[i + 5 : i + 65540] for i in range(0, len(stream), 65540))
    rows = np.frombuffer(lines, np.uint8).reshape(shape(header)[0], -1)[:, 1:]
    return np.frombuffer(rows.tobytes(), ">u2").reshape(shape(header)).astype(np.uint16)


def pair(data: bytes, sidecar: bytes, grants: list[dict[str, Any]]) -> str | None:
    members = sidecar_in(sidecar)
    if members is None:
        return "FrameError"
    header, encoding = members["header"], members["encoding"]
    signature = bytes.fromhex(members["signature"])
    grant = {frames.key_id(one): one for one in grants}.get(header["key_id"])
    if grant is None:
        return "ForeignFrameError"
    if not granted(header, grant) or not holds(encoding, header["policy"]):
        return "FrameTamperedError"
    blank = np.zeros(shape(header), np.uint16)
    if len(data) != len(data_bytes(encoding, header, signature, blank)):
        return "FrameError"
    stored = unpacked(encoding, data, header)
    if data != data_bytes(encoding, header, signature, stored):
        return "FrameTamperedError"
    return signed(header, signature, stored, grant)


def unpacked(encoding: str, data: bytes, header: dict[str, Any]) -> NDArray[np.uint16]:
    """By trial: which samples set which bits is found with the packer, one bit at a time."""
    if encoding == "npy":
        return np.frombuffer(data[128:], "<u2").reshape(shape(header))
    found = int.from_bytes(data, "little")
    stored = np.zeros(shape(header), np.uint16)
    for index in range(stored.size):
        for bit in range(parsed(encoding)[1]):
            probe = np.zeros_like(stored)
            probe.flat[index] = 1 << bit
            stored.flat[index] |= (int.from_bytes(packed(probe, encoding), "little") & found != 0) << bit
    return stored


def header_in(body: bytes) -> dict[str, Any] | None:
    try:
        header = json.loads(body)
    except ValueError:
        return None
    right = isinstance(header, dict) and frames.canonical(header) == body and frames.well_formed(header)
    return header if right else None


def sidecar_in(sidecar: bytes) -> dict[str, Any] | None:
    try:
        members = json.loads(sidecar)
    except ValueError:
        return None
    if not isinstance(members, dict) or frames.canonical(members) != sidecar or len(sidecar) > 17408:
        return None
    if set(members) != {"encoding", "header", "signature", "specification"}:
        return None
    try:
        known = members["encoding"] == "npy" or bool(parsed(members["encoding"]))
    except AssertionError:
        return None
    octets = members["signature"]
    signature = len(octets) == 128 and set(octets) <= set("0123456789abcdef")
    specified = members["specification"] == SPECIFICATION
    header = header_in(frames.canonical(members["header"]))
    return members if known and signature and specified and header else None


def granted(header: dict[str, Any], grant: dict[str, Any]) -> bool:
    return all(header[name] == said for name, said in frames.said_by(grant).items())


def signed(header: dict[str, Any], signature: bytes, stored: NDArray[np.uint16], grant: dict[str, Any]) -> str | None:
    raster = stored.astype("<u2").tobytes()
    try:
        public = Ed25519PublicKey.from_public_bytes(frames.octets(grant["sensor_key"]))
        public.verify(signature, frames.signed_bytes(frames.canonical(header), raster))
    except InvalidSignature:
        return "FrameTamperedError"
    return "FrameError" if stored.max() >= 2 ** header["policy"]["bits"] else None
