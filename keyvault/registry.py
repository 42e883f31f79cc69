"""Who is enrolled in a vault, and how far each sensor's numbers have been used.

The columns ``name`` and ``kid`` are for listing and for uniqueness.  Keys are taken from the
encrypted records alone, which authenticate the name they were enrolled under.
"""

from __future__ import annotations

import difflib
import sqlite3
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key

from keyvault.derivation import KEY_BYTES, MAX_EPOCH
from keyvault.errors import NameTakenError, StateError, UnknownNameError, VaultDamagedError
from keyvault.grant import MAX_TIME, Kind, utc
from keyvault.issuing import HostKey, SensorKeys
from keyvault.vault_key import VaultKey

ACTIVE, REVOKED = "active", "revoked"
_SHOWN = 8  # names in a message


@dataclass(frozen=True, slots=True)
class Enrolled:
    """A line of the list.

    Attributes:
        name, kid: who it is, and the thumbprint of its key.
        since, changed: Unix time of its enrolment and of the last change of its state.
        state: ``active`` or ``revoked``.
        epoch: a sensor's newest epoch, 0 before the first; 0 for a host.
        primary: a sensor's primary epoch, 0 where there is none.
        min_epoch: epochs of the sensor below it are retired; 1 for a host.
    """

    name: str
    kid: str
    since: int
    changed: int
    state: str
    epoch: int
    primary: int
    min_epoch: int


@dataclass(frozen=True, slots=True)
class Numbers:
    """What the next sealed key of a sensor is numbered with."""

    epoch: int
    serial: int
    min_epoch: int


class HostKeys:
    """The hosts' public keys, each parsed once as long as its record stays the same."""

    def __init__(self) -> None:
        self._parsed: dict[bytes, HostKey] = {}

    def get(self, database: sqlite3.Connection, key: VaultKey, name: str) -> HostKey:
        """The key of an active host; UnknownNameError, StateError if it is revoked, or VaultDamagedError."""
        own_name, record = _active(database, Kind.HOST, name)
        host = self._parsed.get(record)
        if host is None or host.name != own_name:
            public = load_der_public_key(key.decrypt(f"host {own_name}", record))
            if not isinstance(public, RSAPublicKey):
                raise VaultDamagedError(f"the record of host {own_name} is not an RSA key", hint="restore a backup")
            host = self._parsed[record] = HostKey(own_name, public)
        return host


def list_enrolled(database: sqlite3.Connection, kind: Kind) -> list[Enrolled]:
    """The enrolled sensors or hosts, by name."""
    rows = database.execute(
        "SELECT name, kid, since, changed, state, coalesce(newest, 0), coalesce(first, 0), coalesce(min_epoch, 1) "
        "FROM enrolled LEFT JOIN counters ON counters.kind = enrolled.kind AND counters.sensor = name "
        "LEFT JOIN (SELECT sensor, max(epoch) AS newest, max(CASE state WHEN 'primary' THEN epoch END) AS first "
        "FROM epochs GROUP BY sensor) AS made ON made.sensor = counters.sensor "
        "WHERE enrolled.kind = ? ORDER BY name",
        (kind,),
    )
    found = [Enrolled(*row) for row in rows]
    for one in found:
        _check_time(one.changed, kind, one.name)
    return found


def names(database: sqlite3.Connection, kind: Kind, state: str | None = None) -> list[str]:
    """The names of the enrolled sensors or hosts, in order; of those in one state if it is given."""
    query = "SELECT name FROM enrolled WHERE kind = ? AND state = coalesce(?, state) ORDER BY name"
    return [name for (name,) in database.execute(query, (kind, state))]


def own_name(database: sqlite3.Connection, kind: Kind, name: str) -> str:
    """The name of a sensor or host as it was enrolled, from one in whatever case; UnknownNameError."""
    return str(_row(database, kind, name)[0])


def refuse_taken(database: sqlite3.Connection, kind: Kind, name: str) -> None:
    """Raise NameTakenError if a sensor or host of that name, in whatever case, is enrolled."""
    if database.execute("SELECT 1 FROM enrolled WHERE kind = ? AND name = ?", (kind, name)).fetchone():
        raise NameTakenError(f"a {kind} named {name} is enrolled already", hint="choose another name")


def add_sensor(database: sqlite3.Connection, key: VaultKey, sensor: SensorKeys) -> None:
    """Enrol a sensor; NameTakenError if its name or its key is."""
    record = key.encrypt(f"sensor {sensor.name}", sensor.kek + sensor.verifier.public_bytes_raw())
    _add(database, Kind.SENSOR, sensor.name, sensor.recipient.kid, record)
    database.execute("INSERT INTO counters (sensor) VALUES (?)", (sensor.name,))


def add_host(database: sqlite3.Connection, key: VaultKey, host: HostKey) -> None:
    """Enrol a host; NameTakenError if its name or its key is."""
    public = host.public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    _add(database, Kind.HOST, host.name, host.recipient.kid, key.encrypt(f"host {host.name}", public))


def get_sensor(database: sqlite3.Connection, key: VaultKey, name: str, *, active: bool = True) -> SensorKeys:
    """The keys of a sensor.

    Raises:
        UnknownNameError: there is none of that name.
        StateError: it is revoked, unless ``active`` is false.
        VaultDamagedError: its record was changed.
    """
    own, record = _active(database, Kind.SENSOR, name) if active else _row(database, Kind.SENSOR, name)[:2]
    content = key.decrypt(f"sensor {own}", record)
    return SensorKeys(own, content[:KEY_BYTES], Ed25519PublicKey.from_public_bytes(content[KEY_BYTES:]))


def revoke(database: sqlite3.Connection, kind: Kind, name: str) -> str:
    """Revoke a sensor or host for good; returns its name; UnknownNameError, or StateError if it is revoked."""
    own, _ = _active(database, kind, name)
    database.execute(
        "UPDATE enrolled SET state = ?, changed = ? WHERE kind = ? AND name = ?", (REVOKED, int(time.time()), kind, own)
    )
    return own


def take_numbers(database: sqlite3.Connection, sensor: str, *, epoch: bool) -> Numbers:
    """Use up a sensor's next serial, and its next epoch as well if ``epoch``; no number is given twice."""
    row = database.execute(
        "UPDATE counters SET next_serial = next_serial + 1, next_epoch = next_epoch + ? WHERE sensor = ? "
        "RETURNING next_epoch - ?1, next_serial - 1, min_epoch",
        (int(epoch), sensor),
    ).fetchone()
    numbers = Numbers(*row)
    if not 1 <= numbers.epoch <= MAX_EPOCH:
        raise VaultDamagedError(
            f"the next epoch of sensor {sensor} would be {numbers.epoch}, of {MAX_EPOCH} at most",
            hint="restore a backup of the vault",
        )
    return numbers


def min_epoch(database: sqlite3.Connection, sensor: str) -> int:
    """The epoch of a sensor below which all are retired."""
    (number,) = database.execute("SELECT min_epoch FROM counters WHERE sensor = ?", (sensor,)).fetchone()
    return int(number)


def set_min_epoch(database: sqlite3.Connection, sensor: str, number: int) -> None:
    """Retire the epochs of a sensor below ``number``."""
    database.execute("UPDATE counters SET min_epoch = ? WHERE sensor = ?", (number, sensor))


def skip_numbers(database: sqlite3.Connection, count: int) -> None:
    """Leave out the next ``count`` epochs and serials of every sensor."""
    database.execute("UPDATE counters SET next_epoch = next_epoch + ?1, next_serial = next_serial + ?1", (count,))


def _add(database: sqlite3.Connection, kind: Kind, name: str, kid: str, record: bytes) -> None:
    refuse_taken(database, kind, name)
    other = database.execute("SELECT name, state FROM enrolled WHERE kind = ? AND kid = ?", (kind, kid)).fetchone()
    if other:
        revoked = other[1] == REVOKED
        raise NameTakenError(
            f"the key of {name} is enrolled already, as {kind} {other[0]}{', which was revoked' if revoked else ''}",
            hint="make a new key" if revoked else "use that name",
        )
    now = int(time.time())
    database.execute(
        "INSERT INTO enrolled (kind, name, kid, since, changed, record) VALUES (?, ?, ?, ?, ?, ?)",
        (kind, name, kid, now, now, record),
    )


def _active(database: sqlite3.Connection, kind: Kind, name: str) -> tuple[str, bytes]:
    """Name and record of one that is not revoked."""
    own, record, state, changed = _row(database, kind, name)
    if state != ACTIVE:
        raise StateError(
            f"{kind} {own} was revoked at {utc(changed)}", hint=f"enrol a {kind} with another name and a new key"
        )
    return own, record


def _row(database: sqlite3.Connection, kind: Kind, name: str) -> tuple[Any, ...]:
    query = "SELECT name, record, state, changed FROM enrolled WHERE kind = ? AND name = ?"
    row: tuple[Any, ...] | None = database.execute(query, (kind, name)).fetchone()
    if row is None:
        raise _unknown(kind, name, names(database, kind))
    _check_time(row[3], kind, row[0])
    return row


def _check_time(moment: object, kind: Kind, name: str) -> None:
    if type(moment) is not int or not 0 <= moment <= MAX_TIME:
        raise VaultDamagedError(
            f"the table's line of {kind} {name} was changed from outside", hint="restore a backup of the vault"
        )


def _unknown(kind: Kind, name: str, known: Sequence[str]) -> UnknownNameError:
    """The refusal of a name, with the names that would do."""
    if len(known) <= _SHOWN:
        found = f"enrolled: {', '.join(known) or 'none'}"
    else:
        near = difflib.get_close_matches(name, known, _SHOWN)
        found = f"{len(known)} are enrolled{', near it: ' if near else ''}{', '.join(near)}"
    return UnknownNameError(
        f"no {kind} named {name} is enrolled ({found})", hint=f"enrol it with keyvault enroll {kind}"
    )
