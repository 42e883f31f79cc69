"""A grant: what one epoch's key is for, until when, and for whom it is sealed.

What a sealed key file says of one or several epochs together is in :mod:`keyvault.claims`.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from keyvault.derivation import (
    KEY_BYTES,
    KEY_ID_DIGITS,
    MAX_EPOCH,
    FrameId,
    FrameSecrets,
    derive_frame_secrets,
)
from keyvault.errors import ExpiredGrantError, InputError, NotYetValidError
from keyvault.identity import check_name, is_thumbprint, thumbprint
from keyvault.policy import Policy

MAX_HOSTS = 64
MAX_SERIAL = 2**53 - 1
MAX_STATUS_AGE = 10 * 366 * 86_400  # seconds
MAX_TIME = 253_402_300_799  # the last second of the year 9999


class Kind(StrEnum):
    """What a recipient is."""

    SENSOR = "sensor"
    HOST = "host"


@dataclass(frozen=True, slots=True)
class Recipient:
    """One for whom the epoch key is sealed.

    Attributes:
        kind: a sensor opens with its device key, a host with its RSA key.
        name: as enrolled in the vault.
        kid: RFC 7638 thumbprint of the host's RSA key, or of the key the sensor signs with.
    """

    kind: Kind
    name: str
    kid: str

    def __post_init__(self) -> None:
        check_name(self.name, str(self.kind))
        if not is_thumbprint(self.kid):
            raise InputError(f"the key id of {self.kind} {self.name} is not a thumbprint")


@dataclass(frozen=True, slots=True)
class Grant:
    """The public claims of a sealed key, all authenticated by the issuer's signature.

    Attributes:
        sensor: name of the sensor that makes frames under this grant.
        epoch: 1, 2, 3 ... per sensor.
        policy: geometry and protection of every frame.
        not_before, not_after: first and last second of validity, Unix time.
        issuer: RFC 7638 thumbprint of the vault's Ed25519 key.
        sensor_key: raw Ed25519 public key (32 bytes) with which the sensor signs frames.
        recipients: the sensor first, if it is one, then up to 64 hosts; at least one in all.
        commitment: 32 bytes that fix the epoch key (:func:`keyvault.derivation.commitment`).
        serial: number of the sealed key among those that the vault has sealed for this sensor, from 1.
        min_epoch: epochs below it are no longer to be used; at most ``epoch``.
        status_max_age: seconds after which a status list is too old to open the key; None needs none.

    Raises InputError when constructed with claims that contradict each other.
    """

    sensor: str
    epoch: int
    policy: Policy
    not_before: int
    not_after: int
    issuer: str
    sensor_key: bytes
    recipients: tuple[Recipient, ...]
    commitment: bytes
    serial: int = 1
    min_epoch: int = 1
    status_max_age: int | None = None

    def __post_init__(self) -> None:
        _check_claims(self)
        _check_recipients(self)

    @property
    def key_id(self) -> str:
        """What frames call this grant: the first 16 hexadecimal digits of the commitment."""
        return self.commitment.hex()[:KEY_ID_DIGITS]

    @property
    def hosts(self) -> tuple[Recipient, ...]:
        """The recipients that are hosts."""
        return tuple(recipient for recipient in self.recipients if recipient.kind is Kind.HOST)

    @property
    def for_sensor(self) -> Recipient | None:
        """The sensor as recipient, or None if the key is sealed for hosts only."""
        first = self.recipients[0]
        return first if first.kind is Kind.SENSOR else None

    def verifier(self) -> Ed25519PublicKey:
        """The key that verifies this sensor's frames."""
        return Ed25519PublicKey.from_public_bytes(self.sensor_key)

    def sealed_for(self) -> str:
        """The recipients in words, for messages."""
        hosts = [host.name for host in self.hosts]
        sensor = [f"sensor {self.sensor}"] if self.for_sensor else []
        names = [f"host{'s' if len(hosts) > 1 else ''} {', '.join(hosts)}"] if hosts else []
        return " and ".join(sensor + names)

    def check_validity(self, now: int | None = None) -> None:
        """Raise ExpiredGrantError or NotYetValidError unless valid at ``now`` (Unix s; None: the clock)."""
        moment = int(time.time()) if now is None else now
        name = f"epoch {self.epoch} of sensor {self.sensor} (key {self.key_id})"
        if moment < self.not_before:
            raise NotYetValidError(
                f"{name} is valid from {utc(self.not_before)}; it is {utc(moment)}",
                hint="wait, or check this machine's clock",
            )
        if moment > self.not_after:
            raise ExpiredGrantError(
                f"{name} expired at {utc(self.not_after)}; it is {utc(moment)}",
                hint=f"ask the vault for a new epoch: keyvault rotate --sensor {self.sensor}",
            )


@dataclass(frozen=True, slots=True, repr=False)
class OpenGrant:
    """A grant whose epoch key has been unsealed; its repr shows no secret."""

    grant: Grant
    epoch_key: bytes

    def __repr__(self) -> str:
        return f"OpenGrant(sensor={self.grant.sensor!r}, epoch={self.grant.epoch}, key_id={self.grant.key_id!r})"

    def frame_secrets(self, frame: FrameId) -> FrameSecrets:
        """The keys of one frame of this grant's sensor under its policy."""
        return derive_frame_secrets(self.epoch_key, self.grant.sensor, self.grant.policy, frame)


def utc(moment: int) -> str:
    """A Unix time in words, such as ``2026-11-20 09:30:00 UTC``."""
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _check_claims(grant: Grant) -> None:
    check_name(grant.sensor, "sensor")
    _check_number("epoch", grant.epoch, 1, MAX_EPOCH)
    _check_number("serial", grant.serial, 1, MAX_SERIAL)
    _check_number("min_epoch", grant.min_epoch, 1, grant.epoch)
    if grant.status_max_age is not None:
        _check_number("status_max_age", grant.status_max_age, 1, MAX_STATUS_AGE)
    for name in ("not_before", "not_after"):
        moment = getattr(grant, name)
        if type(moment) is not int or not 0 <= moment <= MAX_TIME:
            raise InputError(
                f"{name} {moment!r} is not a Unix time of the years 1970 to 9999", hint="give another validity"
            )
    if grant.not_after < grant.not_before:
        raise InputError(f"the grant ends ({utc(grant.not_after)}) before it begins ({utc(grant.not_before)})")
    if not is_thumbprint(grant.issuer):
        raise InputError("the issuer is not a thumbprint")
    if len(grant.sensor_key) != KEY_BYTES or len(grant.commitment) != KEY_BYTES:
        raise InputError(f"sensor_key and commitment have {KEY_BYTES} bytes each")


def _check_number(name: str, value: object, low: int, high: int) -> None:
    if type(value) is not int or not low <= value <= high:
        raise InputError(f"{name} {value!r:.40} is outside {low} to {high}")


def _check_recipients(grant: Grant) -> None:
    if not grant.recipients:
        raise InputError("a grant has no recipients")
    for number, recipient in enumerate(grant.recipients):
        if recipient.kind is Kind.SENSOR and (number or recipient.name != grant.sensor):
            raise InputError(f"only the first recipient may be a sensor, and it is sensor {grant.sensor}")
    sensor = grant.for_sensor
    if sensor is not None and sensor.kid != thumbprint(grant.verifier()):
        raise InputError(f"the key id of sensor {grant.sensor} is not the thumbprint of its signing key")
    if len(grant.hosts) > MAX_HOSTS:
        raise InputError(f"a grant is for at most {MAX_HOSTS} hosts, not {len(grant.hosts)}")
    for what, values in (("name", {h.name for h in grant.hosts}), ("key", {h.kid for h in grant.hosts})):
        if len(values) != len(grant.hosts):
            raise InputError(f"two hosts of a grant have the same {what}")
