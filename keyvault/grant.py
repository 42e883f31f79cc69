"""A grant: what one epoch's key is for, until when, and for whom it is sealed."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from keyvault import canonical
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
        recipients: the sensor first, then 1 to 64 hosts.
        commitment: 32 bytes that fix the epoch key (:func:`keyvault.derivation.commitment`).

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
        return self.recipients[1:]

    def verifier(self) -> Ed25519PublicKey:
        """The key that verifies this sensor's frames."""
        return Ed25519PublicKey.from_public_bytes(self.sensor_key)

    def sealed_for(self) -> str:
        """The recipients in words, for messages."""
        hosts = [host.name for host in self.hosts]
        return f"sensor {self.sensor} and host{'s' if len(hosts) > 1 else ''} {', '.join(hosts)}"

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

    def to_json(self) -> dict[str, Any]:
        """The claims as members of a canonical JSON object (docs/spec/sealed_key.md, section 5)."""
        return {
            "commitment": canonical.b64url(self.commitment),
            "epoch": self.epoch,
            "issuer": self.issuer,
            "not_after": self.not_after,
            "not_before": self.not_before,
            "policy": self.policy.to_json(),
            "recipients": [{"kid": r.kid, "kind": str(r.kind), "name": r.name} for r in self.recipients],
            "sensor": self.sensor,
            "sensor_key": canonical.b64url(self.sensor_key),
        }

    @classmethod
    def from_json(cls, value: Any) -> Grant:
        """The inverse of to_json; InputError or PolicyError for anything else."""
        claims = _members(value, cls.__slots__, "the grant")
        return cls(
            sensor=claims["sensor"],
            epoch=claims["epoch"],
            policy=Policy.from_json(claims["policy"]),
            not_before=claims["not_before"],
            not_after=claims["not_after"],
            issuer=claims["issuer"],
            sensor_key=_octets(claims["sensor_key"], "sensor_key"),
            recipients=_recipients(claims["recipients"]),
            commitment=_octets(claims["commitment"], "commitment"),
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
    if type(grant.epoch) is not int or not 1 <= grant.epoch <= MAX_EPOCH:
        raise InputError(f"epoch {grant.epoch!r} is outside 1 to {MAX_EPOCH}")
    for name in ("not_before", "not_after"):
        moment = getattr(grant, name)
        if type(moment) is not int or not 0 <= moment <= MAX_TIME:
            raise InputError(f"{name} {moment!r} is not a Unix time of the years 1970 to 9999")
    if grant.not_after < grant.not_before:
        raise InputError(f"the grant ends ({utc(grant.not_after)}) before it begins ({utc(grant.not_before)})")
    if not is_thumbprint(grant.issuer):
        raise InputError("the issuer is not a thumbprint")
    if len(grant.sensor_key) != KEY_BYTES or len(grant.commitment) != KEY_BYTES:
        raise InputError(f"sensor_key and commitment have {KEY_BYTES} bytes each")


def _check_recipients(grant: Grant) -> None:
    sensors = [r for r in grant.recipients if r.kind is Kind.SENSOR]
    if len(sensors) != 1 or grant.recipients[0] is not sensors[0] or sensors[0].name != grant.sensor:
        raise InputError(f"the first recipient, and no other, must be sensor {grant.sensor}")
    if sensors[0].kid != thumbprint(grant.verifier()):
        raise InputError(f"the key id of sensor {grant.sensor} is not the thumbprint of its signing key")
    if not 1 <= len(grant.hosts) <= MAX_HOSTS:
        raise InputError(f"a grant is for 1 to {MAX_HOSTS} hosts, not {len(grant.hosts)}")
    for what, values in (("name", {h.name for h in grant.hosts}), ("key", {h.kid for h in grant.hosts})):
        if len(values) != len(grant.hosts):
            raise InputError(f"two hosts of a grant have the same {what}")


def _recipients(value: Any) -> tuple[Recipient, ...]:
    if not isinstance(value, list):
        raise InputError("recipients is not a list")
    entries = [_members(item, Recipient.__slots__, "a recipient") for item in value]
    try:
        return tuple(Recipient(Kind(entry["kind"]), entry["name"], entry["kid"]) for entry in entries)
    except ValueError as error:
        raise InputError(f"a recipient is neither sensor nor host: {error}") from error


def _members(value: Any, names: tuple[str, ...], what: str) -> dict[str, Any]:
    if not isinstance(value, dict) or set(value) != set(names):
        raise InputError(f"{what} has missing or unknown members")
    return value


def _octets(value: Any, what: str) -> bytes:
    if not isinstance(value, str):
        raise InputError(f"{what} is not a string")
    return canonical.unb64url(value, what)
