"""Write tests/vectors/frame_files/: python tools/make_frame_files_vectors.py

The frames are those of the vectors of the private frame; the files around them are made by this
project's implementation and checked, in the tests, by a second one that was written from
docs/spec/frame_files.md alone.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np

from adc_firmware import data_file
from adc_firmware.dng import decode
from adc_firmware.encodings import Encoding
from adc_firmware.files import CONTAINERS
from adc_firmware.frame import PrivateFrame, sign
from adc_firmware.packing import pack
from adc_firmware.record import Record
from adc_firmware.sidecar import SPECIFICATION, Sidecar
from keyvault import canonical, claims
from keyvault.console import Command
from keyvault.files import write_whole
from make_private_frame_vectors import sensor_signer

FRAMES = Path(__file__).parents[1] / "tests" / "vectors" / "private_frame"
DEFAULT_OUTPUT = FRAMES.with_name("frame_files")
ACCEPTED = {
    "bayer": ("dng", "tiff", "png", "npy", "SRGGB12", "SRGGB16", "SRGGB12P", "BayerRG12", "BayerRG12p", "DNG12"),
    "bggr_16_bits": ("tiff", "png", "npy", "SBGGR16", "BayerBG16"),
    "quads": ("npy", "SGRBG10", "SGRBG10P", "BayerGR10", "BayerGR10p", "DNG10"),
    "fixed_key": ("SGBRG8", "SGBRG16", "BayerGB8"),
    "mono": ("tiff", "png", "npy", "Y14", "Y16", "Mono14", "DNG14"),
    "stacked": ("dng", "tiff", "png", "npy"),
    "shuffle": ("tiff", "SRGGB12P"),
    "smallest": ("tiff", "png", "npy", "Y12", "Mono12p", "DNG12"),
}


@dataclass(frozen=True)
class _Files:
    """The bytes of a file, or of a data file and its sidecar."""

    data: bytes
    sidecar: bytes | None = None


def _source(name: str) -> tuple[PrivateFrame, list[dict[str, Any]]]:
    """A frame of the vectors, and the grants that go with it."""
    vector = json.loads((FRAMES / f"accept_{name}.json").read_text())
    grants = [grant for value in vector["grants"] for grant in claims.from_json(value)]
    return decode(bytes.fromhex(vector["file"]), {grant.key_id: grant for grant in grants}), vector["grants"]


def _encoded(frame: PrivateFrame, name: str) -> _Files:
    encoding = Encoding(name)
    if not encoding.has_sidecar:
        return _Files(CONTAINERS[encoding].encode(frame))
    beside = Sidecar(Record(frame.header, frame.signature), encoding)
    return _Files(data_file.encode(frame, encoding), beside.to_bytes())


def _vector(covers: str, files: _Files, grants: list[dict[str, Any]], error: str | None) -> dict[str, Any]:
    return {
        "specification": SPECIFICATION,
        "covers": covers,
        "error": error,
        "grants": grants,
        "data": files.data.hex(),
        "sidecar": None if files.sidecar is None else files.sidecar.hex(),
    }


def _accepted() -> dict[str, dict[str, Any]]:
    vectors = {}
    for name, encodings in ACCEPTED.items():
        frame, grants = _source(name)
        for encoding in encodings:
            covers = f"{frame.header.policy.width}x{frame.header.policy.height}, {name}, as {encoding}"
            vectors[f"accept_{name}_{encoding}"] = _vector(covers, _encoded(frame, encoding), grants, None) | {
                "encoding": encoding,
                "header": json.loads(frame.header.to_bytes()),
                "signature": frame.signature.hex(),
                "stored": frame.samples.reshape(-1).tolist(),
            }
    return vectors


def _flipped(data: bytes, place: int) -> bytes:
    place %= len(data)
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


def _chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    """Kind and content of a PNG's chunks."""
    found, place = [], 8
    while place < len(data):
        (length,) = struct.unpack_from(">I", data, place)
        found.append((data[place + 4 : place + 8], data[place + 8 : place + 8 + length]))
        place += length + 12
    return found


def _png(chunks: list[tuple[bytes, bytes]]) -> bytes:
    parts = (struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in chunks)
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def _recompressed(data: bytes) -> bytes:
    chunks = dict(_chunks(data))
    lines, coder = zlib.decompress(chunks[b"IDAT"]), zlib.compressobj()
    halves = coder.compress(lines[:40]) + coder.flush(zlib.Z_FULL_FLUSH) + coder.compress(lines[40:])
    chunks[b"IDAT"] = halves + coder.flush()
    return _png(list(chunks.items()))


def _beside(files: _Files, change: Callable[[dict[str, Any]], dict[str, Any]]) -> _Files:
    """With a sidecar that says something else, in canonical form."""
    return _Files(files.data, canonical.dumps(change(json.loads(files.sidecar or b""))))


def _refused() -> dict[str, tuple[str, str, _Files]]:
    """Name -> error, what it covers, files; all variations of two frames under one grant each."""
    return {**_refused_containers(), **_refused_npy(), **_refused_packed()}


def _refused_containers() -> dict[str, tuple[str, str, _Files]]:
    frame, _ = _source("bayer")
    tiff, png = _encoded(frame, "tiff").data, _encoded(frame, "png").data
    chunks = _chunks(png)
    form, tampered = "FrameError", "FrameTamperedError"
    other = [(k, _flipped(d, 3) if k == b"IHDR" else d) for k, d in chunks]
    text = [*chunks[:2], (b"tEXt", b"Comment\0hello"), *chunks[2:]]
    moved = [chunks[0], chunks[2], chunks[1], chunks[3]]
    split = [*chunks[:2], (b"IDAT", chunks[2][1][:20]), (b"IDAT", chunks[2][1][20:]), chunks[3]]
    odd = frame.samples.copy()
    odd.flat[5] = 4096
    return {
        "tiff_mark": (form, "neither the DNG's place of the record nor the TIFF's mark", _Files(_flipped(tiff, 8))),
        "tiff_description": (tampered, "another ImageDescription", _Files(tiff.replace(b"(shuffled", b"(Shuffled"))),
        "tiff_width": (tampered, "another ImageWidth", _Files(_flipped(tiff, tiff.index(b"\0\1\4\0\1\0\0\0") + 8))),
        "tiff_sample": (tampered, "a bit of the last sample", _Files(_flipped(tiff, -2))),
        "tiff_truncated": (form, "the last byte is missing", _Files(tiff[:-1])),
        "tiff_trailing": (form, "a byte too many", _Files(tiff + b"\0")),
        "tiff_as_dng": (form, "a TIFF's record at the place of a DNG's", _Files(tiff[:8] + tiff[16:])),
        "png_size": (tampered, "another width in IHDR, its checksum right", _Files(_png(other))),
        "png_checksum": (tampered, "a bit of a chunk's checksum", _Files(_flipped(png, 30))),
        "png_text": (form, "one more chunk", _Files(_png(text))),
        "png_order": (form, "the record behind the image data", _Files(_png(moved))),
        "png_split": (form, "image data in two chunks", _Files(_png(split))),
        "png_recompressed": (form, "the same samples compressed", _Files(_recompressed(png))),
        "png_filter": (tampered, "a filter type of 1, checksums wrong", _Files(_flipped(png, png.index(b"IDAT") + 11))),
        "png_sample": (tampered, "a bit of the last sample", _Files(_flipped(png, -22))),
        "png_truncated": (form, "without IEND", _Files(png[:-12])),
        "png_trailing": (form, "a byte behind IEND", _Files(png + b"\0")),
        "png_without_record": (form, "a PNG like others", _Files(_png([chunks[0], *chunks[2:]]))),
        "png_beyond": (form, "a signed sample of 2^bits", _encoded(sign(frame.header, odd, sensor_signer()), "png")),
    }


def _refused_npy() -> dict[str, tuple[str, str, _Files]]:
    frame, _ = _source("bayer")
    files = _encoded(frame, "npy")
    data = files.data
    form, tampered = "FrameError", "FrameTamperedError"
    other = _encoded(sign(frame.header, frame.samples ^ np.uint16(1), sensor_signer()), "npy")
    spaced = _Files(data, (files.sidecar or b"").replace(b":", b": ", 1))
    return {
        "npy_alone": (form, "without sidecar", _Files(data)),
        "npy_order": (tampered, "Fortran order", _Files(data.replace(b"False,", b"True, "), files.sidecar)),
        "npy_type": (tampered, "big-endian words", _Files(data.replace(b"<u2", b">u2"), files.sidecar)),
        "npy_shape": (
            tampered,
            "rows and columns exchanged",
            _Files(data.replace(b"(6, 8)", b"(8, 6)"), files.sidecar),
        ),
        "npy_sample": (tampered, "a bit of the first sample", _Files(_flipped(data, 128), files.sidecar)),
        "npy_truncated": (form, "the last byte is missing", _Files(data[:-1], files.sidecar)),
        "npy_trailing": (form, "a byte too many", _Files(data + b"\0", files.sidecar)),
        "npy_swapped": (tampered, "another frame's sidecar", _Files(data, other.sidecar)),
        "npy_spaces": (form, "white space in the sidecar", spaced),
        "npy_unknown": (form, "an unknown member", _beside(files, lambda m: m | {"zoom": 1})),
        "npy_missing": (form, "no signature", _beside(files, lambda m: {k: m[k] for k in m if k != "signature"})),
        "npy_upper": (form, "digits A to F", _beside(files, lambda m: m | {"signature": m["signature"].upper()})),
        "npy_specification": (form, "another specification", _beside(files, lambda m: m | {"specification": "v2"})),
        "npy_encoding": (form, "an unknown encoding", _beside(files, lambda m: m | {"encoding": "RAW12"})),
        "npy_container": (form, "an encoding without sidecar", _beside(files, lambda m: m | {"encoding": "tiff"})),
        "npy_counter": (
            tampered,
            "another counter",
            _beside(files, lambda m: m | {"header": m["header"] | {"counter": 9}}),
        ),
        "npy_policy": (
            tampered,
            "another geometry",
            _beside(files, lambda m: m | {"header": m["header"] | {"policy": m["header"]["policy"] | {"height": 4}}}),
        ),
        "npy_foreign": (
            "ForeignFrameError",
            "a key id that is not at hand",
            _beside(files, lambda m: m | {"header": m["header"] | {"key_id": "0123456789abcdef"}}),
        ),
    }


def _refused_packed() -> dict[str, tuple[str, str, _Files]]:
    frame, _ = _source("bayer")
    files = _encoded(frame, "SRGGB12P")
    data = files.data
    form, tampered = "FrameError", "FrameTamperedError"

    def named(name: str) -> _Files:
        return _beside(files, lambda members: members | {"encoding": name})

    high = np.frombuffer(_encoded(frame, "SRGGB12").data, "<u2").copy()
    high[3] |= 1 << 13
    words = _Files(high.tobytes(), _encoded(frame, "SRGGB12").sidecar)
    return {
        "packed_alone": (form, "without sidecar", _Files(data)),
        "packed_sample": (tampered, "a bit of the last byte", _Files(_flipped(data, -1), files.sidecar)),
        "packed_truncated": (form, "the last byte is missing", _Files(data[:-1], files.sidecar)),
        "packed_trailing": (form, "a byte too many", _Files(data + b"\0", files.sidecar)),
        "packed_unpacked": (form, "words under a packed name", _Files(pack(frame.samples, "SRGGB12"), files.sidecar)),
        "packed_order": (tampered, "the bit order of another packing", named("BayerRG12p")),
        "packed_mosaic": (tampered, "another mosaic", named("SGRBG12P")),
        "packed_bits": (tampered, "another depth", named("SRGGB10P")),
        "packed_case": (form, "a name in another case", named("SRGGB12p")),
        "packed_high_bits": (tampered, "an unused bit of a word", words),
    }


def _refused_padding() -> dict[str, dict[str, Any]]:
    """Of a frame whose packed bits do not fill the last byte."""
    frame, grants = _source("smallest")
    vectors = {}
    for name in ("Mono12p", "DNG12"):
        files = _encoded(frame, name)
        place = 7 if name == "Mono12p" else 0
        data = files.data[:-1] + bytes([files.data[-1] | 1 << place])
        covers = f"an unused bit of the last byte, {name}"
        vectors[f"refuse_padding_{name}"] = _vector(covers, _Files(data, files.sidecar), grants, "FrameTamperedError")
    return vectors


@click.command(cls=Command)
@click.option("-o", "--output", type=click.Path(path_type=Path), default=DEFAULT_OUTPUT, show_default=True)
def main(output: Path) -> None:
    """Write the test vectors of the frame files."""
    output.mkdir(parents=True, exist_ok=True)
    _, grants = _source("bayer")
    vectors = _accepted() | _refused_padding()
    for name, (error, covers, files) in _refused().items():
        vectors[f"refuse_{name}"] = _vector(covers, files, grants, error)
    for name, vector in vectors.items():
        lines = (f" {json.dumps(member)}: {json.dumps(value)}" for member, value in vector.items())
        write_whole(output / f"{name}.json", ("{\n" + ",\n".join(lines) + "\n}\n").encode("ascii"))


if __name__ == "__main__":
    main()
