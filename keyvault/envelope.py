"""Sealed keys: an epoch key encrypted for a sensor and its hosts, and signed by the vault.

A sealed key is a compact JWS (RFC 7515, Ed25519 as in RFC 9864) whose payload is a JWE in the
general JSON serialization (RFC 7516): docs/spec/sealed_key.md, sections 4 to 7.  The only way to
a :class:`SealedGrant` is :func:`verify`; the only way to an epoch key is to open one.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey

from keyvault import jwe, jws
from keyvault.derivation import commitment
from keyvault.device import Device
from keyvault.errors import (
    CommitmentError,
    GrantFormatError,
    PrivcamError,
    UnknownIssuerError,
    WrongDeviceError,
    WrongHostError,
)
from keyvault.files import read_bounded
from keyvault.grant import Grant, OpenGrant, Recipient
from keyvault.hosts import check_strength
from keyvault.identity import thumbprint

SEALED_FILES = "*.bin"
MAX_SEALED_BYTES = 262_144


@dataclass(frozen=True, slots=True)
class SealedGrant:
    """A grant whose signature has been verified; the epoch key is still sealed."""

    grant: Grant
    message: jwe.Message

    def open_as_sensor(self, device: Device, now: int | None = None) -> OpenGrant:
        """Unseal the epoch key with a sensor's device key.

        Args:
            device: the sensor's own secrets.
            now: Unix time; None takes the clock.

        Raises:
            WrongDeviceError: sealed for another sensor.
            UnknownIssuerError: signed by an issuer that the device does not trust.
            ExpiredGrantError, NotYetValidError: not valid at ``now``.
            UnsealError, CommitmentError: not what the issuer sealed for this device.
        """
        if device.kid != self.grant.recipients[0].kid:
            raise self._wrong_device(device)
        _check_issuer(self.grant.issuer, device.issuer)
        return self._open(self.grant.recipients[0], device.kek, now)

    def open_as_host(self, identity: RSAPrivateKey, now: int | None = None) -> OpenGrant:
        """Unseal the epoch key with a host's RSA key.

        Args:
            identity: the host's private key.
            now: Unix time; None takes the clock.

        Raises:
            WrongHostError: this host is not among the recipients.
            WeakKeyError: an RSA key outside 3072 to 8192 bits.
            ExpiredGrantError, NotYetValidError: not valid at ``now``.
            UnsealError, CommitmentError: not what the issuer sealed for this host.
        """
        check_strength(identity)
        kid = thumbprint(identity.public_key())
        for recipient in self.grant.hosts:
            if recipient.kid == kid:
                return self._open(recipient, identity, now)
        raise WrongHostError(
            f"this host (key {kid}) cannot open a key sealed for {self.grant.sealed_for()}",
            hint="use one of those hosts' keys, or enrol this host and issue a new epoch for it",
        )

    def _open(self, recipient: Recipient, key: bytes | RSAPrivateKey, now: int | None) -> OpenGrant:
        self.grant.check_validity(now)
        epoch_key = jwe.decrypt(self.message, recipient, key)
        if not hmac.compare_digest(commitment(epoch_key), self.grant.commitment):
            raise CommitmentError(
                f"the unsealed key is not the one that the grant of sensor {self.grant.sensor}, "
                f"epoch {self.grant.epoch}, commits to",
                hint="the file was not made by an honest vault; issue a new epoch",
            )
        return OpenGrant(self.grant, epoch_key)

    def _wrong_device(self, device: Device) -> WrongDeviceError:
        sealed_for = self.grant.sealed_for()
        if device.sensor == self.grant.sensor:
            return WrongDeviceError(
                f"this device is named {device.sensor}, but it is not the one enrolled as that sensor "
                f"when the key was sealed for {sealed_for}",
                hint="use the device file that its enrolment made, or enrol it and issue a new epoch",
            )
        return WrongDeviceError(
            f"device {device.sensor} cannot open a key sealed for {sealed_for}",
            hint=f"give the device file of {self.grant.sensor}, or a key issued for {device.sensor}",
        )


def seal(grant: Grant, epoch_key: bytes, kek: bytes, hosts: Sequence[RSAPublicKey], issuer: Ed25519PrivateKey) -> bytes:
    """The sealed key file of a grant.

    Args:
        grant: the claims; its recipients are the sensor and then ``hosts``, in that order.
        epoch_key: 32 bytes to which ``grant.commitment`` commits.
        kek: the sensor's 32-byte key-encryption key.
        hosts: RSA public keys of 3072 to 8192 bits.
        issuer: the vault's signing key.

    Raises:
        WeakKeyError: an RSA key outside those sizes.
        ValueError: keys and claims do not belong together.
    """
    for key in hosts:
        check_strength(key)
    if [host.kid for host in grant.hosts] != [thumbprint(key) for key in hosts]:
        raise ValueError("the grant's hosts are not those whose keys are given")
    if grant.issuer != thumbprint(issuer.public_key()) or grant.commitment != commitment(epoch_key):
        raise ValueError("the grant names another issuer or commits to another key")
    message = jwe.encrypt(grant, epoch_key, [kek, *hosts])
    return jws.sign(message.payload, issuer)


def verify(data: bytes, issuer: Ed25519PublicKey) -> SealedGrant:
    """Read a sealed key that ``issuer`` signed; every changed bit is refused.

    Validity in time is checked when the key is opened, not here, so that an expired one can be
    shown.

    Raises:
        GrantFormatError: not a sealed key.
        UnknownIssuerError: signed by another issuer, or made for another issuer's signature.
        GrantSignatureError: the signature does not verify.
        GrantContentError: signed, but the content contradicts itself.
    """
    if len(data) > MAX_SEALED_BYTES:
        raise GrantFormatError(f"{len(data)} bytes are too many for a sealed key, at most {MAX_SEALED_BYTES}")
    message = jwe.parse(jws.verify(data, issuer))
    _check_issuer(message.grant.issuer, issuer)
    return SealedGrant(message.grant, message)


def read_sealed(path: Path, issuer: Ed25519PublicKey) -> SealedGrant:
    """Read a sealed key file; raises as :func:`verify` does, naming the file, and InputError."""
    data = read_bounded(path, MAX_SEALED_BYTES, "sealed key")
    try:
        return verify(data, issuer)
    except PrivcamError as error:
        raise type(error)(f"{path}: {error}", hint=error.hint) from error


def sealed_in(folder: Path) -> list[Path]:
    """The files of a folder that have the form of a sealed key, ``*.bin``, by name; others are left out.

    Nothing is verified yet.  Raises InputError if a file cannot be read.
    """
    return [path for path in sorted(folder.glob(SEALED_FILES)) if path.is_file() and _has_form(path)]


def _has_form(path: Path) -> bool:
    if path.stat().st_size > MAX_SEALED_BYTES:
        return False
    try:
        jws.parse(read_bounded(path, MAX_SEALED_BYTES, "sealed key"))
    except GrantFormatError:
        return False
    return True


def _check_issuer(claimed: str, trusted: Ed25519PublicKey) -> None:
    if claimed != thumbprint(trusted):
        raise UnknownIssuerError(
            f"issued by vault {claimed}, not by the trusted vault {thumbprint(trusted)}",
            hint="give the issuer.pub of the vault that issued it, if that vault is to be trusted",
        )
