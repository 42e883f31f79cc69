"""Status lists: what a vault has revoked, disabled and retired, signed (docs/spec/status_list.md)."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from keyvault import canonical, jws
from keyvault.derivation import KEY_ID_DIGITS, MAX_EPOCH
from keyvault.errors import (
    DisabledKeyError,
    InputError,
    PrivcamError,
    RevokedError,
    StatusClockError,
    StatusContentError,
    StatusExpiredError,
    StatusListError,
    StatusMissingError,
    UnknownIssuerError,
)
from keyvault.files import read_bounded
from keyvault.grant import MAX_SERIAL, MAX_TIME, Grant, utc
from keyvault.identity import check_name, is_thumbprint, thumbprint
from keyvault.marks import retired

MAX_STATUS_BYTES = 4_194_304
CLOCK_SKEW = 300
"""Seconds by which a list may seem to come from the future."""

_MEMBERS = {"disabled", "hosts", "issued", "issuer", "min_epochs", "next_update", "number", "sensors"}
_KEY_ID = re.compile(rf"[0-9a-f]{{{KEY_ID_DIGITS}}}")
PUBLISH = "fetch the newest from the vault: keyvault status publish"


@dataclass(frozen=True, slots=True)
class StatusList:
    """What a vault has taken back by the time of issue.

    Attributes:
        issuer: RFC 7638 thumbprint of the vault's key.
        number: higher than that of every earlier list of this vault; 1 to 2**53 - 1.
        issued: Unix time.
        next_update: when the next list is due, Unix time; at least ``issued``.
        sensors, hosts: those that are revoked, key id to name.
        disabled: key ids of epochs that are disabled, await destruction or are destroyed.
        min_epochs: the first epoch that is still to be used, of sensors whose first is not.

    Raises InputError when constructed with values that contradict each other.
    """

    issuer: str
    number: int
    issued: int
    next_update: int
    sensors: Mapping[str, str] = field(default_factory=dict)
    hosts: Mapping[str, str] = field(default_factory=dict)
    disabled: frozenset[str] = frozenset()
    min_epochs: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not is_thumbprint(self.issuer):
            raise InputError("the issuer is not a thumbprint")
        _check_number("number", self.number, 1, MAX_SERIAL)
        _check_number("issued", self.issued, 0, MAX_TIME)
        _check_number("next_update", self.next_update, self.issued, MAX_TIME)
        for kind, revoked in (("sensor", self.sensors), ("host", self.hosts)):
            for kid, name in revoked.items():
                check_name(name, kind)
                if not is_thumbprint(kid):
                    raise InputError(f"the key id of {kind} {name} is not a thumbprint")
        if not all(_KEY_ID.fullmatch(key_id) for key_id in self.disabled):
            raise InputError(f"the key id of an epoch has {KEY_ID_DIGITS} hexadecimal digits")
        for sensor, epoch in self.min_epochs.items():
            check_name(sensor, "sensor")
            _check_number(f"the first epoch of sensor {sensor}", epoch, 2, MAX_EPOCH)

    def to_json(self) -> dict[str, Any]:
        """The members of the list's payload."""
        return {
            "disabled": sorted(self.disabled),
            "hosts": dict(self.hosts),
            "issued": self.issued,
            "issuer": self.issuer,
            "min_epochs": dict(self.min_epochs),
            "next_update": self.next_update,
            "number": self.number,
            "sensors": dict(self.sensors),
        }

    @classmethod
    def from_json(cls, value: Any) -> StatusList:
        """The inverse of to_json; InputError for anything else."""
        if not isinstance(value, dict) or set(value) != _MEMBERS:
            raise InputError("missing or unknown members")
        for name in ("hosts", "min_epochs", "sensors"):
            if not isinstance(value[name], dict):
                raise InputError(f"{name} is not an object")
        disabled = value["disabled"]
        if not isinstance(disabled, list) or not all(isinstance(key_id, str) for key_id in disabled):
            raise InputError("disabled is not a list of key ids")
        found = cls(**value | {"disabled": frozenset(disabled)})
        if found.to_json() != value:
            raise InputError("the key ids in disabled are not in order")
        return found


def sign(status: StatusList, issuer: Ed25519PrivateKey) -> bytes:
    """The file of a status list; InputError if it would be too large."""
    if status.issuer != thumbprint(issuer.public_key()):
        raise ValueError("the list names another issuer")
    data = jws.sign(canonical.dumps(status.to_json()), issuer, jws.STATUS_LIST)
    if len(data) > MAX_STATUS_BYTES:
        raise InputError(
            f"a status list of {len(data)} bytes; readers take {MAX_STATUS_BYTES}",
            hint="retire old epochs with keyvault retire --min-epoch: one number then stands for all of them",
        )
    return data


def verify(data: bytes, issuer: Ed25519PublicKey) -> StatusList:
    """Read a status list that ``issuer`` signed; how old it is, is for :func:`check_age`.

    Raises:
        StatusListError: not a status list.
        UnknownIssuerError: signed by another issuer, or made for another issuer's signature.
        StatusSignatureError: the signature does not verify.
        StatusContentError: signed, but the content contradicts itself.
    """
    if len(data) > MAX_STATUS_BYTES:
        raise StatusListError(
            f"{len(data)} bytes are too many for a status list, at most {MAX_STATUS_BYTES}", hint=jws.STATUS_LIST.source
        )
    payload = jws.verify(data, issuer, jws.STATUS_LIST)
    try:
        status = StatusList.from_json(canonical.loads(payload, "its payload"))
    except InputError as error:
        raise StatusContentError(
            f"signed by the trusted vault, but malformed: {error}", hint="publish a list with this version"
        ) from error
    if status.issuer != thumbprint(issuer):
        raise UnknownIssuerError(
            f"issued by vault {status.issuer}, not by the trusted vault {thumbprint(issuer)}",
            hint="give the issuer.pub of the vault that issued it, if that vault is to be trusted",
        )
    return status


def read_status(path: Path, issuer: Ed25519PublicKey) -> StatusList:
    """Read a status list's file; raises as :func:`verify` does, naming the file, and InputError."""
    data = read_bounded(path, MAX_STATUS_BYTES, "status list")
    try:
        return verify(data, issuer)
    except PrivcamError as error:
        raise type(error)(f"{path}: {error}", hint=error.hint) from error


def check(status: StatusList | None, grant: Grant, reader: str, now: int | None = None) -> None:
    """Refuse what a status list does not let its reader open.

    Args:
        status: the newest at hand of the grant's vault, or None.
        grant: what is to be opened.
        reader: key id of the sensor or host that opens it.
        now: Unix time; None takes the clock.

    Raises:
        RevokedError: the reader, or the sensor that makes the grant's frames, is revoked.
        DisabledKeyError: the grant's epoch is disabled or destroyed.
        RetiredEpochError: its epoch is below the first that is still to be used.
        StatusMissingError, StatusExpiredError, StatusClockError: as :func:`check_age`.
    """
    check_age(status, grant, now)
    if status is None:
        return
    sensor = thumbprint(grant.verifier())
    for kid, revoked, kind in ((sensor, status.sensors, "sensor"), (reader, status.hosts, "host")):
        if kid in revoked:
            raise RevokedError(
                f"{kind} {revoked[kid]} (key {kid}) is revoked, says status list {status.number} of "
                f"{utc(status.issued)}",
                hint=f"if that {kind} is to be used again, enrol it anew under another name",
            )
    if grant.key_id in status.disabled:
        raise DisabledKeyError(
            f"epoch {grant.epoch} of sensor {grant.sensor} (key {grant.key_id}) is disabled, says status list "
            f"{status.number} of {utc(status.issued)}",
            hint=f"use another epoch: keyvault export --sensor {grant.sensor}; or keyvault restore",
        )
    least = status.min_epochs.get(grant.sensor, 1)
    if grant.epoch < least:
        raise retired(grant, least)


def check_age(status: StatusList | None, grant: Grant, now: int | None = None) -> None:
    """Refuse a grant whose status list is missing, too old, or from the future.

    Raises:
        StatusMissingError: the grant needs a list, and there is none.
        StatusExpiredError: the list is older than the grant's ``status_max_age``.
        StatusClockError: the clock is more than :data:`CLOCK_SKEW` behind the list's time of issue.
    """
    name = f"epoch {grant.epoch} of sensor {grant.sensor}"
    if status is None:
        if grant.status_max_age is not None:
            raise StatusMissingError(
                f"{name} opens only with a status list of its vault at hand, and there is none",
                hint=f"{PUBLISH}; it belongs into the home as status.jws",
            )
        return
    moment = check_clock(status, now)
    if grant.status_max_age is not None and moment - status.issued > grant.status_max_age:
        raise StatusExpiredError(
            f"{name} needs a status list that is at most {grant.status_max_age} s old; list {status.number} "
            f"is of {utc(status.issued)}, and it is {utc(moment)}",
            hint=PUBLISH,
        )


def check_clock(status: StatusList, now: int | None = None) -> int:
    """The time; StatusClockError if it is more than :data:`CLOCK_SKEW` before a list's time of issue."""
    moment = int(time.time()) if now is None else now
    if moment < status.issued - CLOCK_SKEW:
        raise StatusClockError(
            f"status list {status.number} was issued at {utc(status.issued)}; it is {utc(moment)}",
            hint="set this machine's clock, or the vault's and publish another list",
        )
    return moment


def _check_number(name: str, value: object, low: int, high: int) -> None:
    if type(value) is not int or not low <= value <= high:
        raise InputError(f"{name} {value!r:.40} is outside {low} to {high}")
