"""From enrolled keys and terms to a sealed key."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from keyvault import envelope
from keyvault.derivation import commitment, derive_epoch_key
from keyvault.grant import Grant, Kind, Recipient
from keyvault.identity import thumbprint
from keyvault.policy import Policy


@dataclass(frozen=True, slots=True)
class Terms:
    """What an epoch is issued for.

    Attributes:
        hosts: names of enrolled hosts.
        policy: geometry and protection.
        not_before, not_after: first and last second of validity, Unix time.
    """

    hosts: tuple[str, ...]
    policy: Policy
    not_before: int
    not_after: int


@dataclass(frozen=True, slots=True)
class Issued:
    """A sealed key as the vault keeps it: its claims, and the bytes of its file."""

    grant: Grant
    data: bytes


@dataclass(frozen=True, slots=True, repr=False)
class SensorKeys:
    """What a vault keeps of a sensor: its key-encryption key, and the public key of its frames."""

    name: str
    kek: bytes
    verifier: Ed25519PublicKey

    @property
    def recipient(self) -> Recipient:
        """The sensor as recipient of a grant."""
        return Recipient(Kind.SENSOR, self.name, thumbprint(self.verifier))


@dataclass(frozen=True, slots=True)
class HostKey:
    """What a vault keeps of a host: its RSA public key."""

    name: str
    public: RSAPublicKey

    @property
    def recipient(self) -> Recipient:
        """The host as recipient of a grant."""
        return Recipient(Kind.HOST, self.name, thumbprint(self.public))


@dataclass(frozen=True, slots=True, repr=False)
class IssuerSecrets:
    """What makes a vault this vault: the root of all epoch keys, and the key that signs grants."""

    root: bytes
    signer: Ed25519PrivateKey


def issue_epoch(
    secrets: IssuerSecrets, sensor: SensorKeys, hosts: Sequence[HostKey], epoch: int, terms: Terms
) -> Issued:
    """Derive and seal the key of one epoch; InputError if the terms contradict themselves."""
    epoch_key = derive_epoch_key(secrets.root, sensor.name, epoch)
    grant = Grant(
        sensor=sensor.name,
        epoch=epoch,
        policy=terms.policy,
        not_before=terms.not_before,
        not_after=terms.not_after,
        issuer=thumbprint(secrets.signer.public_key()),
        sensor_key=sensor.verifier.public_bytes_raw(),
        recipients=(sensor.recipient, *(host.recipient for host in hosts)),
        commitment=commitment(epoch_key),
    )
    data = envelope.seal(grant, epoch_key, sensor.kek, [host.public for host in hosts], secrets.signer)
    return Issued(grant, data)
