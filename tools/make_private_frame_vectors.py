"""Write tests/vectors/private_frame/: python tools/make_private_frame_vectors.py

The files are made by this project's implementation and checked, in the tests, by a second one that
was written from docs/spec/private_frame.md alone.
"""

from __future__ import annotations

import hashlib
import json
import struct
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click
import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from numpy.typing import NDArray

from adc_firmware.addressing import MaskGenerator
from adc_firmware.converter import Converter
from adc_firmware.dng import encode
from adc_firmware.frame import DOMAIN, FrameHeader, PrivateFrame, sample_shape, sign
from adc_firmware.readout import Addresses, read_rows
from keyvault.claims import to_json
from keyvault.console import Command
from keyvault.derivation import FrameId, commitment, derive_frame_secrets
from keyvault.expansion import expand
from keyvault.files import write_whole
from keyvault.grant import Grant, Kind, Recipient
from keyvault.identity import thumbprint
from keyvault.policy import Cfa, FrameKeys, Policy, Protection, Unit

SPECIFICATION = "privcam private frame v1"
DEFAULT_OUTPUT = Path(__file__).parents[1] / "tests" / "vectors" / "private_frame"


@dataclass(frozen=True)
class _Case:
    name: str
    covers: str
    policy: Policy
    volts: bool = False
    gain: float = 1024.0  # DN per volt; halves of a DN are exact with it


CASES = (
    _Case("bayer", "the default policy: RGGB, 12 bits, frame scope, masked", Policy(8, 6)),
    _Case("bggr_16_bits", "BGGR, full 16 bits, from volts", Policy(6, 4, Cfa.BGGR, bits=16), volts=True, gain=1000 / 3),
    _Case("quads", "GRBG quads in bands, 10 bits", Policy(8, 10, Cfa.GRBG, bits=10, unit=Unit.QUAD, scope="band:4")),
    _Case(
        "fixed_key",
        "GBRG, rows, 8 bits, no mask, a fixed key: session and counter do not enter",
        Policy(6, 4, Cfa.GBRG, 1, 8, Unit.PHOTOSITE, "row", Protection.SHUFFLE, FrameKeys.FIXED),
    ),
    _Case("mono", "monochrome of odd size, 14 bits, from volts", Policy(7, 5, Cfa.NONE, bits=14), volts=True),
    _Case("stacked", "three samples a photosite", Policy(5, 3, Cfa.NONE, 3)),
    _Case("stacked_quads", "stacked quads, from volts", Policy(4, 6, Cfa.NONE, 3, 9, Unit.QUAD), volts=True),
    _Case("shuffle", "per-frame keys without a mask", Policy(4, 4, protection=Protection.SHUFFLE, bits=12), volts=True),
    _Case("smallest", "a single photosite", Policy(1, 1, Cfa.NONE)),
    _Case("bands", "photosites in bands of which the last is smaller", Policy(4, 8, scope="band:3"), volts=True),
    _Case("quad_rows", "rows of quads", Policy(8, 4, Cfa.BGGR, unit=Unit.QUAD, scope="row")),
)


@dataclass(frozen=True)
class _Array:
    """An AnalogSource over an array."""

    values: NDArray[Any]
    black_level: int
    white_level: int

    @property
    def shape(self) -> tuple[int, ...]:
        return self.values.shape

    def rows(self, first: int, last: int) -> NDArray[Any]:
        return self.values[first:last]


def _secret(name: str) -> bytes:
    return hashlib.sha256(f"{SPECIFICATION}, {name}".encode("ascii")).digest()


def sensor_signer(name: str = "signing key") -> Ed25519PrivateKey:
    """A sensor's signing key that follows from its name."""
    return Ed25519PrivateKey.from_private_bytes(_secret(name))


def _grant(policy: Policy) -> Grant:
    public = sensor_signer().public_key()
    return Grant(
        sensor="vector-camera.1",
        epoch=3,
        policy=policy,
        not_before=1_790_000_000,
        not_after=1_800_000_000,
        issuer="I" * 43,
        sensor_key=public.public_bytes_raw(),
        recipients=(
            Recipient(Kind.SENSOR, "vector-camera.1", thumbprint(public)),
            Recipient(Kind.HOST, "lab", "H" * 43),
        ),
        commitment=commitment(_secret("epoch key")),
    )


def _header(grant: Grant, number: int) -> FrameHeader:
    bits = grant.policy.bits
    return FrameHeader(
        sensor=grant.sensor,
        key_id=grant.key_id,
        epoch=grant.epoch,
        session=_secret(f"session {number}")[:16],
        counter=number * 1_000_003,
        policy=grant.policy,
        black_level=number,
        white_level=2**bits - 1 - number,
        exposure_us=10_000 + number,
        gain_milli=1_000 + number,
        white_balance=(2_048 + number, 1_024, 1_536),
        timestamp_ns=1_795_000_000_000_000_001 + number,
    )


def _source(case: _Case) -> NDArray[Any]:
    """DN over the whole range, or volts from below black to above saturation, halves of a DN among them."""
    shape, top = sample_shape(case.policy), 2**case.policy.bits - 1
    size = int(np.prod(shape))
    words = np.frombuffer(b"".join(_secret(f"{case.name} {i}") for i in range(size)), "<u4").reshape(size, 8)[:, 0]
    if case.volts:
        steps = words.astype(np.float64) / 2**32 * (2.5 * top + 100) - 100
        return (np.floor(steps) / 2 / case.gain).astype(np.float32).reshape(shape)
    return (words & np.uint32(top)).astype(np.uint16).reshape(shape)


def _frame(case: _Case, number: int) -> tuple[Converter, PrivateFrame]:
    policy = case.policy
    header = _header(_grant(policy), number)
    secrets = derive_frame_secrets(_secret("epoch key"), header.sensor, policy, FrameId(header.session, header.counter))
    converter = Converter(policy.bits, header.black_level, case.gain)
    addresses = Addresses(expand(secrets.permutation_key, policy), MaskGenerator(secrets.mask_key, policy))
    source = _Array(_source(case), header.black_level, header.white_level)
    return converter, sign(header, read_rows(source, converter, policy, addresses), sensor_signer())


def _accepted(case: _Case, number: int) -> dict[str, Any]:
    converter, frame = _frame(case, number)
    values = _source(case).reshape(-1)
    secrets = derive_frame_secrets(
        _secret("epoch key"), frame.header.sensor, case.policy, FrameId(frame.header.session, frame.header.counter)
    )
    return _vector(case.covers, case.policy, encode(frame), None) | {
        "epoch_key": _secret("epoch key").hex(),
        "signing_key": _secret("signing key").hex(),
        "table": expand(secrets.permutation_key, case.policy).table.tolist(),
        "source": [struct.pack(">f", v).hex() for v in values] if case.volts else values.tolist(),
        "converter": {"black_level": converter.black_level, "gain": struct.pack(">d", converter.gain).hex()},
        "header": json.loads(frame.header.to_bytes()),
        "stored": frame.samples.reshape(-1).tolist(),
    }


def _vector(covers: str, policy: Policy, file: bytes, error: str | None) -> dict[str, Any]:
    claims = [to_json([_grant(policy)])]
    return {"specification": SPECIFICATION, "covers": covers, "error": error, "grants": claims, "file": file.hex()}


def _resigned(frame: PrivateFrame, signer: Ed25519PrivateKey | None = None, **changes: Any) -> bytes:
    """The frame's file with another header, correctly signed."""
    return encode(sign(replace(frame.header, **changes), frame.samples.copy(), signer or sensor_signer()))


def _with_header(frame: PrivateFrame, body: bytes) -> bytes:
    """A file whose header is any bytes, signed for what they are; the rest is the frame's."""
    old = frame.header.to_bytes()
    front = DOMAIN + struct.pack("<I", len(body)) + body
    signature = sensor_signer().sign(front + hashlib.sha256(frame.samples.tobytes()).digest())
    return encode(frame).replace(DOMAIN + struct.pack("<I", len(old)) + old + frame.signature, front + signature)


def _refused() -> dict[str, tuple[str, str, bytes]]:
    """Name -> error, what it covers, file; all variations of one frame."""
    case = CASES[0]
    _, frame = _frame(case, 0)
    file, body = encode(frame), frame.header.to_bytes()
    members = json.loads(body)
    odd = frame.samples.copy()
    odd.flat[5] = 4096

    def flipped(position: int) -> bytes:
        return file[:position] + bytes([file[position] ^ 1]) + file[position + 1 :]

    def header(**changes: Any) -> bytes:
        return _with_header(frame, json.dumps(members | changes, sort_keys=True, separators=(",", ":")).encode("ascii"))

    signature_at, sample_at = file.index(frame.signature), len(file) - 2
    tag_at = file.index(struct.pack("<HHI", 50717, 3, 1)) + 8
    form, tampered = "FrameError", "FrameTamperedError"
    return {
        "empty": (form, "an empty file", b""),
        "no_private_data": (
            form,
            "a TIFF without private data",
            file[:8] + bytes(len(DOMAIN)) + file[8 + len(DOMAIN) :],
        ),
        "next_version": (form, "private data of version 2", file.replace(b"frame v1\0", b"frame v2\0")),
        "header_too_long": (form, "a header length of 16,385", file[:33] + struct.pack("<I", 16_385) + file[37:]),
        "header_cut": (form, "the file ends inside the signature", file[: signature_at + 63]),
        "header_spaces": (form, "white space in the header", _with_header(frame, body.replace(b":", b": ", 1))),
        "header_twice": (form, "a member twice", _with_header(frame, b'{"black_level":9,' + body[1:])),
        "header_unknown": (form, "an unknown member", header(zoom=1)),
        "header_missing": (form, "a missing member", _with_header(frame, body.replace(b'"counter":0,', b""))),
        "header_version": (form, "header version 2", header(version=2)),
        "header_true": (form, "true in place of 1", header(version=True)),
        "header_levels": (form, "black level not below white level", header(black_level=4095)),
        "header_timestamp": (form, "a timestamp with a leading zero", header(timestamp_ns="07")),
        "header_policy": (form, "a fixed key with a mask", header(policy=members["policy"] | {"frame_keys": "fixed"})),
        "foreign": ("ForeignFrameError", "a key id that is not at hand", _resigned(frame, key_id="0123456789abcdef")),
        "other_sensor": (tampered, "another sensor's name", _resigned(frame, sensor="vector-camera.2")),
        "other_epoch": (tampered, "another epoch", _resigned(frame, epoch=4)),
        "other_policy": (tampered, "another policy", _resigned(frame, policy=replace(case.policy, scope="row"))),
        "other_signer": (tampered, "signed by another key", _resigned(frame, sensor_signer("another signing key"))),
        "header_changed": (tampered, "another counter under the old signature", file.replace(b'er":0', b'er":1')),
        "truncated": (form, "the last byte is missing", file[:-1]),
        "trailing": (form, "a byte too many", file + b"\0"),
        "tag_changed": (tampered, "WhiteLevel differs from the header", flipped(tag_at)),
        "padding_changed": (tampered, "a bit set before the strip", flipped(len(file) - 2 * frame.samples.size - 1)),
        "signature_changed": (tampered, "a bit of the signature", flipped(signature_at)),
        "sample_changed": (tampered, "a bit of the last sample", flipped(sample_at)),
        "sample_beyond": (form, "a signed sample of 2^bits", encode(sign(frame.header, odd, sensor_signer()))),
    }


@click.command(cls=Command)
@click.option("-o", "--output", type=click.Path(path_type=Path), default=DEFAULT_OUTPUT, show_default=True)
def main(output: Path) -> None:
    """Write the test vectors of the private frame."""
    output.mkdir(parents=True, exist_ok=True)
    vectors = {f"accept_{case.name}": _accepted(case, number) for number, case in enumerate(CASES)}
    for name, (error, covers, file) in _refused().items():
        vectors[f"refuse_{name}"] = _vector(covers, CASES[0].policy, file, error)
    for name, vector in vectors.items():
        lines = (f" {json.dumps(member)}: {json.dumps(value)}" for member, value in vector.items())
        write_whole(output / f"{name}.json", ("{\n" + ",\n".join(lines) + "\n}\n").encode("ascii"))


if __name__ == "__main__":
    main()
