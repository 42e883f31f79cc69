"""The private frame: an authenticated header and shuffled samples (docs/spec/private_frame.md).

A :class:`PrivateFrame` exists only if its sensor signed it in this process (:func:`sign`) or its
signature was verified under a grant (:func:`verify`); there is no other way to make one.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from numpy.typing import NDArray

from adc_firmware.errors import ForeignFrameError, FrameError, FrameTamperedError
from keyvault import canonical
from keyvault.derivation import KEY_ID_DIGITS, MAX_COUNTER, MAX_EPOCH, SESSION_BYTES, FrameId
from keyvault.errors import InputError, PolicyError
from keyvault.grant import Grant
from keyvault.identity import check_name
from keyvault.policy import Policy

VERSION = 1
DOMAIN = b"privcam private frame v1\0"
MAX_HEADER_BYTES = 16 * 1024
SIGNATURE_BYTES = 64
MAX_EXPOSURE_US = 2**32 - 1
MAX_GAIN_MILLI = 2**32 - 1
MAX_WHITE_BALANCE = 2**16 - 1
MAX_TIMESTAMP_NS = 2**63 - 1
_HEX = frozenset("0123456789abcdef")


@dataclass(frozen=True, slots=True)
class FrameHeader:
    """What a private frame says of itself.

    Attributes:
        sensor: the sensor's name, as its grant spells it.
        key_id: 16 lower-case hexadecimal digits that name the epoch key.
        epoch: number of the key epoch, from 1.
        session: 16 random bytes that the chip drew when it started.
        counter: number of the frame in its session, from 0; less than 2**48.
        policy: geometry and protection, equal to the grant's.
        black_level, white_level: DN; 0 <= black < white <= 2**bits - 1.
        exposure_us: exposure time in microseconds.
        gain_milli: analog gain in thousandths.
        white_balance: gains of red, green and blue; 1024 is 1.0.
        timestamp_ns: start of the exposure, nanoseconds since 1970-01-01 UTC.
        version: of the format; 1.

    Raises FrameError when constructed with a value outside these ranges.
    """

    sensor: str
    key_id: str
    epoch: int
    session: bytes
    counter: int
    policy: Policy
    black_level: int
    white_level: int
    exposure_us: int
    gain_milli: int
    white_balance: tuple[int, int, int]
    timestamp_ns: int
    version: int = VERSION

    def __post_init__(self) -> None:
        _check_identity(self)
        _check_values(self)

    @property
    def frame_id(self) -> FrameId:
        """What the frame's keys derive from."""
        return FrameId(self.session, self.counter)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the samples: (h, w), or (h, w, 3) for a stacked sensor."""
        return sample_shape(self.policy)

    def to_bytes(self) -> bytes:
        """Canonical JSON, at most 16 KiB of ASCII."""
        return canonical.dumps(
            {
                "black_level": self.black_level,
                "counter": self.counter,
                "epoch": self.epoch,
                "exposure_us": self.exposure_us,
                "gain_milli": self.gain_milli,
                "key_id": self.key_id,
                "policy": self.policy.to_json(),
                "sensor": self.sensor,
                "session": self.session.hex(),
                "timestamp_ns": str(self.timestamp_ns),
                "version": self.version,
                "white_balance": list(self.white_balance),
                "white_level": self.white_level,
            }
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> FrameHeader:
        """The inverse of to_bytes; FrameError for every other byte string."""
        if len(data) > MAX_HEADER_BYTES:
            raise FrameError(f"frame header has {len(data)} bytes, more than {MAX_HEADER_BYTES}")
        try:
            header = cls._from_members(canonical.loads(data, "frame header"))
        except FrameError:
            raise
        except (InputError, PolicyError, ValueError, TypeError, KeyError) as error:
            raise FrameError(f"frame header is malformed: {error!s:.200}") from error
        if header.to_bytes() != data:
            raise FrameError("frame header has missing, unknown or oddly spelt members")
        return header

    @classmethod
    def _from_members(cls, members: Any) -> FrameHeader:
        if not isinstance(members, dict):
            raise FrameError("frame header is not an object")
        if members.get("version") != VERSION:
            raise FrameError(
                f"frame header has version {members.get('version')!r:.40}, not {VERSION}", hint="use a matching release"
            )
        known = {**members, "policy": Policy.from_json(members["policy"])}
        known["session"] = bytes.fromhex(members["session"])
        known["timestamp_ns"] = int(members["timestamp_ns"])
        known["white_balance"] = tuple(members["white_balance"])
        return cls(**known)


def sample_shape(policy: Policy) -> tuple[int, ...]:
    """Shape of a frame's samples under a policy: (h, w) or (h, w, 3)."""
    plane = (policy.height, policy.width)
    return plane if policy.samples_per_photosite == 1 else (*plane, policy.samples_per_photosite)


def sample_bytes(policy: Policy) -> int:
    """Length of a frame's samples as 16-bit words."""
    return 2 * policy.photosites * policy.samples_per_photosite


def raster_bytes(samples: NDArray[np.uint16]) -> memoryview:
    """The samples as little-endian bytes in raster order, as signed and stored; a view where that is possible."""
    return samples.astype("<u2", copy=False).data.cast("B")


def _check_identity(header: FrameHeader) -> None:
    try:
        check_name(header.sensor, "sensor")
    except InputError as error:
        raise FrameError(str(error)) from error
    if type(header.version) is not int or header.version != VERSION:
        raise FrameError(f"frame version {header.version!r:.40} is not {VERSION}")
    if type(header.key_id) is not str or len(header.key_id) != KEY_ID_DIGITS or not _HEX.issuperset(header.key_id):
        raise FrameError(f"key id is not {KEY_ID_DIGITS} lower-case hexadecimal digits")
    if type(header.session) is not bytes or len(header.session) != SESSION_BYTES:
        raise FrameError(f"session is not {SESSION_BYTES} bytes")
    if not isinstance(header.policy, Policy):
        raise FrameError("policy is not a policy")
    _check_range("epoch", header.epoch, 1, MAX_EPOCH)
    _check_range("counter", header.counter, 0, MAX_COUNTER)


def _check_values(header: FrameHeader) -> None:
    _check_range("white level", header.white_level, 1, 2**header.policy.bits - 1)
    _check_range("black level", header.black_level, 0, header.white_level - 1)
    _check_range("exposure", header.exposure_us, 0, MAX_EXPOSURE_US)
    _check_range("gain", header.gain_milli, 1, MAX_GAIN_MILLI)
    _check_range("timestamp", header.timestamp_ns, 0, MAX_TIMESTAMP_NS)
    if type(header.white_balance) is not tuple or len(header.white_balance) != 3:
        raise FrameError("white balance is not three gains")
    for gain in header.white_balance:
        _check_range("white balance", gain, 1, MAX_WHITE_BALANCE)


def _check_range(name: str, value: object, low: int, high: int) -> None:
    if type(value) is not int or not low <= value <= high:
        raise FrameError(f"{name} {value!r:.40} is not a whole number from {low} to {high}")


@dataclass(frozen=True, slots=True, init=False, eq=False, repr=False)
class PrivateFrame:
    """One frame as it left the chip: shuffled, masked, signed.  Comes from sign or verify only.

    Attributes:
        header: authenticated.
        samples: uint16 (h, w) or (h, w, 3), read-only: DN in stored order, masked as the policy says.
        signature: 64 bytes, Ed25519.

    It cannot be constructed, copied with changes or pickled; send ``dng.encode(frame)`` instead.
    """

    header: FrameHeader
    samples: NDArray[np.uint16]
    signature: bytes

    def __init__(self) -> None:
        raise TypeError("a PrivateFrame comes from SecureAdc.read_out or from adc_firmware.read")

    def __reduce__(self) -> NoReturn:
        raise TypeError("a PrivateFrame is not pickled: send dng.encode(frame) and verify it there")

    def __repr__(self) -> str:
        header = self.header
        size = f"{header.policy.width}x{header.policy.height}"
        return f"PrivateFrame({header.sensor!r}, key_id={header.key_id}, counter={header.counter}, {size})"


def sign(header: FrameHeader, samples: NDArray[np.uint16], signer: Ed25519PrivateKey) -> PrivateFrame:
    """Make the frame that the holder of ``signer`` answers for; ``samples`` becomes read-only."""
    return _frame(header, samples, signer.sign(_signed_bytes(header, samples)))


def verify(header: FrameHeader, samples: NDArray[np.uint16], signature: bytes, grant: Grant) -> PrivateFrame:
    """Admit a frame that the grant's sensor signed and whose claims are the grant's.

    Raises:
        FrameTamperedError: the claims differ, or the signature does not verify.
        FrameError: the sensor signed a sample of 2**bits or more.
    """
    check_claims(header, grant)
    try:
        grant.verifier().verify(signature, _signed_bytes(header, samples))
    except InvalidSignature as error:
        raise FrameTamperedError(
            f"the frame is not what sensor {grant.sensor!r} signed", hint="fetch the file again from its origin"
        ) from error
    if samples.max() >= 2**header.policy.bits:
        raise FrameError(f"the frame holds DN {samples.max()}, more than {header.policy.bits} bits allow")
    return _frame(header, samples, signature)


def select_grant(header: FrameHeader, grants: Mapping[str, Grant]) -> Grant:
    """The grant that the header's key id names; ForeignFrameError if it is not at hand."""
    grant = grants.get(header.key_id)
    if grant is None or grant.key_id != header.key_id:
        names = sorted(grants)
        at_hand = ", ".join(names[:8]) + (" ..." if len(names) > 8 else "") if names else "none"
        raise ForeignFrameError(
            f"the frame was made under key {header.key_id}; at hand: {at_hand}",
            hint=f"give the sealed key file of sensor {header.sensor!r:.80}, epoch {header.epoch}",
        )
    return grant


def check_claims(header: FrameHeader, grant: Grant) -> None:
    """FrameTamperedError unless key id, sensor, epoch and policy are the grant's."""
    for name in ("key_id", "sensor", "epoch", "policy"):
        said, granted = getattr(header, name), getattr(grant, name)
        if said != granted:
            raise FrameTamperedError(
                f"the frame says {name} {said!r:.200}, but grant {grant.key_id} is for {granted!r:.200}",
                hint="the frame was not made under this grant",
            )


def _frame(header: FrameHeader, samples: NDArray[np.uint16], signature: bytes) -> PrivateFrame:
    samples.flags.writeable = False
    frame = object.__new__(PrivateFrame)
    object.__setattr__(frame, "header", header)
    object.__setattr__(frame, "samples", samples)
    object.__setattr__(frame, "signature", signature)
    return frame


def _signed_bytes(header: FrameHeader, samples: NDArray[np.uint16]) -> bytes:
    if samples.dtype != np.uint16 or samples.shape != header.shape or not samples.flags.c_contiguous:
        raise ValueError(f"samples of {samples.dtype} {samples.shape} do not fit {header.shape}")
    data = header.to_bytes()
    return DOMAIN + struct.pack("<I", len(data)) + data + hashlib.sha256(raster_bytes(samples)).digest()
