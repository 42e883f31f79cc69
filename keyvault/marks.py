"""What a sensor and a host remember of the newest they have used, and refuse by it (docs/spec/marks.md).

A mark only ever grows: each of its methods gives the mark after a use, or raises what refuses it.
Files are the business of :mod:`keyvault.mark_files`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from keyvault.derivation import KEY_ID_DIGITS, MAX_EPOCH
from keyvault.errors import (
    EpochKeyChangedError,
    EpochRollbackError,
    InputError,
    MinEpochRollbackError,
    RetiredEpochError,
    RollbackError,
    SerialRollbackError,
    StatusRollbackError,
)
from keyvault.grant import MAX_SERIAL, Grant, Kind
from keyvault.mark_files import check_members

MAX_SPANS = 256
_SPAN = re.compile(r"([1-9][0-9]{0,9})-([1-9][0-9]{0,9}) (sensor|host)")
_KEY_ID = re.compile(rf"[0-9a-f]{{{KEY_ID_DIGITS}}}")


@dataclass(frozen=True, slots=True)
class SensorMark:
    """The newest that a sensor has used of one vault's sealed keys.

    Attributes:
        issuer, sensor: thumbprint of the vault's key, and the sensor's name.
        epoch: the highest used; 0 before the first.
        key_id: of that epoch.
        serial: the highest of a sealed key of that epoch.
        min_epoch: the highest that a sealed key has claimed.
    """

    issuer: str
    sensor: str
    epoch: int = 0
    key_id: str = "0" * KEY_ID_DIGITS
    serial: int = 0
    min_epoch: int = 1

    @property
    def file_name(self) -> str:
        """``sensor.ISSUER.NAME.mark``."""
        return f"sensor.{self.issuer}.{self.sensor}.mark"

    def after(self, grant: Grant) -> SensorMark:
        """The mark after this sensor has used a key.

        Raises:
            EpochRollbackError: its epoch is lower than the mark's.
            EpochKeyChangedError: the same epoch, but another key.
            SerialRollbackError: the same epoch, but an older sealed key.
            MinEpochRollbackError: its min_epoch is lower than the mark's.
        """
        refusal = self._refusal(grant)
        if refusal is not None:
            raise refusal
        return replace(self, epoch=grant.epoch, key_id=grant.key_id, serial=grant.serial, min_epoch=grant.min_epoch)

    def _refusal(self, grant: Grant) -> RollbackError | None:
        sensor, hint = grant.sensor, _fetch(grant)
        if grant.epoch < self.epoch:
            return EpochRollbackError(
                f"epoch {grant.epoch} of sensor {sensor} is older than epoch {self.epoch}, which it has used", hint=hint
            )
        if grant.epoch == self.epoch and grant.key_id != self.key_id:
            return EpochKeyChangedError(
                f"epoch {grant.epoch} of sensor {sensor} has key {grant.key_id} here, but the sensor has used "
                f"{self.key_id}: the vault was set back to an earlier state",
                hint=f"keyvault rotate --sensor {sensor} until its epoch is above {self.epoch}",
            )
        if grant.epoch == self.epoch and grant.serial < self.serial:
            return SerialRollbackError(_older(grant, f"epoch {grant.epoch}", self.serial), hint=hint)
        if grant.min_epoch < self.min_epoch:
            return MinEpochRollbackError(
                f"this sealed key of sensor {sensor} allows epochs from {grant.min_epoch} on, "
                f"a newer one that was used here from {self.min_epoch} on",
                hint=hint,
            )
        return None

    def to_json(self) -> dict[str, Any]:
        """The members of the mark's file."""
        names = ("epoch", "issuer", "key_id", "min_epoch", "sensor", "serial")
        return {name: getattr(self, name) for name in names} | {"typ": "privcam-sensor-mark", "v": 1}

    def from_json(self, value: Any) -> SensorMark:
        """The mark of the same issuer and sensor that a file holds; InputError for anything else."""
        members = check_members(value, set(self.__slots__), "privcam-sensor-mark")
        _check_owner(self, members)
        _check_number(members["epoch"], MAX_EPOCH)
        _check_number(members["min_epoch"], members["epoch"])
        _check_number(members["serial"], MAX_SERIAL)
        if not isinstance(members["key_id"], str) or not _KEY_ID.fullmatch(members["key_id"]):
            raise InputError("its key id is not one")
        return replace(self, **{name: members[name] for name in ("epoch", "key_id", "min_epoch", "serial")})


Span = tuple[int, int, Kind]
"""First and last epoch of a sealed key, and whether a sensor is among its recipients or hosts alone."""


def span(grants: Sequence[Grant]) -> Span:
    """Which sealed keys replace one another: those of the same epochs and the same kind."""
    return grants[0].epoch, grants[-1].epoch, Kind.SENSOR if grants[0].for_sensor else Kind.HOST


@dataclass(frozen=True, slots=True)
class HostMark:
    """The newest that a host has used of one vault's sealed keys for one sensor.

    Attributes:
        issuer, sensor: thumbprint of the vault's key, and the sensor's name.
        min_epoch: the highest that a sealed key or a status list has claimed.
        serials: the highest serial used, by span; of the 256 latest spans that ``min_epoch`` allows.
    """

    issuer: str
    sensor: str
    min_epoch: int = 1
    serials: Mapping[Span, int] = field(default_factory=dict)

    @property
    def file_name(self) -> str:
        """``host.ISSUER.NAME.mark``."""
        return f"host.{self.issuer}.{self.sensor}.mark"

    def after(self, files: Sequence[Sequence[Grant]], min_epoch: int = 1) -> HostMark:
        """The mark after this host has opened sealed keys, each given by the grants in it, in any order."""
        least = max(self.min_epoch, min_epoch, *(grants[0].min_epoch for grants in files))
        serials = dict(self.serials)
        for grants in files:
            key = span(grants)
            serials[key] = max(serials.get(key, 0), grants[0].serial)
        latest = sorted((key for key in serials if key[1] >= least), key=lambda key: (key[1], key[0], key[2]))
        return replace(self, min_epoch=least, serials={key: serials[key] for key in latest[-MAX_SPANS:]})

    def refusal(self, grants: Sequence[Grant], grant: Grant) -> RollbackError | None:
        """Why this host does not use a grant of a sealed key, whose grants are given; None if it does."""
        if grant.epoch < self.min_epoch:
            return retired(grant, self.min_epoch)
        newest = self.serials.get(span(grants), 0)
        if grant.serial < newest:
            first, last, _ = span(grants)
            epochs = f"epoch {first}" if first == last else f"epochs {first} to {last}"
            return SerialRollbackError(_older(grant, epochs, newest), hint=_fetch(grant))
        return None

    def to_json(self) -> dict[str, Any]:
        """The members of the mark's file."""
        return {
            "issuer": self.issuer,
            "min_epoch": self.min_epoch,
            "sensor": self.sensor,
            "serials": {f"{first}-{last} {kind}": serial for (first, last, kind), serial in self.serials.items()},
            "typ": "privcam-host-mark",
            "v": 1,
        }

    def from_json(self, value: Any) -> HostMark:
        """The mark of the same issuer and sensor that a file holds; InputError for anything else."""
        members = check_members(value, set(self.__slots__), "privcam-host-mark")
        _check_owner(self, members)
        _check_number(members["min_epoch"], MAX_EPOCH)
        if not isinstance(members["serials"], dict) or len(members["serials"]) > MAX_SPANS:
            raise InputError("its serials are not a list of them")
        serials = {_span(name): _check_number(serial, MAX_SERIAL) for name, serial in members["serials"].items()}
        return replace(self, min_epoch=members["min_epoch"], serials=serials)


@dataclass(frozen=True, slots=True)
class ListMark:
    """The highest number of a vault's status lists that was used here; 0 before the first."""

    issuer: str
    number: int = 0

    @property
    def file_name(self) -> str:
        """``status.ISSUER.mark``."""
        return f"status.{self.issuer}.mark"

    def after(self, number: int) -> ListMark:
        """The mark after a list was used; StatusRollbackError if a newer one was used before."""
        if number < self.number:
            raise StatusRollbackError(
                f"status list {number} is older than list {self.number}, which was used here",
                hint="fetch the newest from the vault: keyvault status publish",
            )
        return replace(self, number=number)

    def to_json(self) -> dict[str, Any]:
        """The members of the mark's file."""
        return {"issuer": self.issuer, "number": self.number, "typ": "privcam-status-mark", "v": 1}

    def from_json(self, value: Any) -> ListMark:
        """The mark of the same issuer that a file holds; InputError for anything else."""
        members = check_members(value, set(self.__slots__), "privcam-status-mark")
        if members["issuer"] != self.issuer:
            raise InputError("it is that of another vault")
        return replace(self, number=_check_number(members["number"], MAX_SERIAL))


def retired(grant: Grant, min_epoch: int) -> RetiredEpochError:
    """The refusal of an epoch below the first that the vault still allows."""
    return RetiredEpochError(
        f"epoch {grant.epoch} of sensor {grant.sensor} is retired: its vault allows epochs from {min_epoch} on",
        hint=f"use a newer epoch: keyvault export --sensor {grant.sensor}",
    )


def _older(grant: Grant, epochs: str, newest: int) -> str:
    return (
        f"this sealed key for {epochs} of sensor {grant.sensor} has serial {grant.serial}; "
        f"a newer one, serial {newest}, was used here"
    )


def _fetch(grant: Grant) -> str:
    return f"fetch the newest file from the vault: keyvault export --sensor {grant.sensor}"


def _check_owner(mark: SensorMark | HostMark, members: Mapping[str, Any]) -> None:
    if (members["issuer"], members["sensor"]) != (mark.issuer, mark.sensor):
        raise InputError("it is that of another sensor or vault")


def _check_number(value: Any, most: int) -> int:
    if type(value) is not int or not 1 <= value <= most:
        raise InputError(f"a number in it is outside 1 to {most}")
    return value


def _span(name: str) -> Span:
    match = _SPAN.fullmatch(name)
    if match is None or not int(match[1]) <= int(match[2]) <= MAX_EPOCH:
        raise InputError("its serials are not by epochs")
    return int(match[1]), int(match[2]), Kind(match[3])
