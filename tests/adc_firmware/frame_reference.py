"""A second implementation of docs/spec/private_frame.md, written from the document.

Plain NumPy, hmac and AES blocks; it shares no code with adc_firmware or keyvault.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import struct
from typing import Any

import numpy as np
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from numpy.typing import NDArray

NAME = b"privcam private frame v1\x00"
RANGES = {
    "epoch": (1, 2**32 - 1),
    "counter": (0, 2**48 - 1),
    "exposure_us": (0, 2**32 - 1),
    "gain_milli": (1, 2**32 - 1),
}
MEMBERS = {
    *RANGES,
    *("version", "sensor", "key_id", "session", "policy", "black_level", "white_level", "white_balance"),
    "timestamp_ns",
}


def canonical(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode("ascii")


def frame_key(epoch_key: bytes, purpose: bytes, header: dict[str, Any]) -> bytes:
    """HKDF-Expand of one block, as sealed_key.md says."""
    fixed = header["policy"]["frame_keys"] == "fixed"
    frame = b"fixed" if fixed else bytes.fromhex(header["session"]) + struct.pack(">Q", header["counter"])
    policy = hashlib.sha256(canonical(header["policy"])).digest()
    fields = (b"privcam/1", purpose, header["sensor"].encode(), policy, frame)
    info = b"".join(struct.pack(">H", len(f)) + f for f in fields)
    return hmac.digest(epoch_key, info + b"\x01", "sha256")


def mask_words(key: bytes, count: int) -> NDArray[np.int64]:
    """Section 4.2: words 0 .. count - 1 of stream 0."""
    counters = b"".join(struct.pack(">IIQ", 0, 0, block) for block in range((2 * count + 15) // 16))
    stream = Cipher(algorithms.AES(key), modes.ECB()).encryptor().update(counters)  # noqa: S305 - single blocks
    return np.frombuffer(stream, "<u2")[:count].astype(np.int64)


def convert(volts: NDArray[np.float32], black: int, gain: float, bits: int) -> NDArray[np.int64]:
    """Section 4.1."""
    level = np.floor(volts.astype(np.float64) * np.float64(gain) + (black + 0.5))
    return np.minimum(np.maximum(level, 0), 2**bits - 1).astype(np.int64)


def stored_samples(dn: NDArray[np.int64], table: NDArray[np.int64], mask_key: bytes | None, policy: dict[str, Any]):
    """Section 4.2, in stored raster order."""
    samples = policy["samples_per_photosite"]
    words = 0 if mask_key is None else mask_words(mask_key, dn.size) % 2 ** policy["bits"]
    masked = ((dn + words) % 2 ** policy["bits"]).reshape(-1, samples)
    stored = np.empty_like(masked)
    stored[table] = masked
    return stored.reshape(-1)


def source_dn(vector: dict[str, Any]) -> NDArray[np.int64]:
    if isinstance(vector["source"][0], int):
        return np.array(vector["source"], np.int64)
    volts = np.frombuffer(bytes.fromhex("".join(vector["source"])), ">f4")
    (gain,) = struct.unpack(">d", bytes.fromhex(vector["converter"]["gain"]))
    return convert(volts, vector["converter"]["black_level"], gain, vector["header"]["policy"]["bits"])


def signed_bytes(header: bytes, raster: bytes) -> bytes:
    """Section 5."""
    return NAME + struct.pack("<I", len(header)) + header + hashlib.sha256(raster).digest()


def file_bytes(vector: dict[str, Any]) -> bytes:
    """The whole file from the secrets and the source of an accepted vector."""
    header = vector["header"]
    masked = header["policy"]["protection"] == "shuffle+mask"
    key = frame_key(bytes.fromhex(vector["epoch_key"]), b"mask", header) if masked else None
    stored = stored_samples(source_dn(vector), np.array(vector["table"]), key, header["policy"])
    raster = stored.astype("<u2").tobytes()
    signer = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(vector["signing_key"]))
    return before_strip(header, signer.sign(signed_bytes(canonical(header), raster))) + raster


def before_strip(header: dict[str, Any], signature: bytes) -> bytes:
    """Section 6."""
    body = canonical(header)
    private = NAME + struct.pack("<I", len(body)) + body + signature
    directory = 8 + len(private) + len(private) % 2
    entries = tags(header)
    entries[50740] = ("B", private)
    entries[273] = ("I", (0,))
    values_at = directory + 2 + 12 * len(entries) + 4
    longer = [len(encoded(*v)) + len(encoded(*v)) % 2 for t, v in entries.items() if t != 50740]
    strip = -(-(values_at + sum(size for size in longer if size > 4)) // 64) * 64
    entries[273] = ("I", (strip,))
    lines, values = b"", b""
    for tag, (kind, value) in sorted(entries.items()):
        octets = encoded(kind, value)
        code, width = {"B": (1, 1), "s": (2, 1), "H": (3, 2), "I": (4, 4), "II": (5, 8), "ii": (10, 8)}[kind]
        lines += struct.pack("<HHI", tag, code, len(octets) // width)
        if tag == 50740:
            lines += struct.pack("<I", 8)
        elif len(octets) <= 4:
            lines += octets + bytes(4 - len(octets))
        else:
            lines += struct.pack("<I", values_at + len(values))
            values += octets + bytes(len(octets) % 2)
    front = b"II*\x00" + struct.pack("<I", directory) + private + bytes(len(private) % 2)
    front += struct.pack("<H", len(entries)) + lines + bytes(4) + values
    return front + bytes(strip - len(front))


def encoded(kind: str, value: Any) -> bytes:
    return value if isinstance(value, bytes) else struct.pack(f"<{len(value)}{kind[0]}", *value)


def tags(header: dict[str, Any]) -> dict[int, tuple[str, Any]]:
    """The table of section 6, but for the two entries that depend on places."""
    policy = header["policy"]
    width, height, samples = policy["width"], policy["height"], policy["samples_per_photosite"]
    mosaic = policy["cfa"] != "none"
    words = "shuffled, masked" if policy["protection"] == "shuffle+mask" else "shuffled"
    model = f"privcam private frame ({words})\0".encode()
    table: dict[int, tuple[str, Any]] = {
        254: ("I", (0,)),
        256: ("I", (width,)),
        257: ("I", (height,)),
        258: ("H", (16,) * samples),
        259: ("H", (1,)),
        262: ("H", (32803 if mosaic else 34892,)),
        271: ("s", b"privcam\0"),
        272: ("s", model),
        274: ("H", (1,)),
        277: ("H", (samples,)),
        278: ("I", (height,)),
        279: ("I", (2 * width * height * samples,)),
        284: ("H", (1,)),
        33434: ("II", (header["exposure_us"], 1000000)),
        50706: ("B", (1, 4, 0, 0)),
        50707: ("B", (1, 1, 0, 0)),
        50708: ("s", model),
        50714: ("H", (header["black_level"],) * samples),
        50717: ("H", (header["white_level"],) * samples),
        50735: ("s", header["sensor"].encode() + b"\0"),
    }
    if mosaic:
        colours = tuple({"R": 0, "G": 1, "B": 2}[letter] for letter in policy["cfa"])
        table |= {33421: ("H", (2, 2)), 33422: ("B", colours), 50710: ("B", (0, 1, 2)), 50711: ("H", (1,))}
    if mosaic or samples == 3:
        matrix = (32406, -15372, -4986, -9689, 18758, 415, 557, -2040, 10570)
        table |= {
            50721: ("ii", tuple(n for m in matrix for n in (m, 10000))),
            50728: ("II", tuple(n for gain in header["white_balance"] for n in (1024, gain))),
            50778: ("H", (21,)),
        }
    return table


def refusal(file: bytes, grants: list[dict[str, Any]]) -> str | None:  # noqa: PLR0911 - one return a step
    """Section 7: the class that refuses the file, or None."""
    if file[:4] != b"II*\x00" or file[8:33] != NAME:
        return "FrameError"
    (length,) = struct.unpack("<I", file[33:37].ljust(4, b"\0"))
    if length > 16384 or len(file) < 37 + length + 64:
        return "FrameError"
    body, signature = file[37 : 37 + length], file[37 + length : 37 + length + 64]
    try:
        header = json.loads(body)
    except ValueError:
        return "FrameError"
    if canonical(header) != body or not well_formed(header):
        return "FrameError"
    at_hand = {key_id(grant): grant for grant in grants}
    if header["key_id"] not in at_hand:
        return "ForeignFrameError"
    grant = at_hand[header["key_id"]]
    front, policy = before_strip(header, signature), header["policy"]
    if len(file) != len(front) + 2 * policy["width"] * policy["height"] * policy["samples_per_photosite"]:
        return "FrameError"
    if file[: len(front)] != front:
        return "FrameTamperedError"
    if any(header[name] != said for name, said in said_by(grant).items()):
        return "FrameTamperedError"
    raster = file[len(front) :]
    try:
        public = Ed25519PublicKey.from_public_bytes(octets(grant["sensor_key"]))
        public.verify(signature, signed_bytes(body, raster))
    except InvalidSignature:
        return "FrameTamperedError"
    return "FrameError" if max(np.frombuffer(raster, "<u2")) >= 2 ** policy["bits"] else None


def well_formed(header: Any) -> bool:
    """Section 2; the policy as far as the vectors go."""
    if set(header) != MEMBERS or type(header["version"]) is not int or header["version"] != 1:
        return False
    inside = all(type(header[name]) is int and low <= header[name] <= top for name, (low, top) in RANGES.items())
    top = 2 ** header["policy"]["bits"] - 1
    return (
        inside
        and 0 <= header["black_level"] < header["white_level"] <= top
        and re.fullmatch("0|[1-9][0-9]*", header["timestamp_ns"]) is not None
        and int(header["timestamp_ns"]) < 2**63
        and re.fullmatch("[0-9a-f]{32}", header["session"]) is not None
        and all(1 <= gain <= 65535 for gain in header["white_balance"])
        and (header["policy"]["frame_keys"], header["policy"]["protection"]) != ("fixed", "shuffle+mask")
    )


def key_id(grant: dict[str, Any]) -> str:
    return octets(grant["epochs"][0]["commitment"])[:8].hex()


def octets(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def said_by(grant: dict[str, Any]) -> dict[str, Any]:
    """What a grant of one epoch and a header both say."""
    return {"sensor": grant["sensor"], "epoch": grant["epochs"][0]["epoch"], "policy": grant["policy"]}
