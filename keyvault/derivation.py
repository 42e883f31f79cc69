"""From the root secret down to one frame's keys (docs/spec/sealed_key.md, section 3).

Every step is HKDF-Expand with SHA-256 (RFC 5869, section 2.3) of a uniform 32-byte secret.  The
``info`` of a step is its fields, each preceded by its length as u16 big-endian; the first field
is the scheme's name, the second the purpose.
"""

from __future__ import annotations

from dataclasses import dataclass

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from keyvault.errors import InputError
from keyvault.policy import FrameKeys, Policy, Protection

KEY_BYTES = 32
SESSION_BYTES = 16
MAX_COUNTER = 2**48 - 1
MAX_EPOCH = 2**32 - 1
KEY_ID_DIGITS = 16

_SCHEME = b"privcam/1"
_FIXED_FRAME = b"fixed"


@dataclass(frozen=True, slots=True)
class FrameId:
    """Which frame of a sensor: a random session id and a counter that starts at 0 in each session.

    Attributes:
        session: 16 random bytes, drawn whenever the sensor starts.
        counter: 0 to 2**48 - 1.

    Raises InputError when constructed with anything else.
    """

    session: bytes
    counter: int

    def __post_init__(self) -> None:
        if not isinstance(self.session, bytes) or len(self.session) != SESSION_BYTES:
            raise InputError(f"a session id has {SESSION_BYTES} bytes")
        if type(self.counter) is not int or not 0 <= self.counter <= MAX_COUNTER:
            raise InputError(f"frame counter {self.counter!r} is outside 0 to {MAX_COUNTER}")


@dataclass(frozen=True, slots=True, repr=False)
class FrameSecrets:
    """The keys of one frame, 32 bytes each; ``mask_key`` is None where the policy has no mask."""

    permutation_key: bytes
    mask_key: bytes | None

    def __repr__(self) -> str:
        return "FrameSecrets(...)"


def derive_epoch_key(root: bytes, sensor: str, epoch: int, salt: bytes) -> bytes:
    """The 32-byte key of one epoch of one sensor, from the vault's root secret.

    ``salt`` is 32 random bytes that the vault keeps for the epoch: without it the key is gone, and
    a vault that was set back does not issue the key of an epoch again.
    """
    if not 1 <= epoch <= MAX_EPOCH or len(salt) != KEY_BYTES:
        raise ValueError(f"epoch {epoch} is outside 1 to {MAX_EPOCH}, or its salt is not {KEY_BYTES} bytes")
    return _expand(root, b"epoch", sensor.encode("ascii"), epoch.to_bytes(8, "big"), salt)


def derive_frame_secrets(epoch_key: bytes, sensor: str, policy: Policy, frame: FrameId) -> FrameSecrets:
    """The keys of one frame, from the epoch key.

    Under a policy with fixed frame keys a constant stands in place of the frame's id, and all
    frames of the epoch have the same permutation.
    """
    context = (sensor.encode("ascii"), policy.digest(), _frame_field(policy, frame))
    masked = policy.protection is Protection.SHUFFLE_MASK
    return FrameSecrets(
        permutation_key=_expand(epoch_key, b"permutation", *context),
        mask_key=_expand(epoch_key, b"mask", *context) if masked else None,
    )


def commitment(epoch_key: bytes) -> bytes:
    """A 32-byte value that commits to an epoch key and tells nothing else of it."""
    return _expand(epoch_key, b"commitment")


def _frame_field(policy: Policy, frame: FrameId) -> bytes:
    if policy.frame_keys is FrameKeys.FIXED:
        return _FIXED_FRAME
    return frame.session + frame.counter.to_bytes(8, "big")


def _expand(secret: bytes, *fields: bytes) -> bytes:
    if len(secret) != KEY_BYTES:
        raise ValueError(f"a secret of {len(secret)} bytes; {KEY_BYTES} are needed")
    info = b"".join(len(field).to_bytes(2, "big") + field for field in (_SCHEME, *fields))
    return HKDFExpand(SHA256(), KEY_BYTES, info).derive(secret)
