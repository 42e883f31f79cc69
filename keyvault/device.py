"""A sensor's own secrets, as its secure element would hold them.

The simulated secure element is a file (docs/spec/sealed_key.md, section 8): the key under which
its sealed keys are wrapped, the key with which it signs frames, and the issuer it trusts.
"""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from keyvault import canonical
from keyvault.derivation import KEY_BYTES
from keyvault.errors import DeviceFileError, InputError, PrivcamError
from keyvault.identity import check_name, ed25519_jwk, thumbprint
from keyvault.secret_files import read_secret, write_secret

MAX_DEVICE_FILE = 4096
_TYPE = "privcam-device"
_VERSION = 1
_MEMBERS = {"issuer", "kek", "sensor", "signer", "typ", "v"}


@dataclass(frozen=True, slots=True, repr=False)
class Device:
    """What one sensor keeps.

    Attributes:
        sensor: its name.
        kek: 32 bytes, the key-encryption key that it shares with the vault.
        signer: the Ed25519 key with which it signs frames; never leaves it.
        issuer: public key of the vault that enrolled it; it takes grants from no other.
    """

    sensor: str
    kek: bytes
    signer: Ed25519PrivateKey
    issuer: Ed25519PublicKey

    def __post_init__(self) -> None:
        check_name(self.sensor, "sensor")
        if len(self.kek) != KEY_BYTES:
            raise InputError(f"a device key has {KEY_BYTES} bytes, not {len(self.kek)}")

    def __repr__(self) -> str:
        return f"Device(sensor={self.sensor!r}, kid={self.kid!r})"

    @classmethod
    def create(cls, sensor: str, issuer: Ed25519PublicKey) -> Device:
        """A device with new random keys that trusts ``issuer``."""
        return cls(sensor, secrets.token_bytes(KEY_BYTES), Ed25519PrivateKey.generate(), issuer)

    @property
    def kid(self) -> str:
        """What sealed keys call this device: the thumbprint of its signing key."""
        return thumbprint(self.signer.public_key())

    def to_bytes(self) -> bytes:
        """The content of the device file: canonical JSON with secrets in it."""
        signer = ed25519_jwk(self.signer.public_key()) | {"d": canonical.b64url(self.signer.private_bytes_raw())}
        return canonical.dumps(
            {
                "issuer": ed25519_jwk(self.issuer),
                "kek": {"k": canonical.b64url(self.kek), "kty": "oct"},
                "sensor": self.sensor,
                "signer": signer,
                "typ": _TYPE,
                "v": _VERSION,
            }
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> Device:
        """The inverse of to_bytes; DeviceFileError for anything else."""
        try:
            return _parse(data)
        except (InputError, ValueError) as error:
            raise DeviceFileError(f"not a device file: {error}", hint="enrol the sensor again") from error

    def save(self, path: Path) -> None:
        """Write the device file, mode 0600; OutputError if it exists or cannot be written."""
        write_secret(path, self.to_bytes())

    @classmethod
    def load(cls, path: Path) -> Device:
        """Read a device file.

        Raises:
            DeviceFileError: it is not a device file.
            ExposedFileError: other users can read it.
            InputError: it cannot be read.
        """
        data = read_secret(path, MAX_DEVICE_FILE, "device file")
        try:
            return cls.from_bytes(data)
        except PrivcamError as error:
            raise DeviceFileError(f"{path}: {error}", hint=error.hint) from error


def _parse(data: bytes) -> Device:
    value = canonical.loads(data, "its content")
    if not isinstance(value, dict) or set(value) != _MEMBERS or value["typ"] != _TYPE:
        raise InputError("missing or unknown members")
    if value["v"] != _VERSION:
        raise InputError(f"version {value['v']!r}; this program reads version {_VERSION}")
    signer = Ed25519PrivateKey.from_private_bytes(_octets(value["signer"], "signer", "d"))
    device = Device(
        sensor=value["sensor"],
        kek=_octets(value["kek"], "kek", "k"),
        signer=signer,
        issuer=Ed25519PublicKey.from_public_bytes(_octets(value["issuer"], "issuer", "x")),
    )
    if not hmac.compare_digest(device.to_bytes(), data):
        raise InputError("its keys do not belong together")
    return device


def _octets(jwk: Any, what: str, member: str) -> bytes:
    if not isinstance(jwk, dict) or not isinstance(jwk.get(member), str):
        raise InputError(f"{what} is not a key")
    return canonical.unb64url(jwk[member], what)
