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
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

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
    """The grants of a file whose signature has been verified; the epoch keys are still sealed."""

    message: jwe.Message

    @property
    def grants(self) -> tuple[Grant, ...]:
        """One grant an epoch, in order; they differ in epoch and commitment only."""
        return self.message.grants

    @property
    def grant(self) -> Grant:
        """The grant of the last epoch in the file; a file for a sensor has no other."""
        return self.message.grants[-1]

    def is_for(self, device: Device) -> bool:
        """Whether a device is the sensor that the key is sealed for."""
        recipient = self.grant.for_sensor
        return recipient is not None and recipient.kid == device.kid

    def open_as_sensor(self, device: Device, now: int | None = None) -> OpenGrant:
        """Unseal the epoch key with a sensor's device key.

        Args:
            device: the sensor's own secrets.
            now: Unix time; None takes the clock.

        Raises:
            WrongDeviceError: sealed for another sensor, or for hosts only.
            UnknownIssuerError: signed by an issuer that the device does not trust.
            ExpiredGrantError, NotYetValidError: not valid at ``now``.
            UnsealError, CommitmentError: not what the issuer sealed for this device.
        """
        recipient = self.grant.for_sensor
        if recipient is None or not self.is_for(device):
            raise self._wrong_device(device)
        _check_issuer(self.grant.issuer, device.issuer)
        (opened,) = self._open(recipient, device.kek, now)
        return opened

    def open_as_host(self, identity: jwe.HostIdentity, now: int | None = None) -> tuple[OpenGrant, ...]:
        """Unseal the epoch keys with a host's RSA key; one for each of :attr:`grants`.

        Args:
            identity: the host's private key.
            now: Unix time; None takes the clock.

        Raises:
            WrongHostError: this host is not among the recipients.
            WeakKeyError: an RSA key outside 3072 to 8192 bits.
            ExpiredGrantError, NotYetValidError: not valid at ``now``.
            UnsealError, CommitmentError: not what the issuer sealed for this host.
        """
        public = identity.public_key()
        check_strength(public)
        kid = thumbprint(public)
        for recipient in self.grant.hosts:
            if recipient.kid == kid:
                return self._open(recipient, identity, now)
        raise WrongHostError(
            f"this host (key {kid}) cannot open a key sealed for {self.grant.sealed_for()}",
            hint="use one of those hosts' keys, or enrol this host and issue a new epoch for it",
        )

    def _open(self, recipient: Recipient, key: bytes | jwe.HostIdentity, now: int | None) -> tuple[OpenGrant, ...]:
        self.grant.check_validity(now)
        epoch_keys = jwe.decrypt(self.message, recipient, key)
        opened = []
        for grant, epoch_key in zip(self.grants, epoch_keys, strict=True):
            if not hmac.compare_digest(commitment(epoch_key), grant.commitment):
                raise CommitmentError(
                    f"the unsealed key is not the one that the grant of sensor {grant.sensor}, "
                    f"epoch {grant.epoch}, commits to",
                    hint="the file was not made by an honest vault; issue a new epoch",
                )
            opened.append(OpenGrant(grant, epoch_key))
        return tuple(opened)

    def _wrong_device(self, device: Device) -> WrongDeviceError:
        sealed_for = self.grant.sealed_for()
        if device.sensor == self.grant.sensor and self.grant.for_sensor is not None:
            return WrongDeviceError(
                f"this device is named {device.sensor}, but it is not the one enrolled as that sensor "
                f"when the key was sealed for {sealed_for}",
                hint="use the device file that its enrolment made, or enrol it and issue a new epoch",
            )
        return WrongDeviceError(
            f"device {device.sensor} cannot open a key sealed for {sealed_for}",
            hint=f"give the device file of {self.grant.sensor}, or a key issued for {device.sensor}",
        )


def seal(
    grants: Sequence[Grant],
    epoch_keys: Sequence[bytes],
    kek: bytes | None,
    hosts: Sequence[RSAPublicKey],
    issuer: Ed25519PrivateKey,
) -> bytes:
    """The sealed key file of one or several grants.

    Args:
        grants: the claims, one grant an epoch; their recipients are the sensor, if ``kek`` is given,
            and then ``hosts``, in that order.
        epoch_keys: 32 bytes each, to which the ``commitment`` of each grant commits.
        kek: the sensor's 32-byte key-encryption key; None seals for hosts only.
        hosts: RSA public keys of 3072 to 8192 bits.
        issuer: the vault's signing key.

    Raises:
        WeakKeyError: an RSA key outside those sizes.
        InputError: the grants cannot be the claims of one file.
        ValueError: keys and claims do not belong together.
    """
    for key in hosts:
        check_strength(key)
    first = grants[0]
    if (first.for_sensor is None) != (kek is None) or [h.kid for h in first.hosts] != [thumbprint(k) for k in hosts]:
        raise ValueError("the grant's recipients are not those whose keys are given")
    committed = [commitment(epoch_key) for epoch_key in epoch_keys]
    if first.issuer != thumbprint(issuer.public_key()) or [grant.commitment for grant in grants] != committed:
        raise ValueError("the grant names another issuer or commits to another key")
    message = jwe.encrypt(grants, epoch_keys, [*([] if kek is None else [kek]), *hosts])
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
        raise GrantFormatError(
            f"{len(data)} bytes are too many for a sealed key, at most {MAX_SEALED_BYTES}", hint=jws.SEALED_KEY.source
        )
    message = jwe.parse(jws.verify(data, issuer))
    _check_issuer(message.grants[0].issuer, issuer)
    return SealedGrant(message)


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
