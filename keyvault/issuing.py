"""From enrolled keys and terms to a sealed key file."""

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
    """What epochs are sealed for.

    Attributes:
        hosts: names of enrolled hosts.
        policy: geometry and protection.
        not_before, not_after: first and last second of validity, Unix time.
        status_max_age: seconds after which a status list is too old to open the key; None needs none.
    """

    hosts: tuple[str, ...]
    policy: Policy
    not_before: int
    not_after: int
    status_max_age: int | None = None


@dataclass(frozen=True, slots=True)
class Issued:
    """A sealed key as the vault keeps it: its claims, one grant an epoch, and the bytes of its file."""

    grants: tuple[Grant, ...]
    data: bytes

    @property
    def grant(self) -> Grant:
        """The grant of the last epoch in the file."""
        return self.grants[-1]


@dataclass(frozen=True, slots=True, repr=False)
class EpochSeed:
    """What, besides the root secret, an epoch's key comes from: its number, and 32 random bytes."""

    number: int
    salt: bytes


@dataclass(frozen=True, slots=True)
class Delivery:
    """One sealed key file among those of a sensor.

    Attributes:
        epochs: consecutive, by number.
        serial: number of the file among those sealed for this sensor, from 1.
        min_epoch: epochs below it are no longer to be used.
        for_sensor: whether the sensor is a recipient; then there is one epoch.
    """

    epochs: tuple[EpochSeed, ...]
    serial: int
    min_epoch: int = 1
    for_sensor: bool = True


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


def seal_delivery(
    secrets: IssuerSecrets, sensor: SensorKeys, hosts: Sequence[HostKey], delivery: Delivery, terms: Terms
) -> Issued:
    """Derive and seal the keys of a delivery; InputError if terms or delivery contradict themselves."""
    epoch_keys = [derive_epoch_key(secrets.root, sensor.name, epoch.number, epoch.salt) for epoch in delivery.epochs]
    own = [sensor.recipient] if delivery.for_sensor else []
    recipients = (*own, *(host.recipient for host in hosts))
    grants = tuple(
        Grant(
            sensor=sensor.name,
            epoch=epoch.number,
            policy=terms.policy,
            not_before=terms.not_before,
            not_after=terms.not_after,
            issuer=thumbprint(secrets.signer.public_key()),
            sensor_key=sensor.verifier.public_bytes_raw(),
            recipients=recipients,
            commitment=commitment(epoch_key),
            serial=delivery.serial,
            min_epoch=delivery.min_epoch,
            status_max_age=terms.status_max_age,
        )
        for epoch, epoch_key in zip(delivery.epochs, epoch_keys, strict=True)
    )
    kek = sensor.kek if delivery.for_sensor else None
    data = envelope.seal(grants, epoch_keys, kek, [host.public for host in hosts], secrets.signer)
    return Issued(grants, data)
