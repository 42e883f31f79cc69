"""The table of epochs: the state of each, and what it is sealed with.

The columns with policy and times are for listing.  What an epoch is sealed with, its salt and its
terms, is taken from its encrypted record alone, which authenticates sensor and number; the record of
a destroyed epoch is erased.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from keyvault import canonical
from keyvault.derivation import KEY_BYTES
from keyvault.errors import PrivcamError, StateError, UnknownNameError, VaultDamagedError
from keyvault.grant import MAX_TIME, Grant, utc
from keyvault.issuing import EpochSeed, Terms
from keyvault.policy import Policy
from keyvault.vault_key import VaultKey


class State(StrEnum):
    """What may be done with the key of an epoch."""

    STAGED = "staged"
    PRIMARY = "primary"
    DECRYPT_ONLY = "decrypt-only"
    DISABLED = "disabled"
    PENDING = "pending destruction"
    DESTROYED = "destroyed"


USABLE = frozenset({State.STAGED, State.PRIMARY, State.DECRYPT_ONLY})
"""The states in which an epoch may be sealed for hosts."""

_NEXT = {
    State.STAGED: (State.PRIMARY, State.DISABLED, State.PENDING),
    State.PRIMARY: (State.DECRYPT_ONLY,),
    State.DECRYPT_ONLY: (State.DISABLED, State.PENDING),
    State.DISABLED: (State.DECRYPT_ONLY, State.PENDING),
    State.PENDING: (State.DECRYPT_ONLY, State.DISABLED, State.DESTROYED),
    State.DESTROYED: (),
}
_WAYS = {
    State.STAGED: "promote, disable and destroy are possible",
    State.PRIMARY: "rotate or issue first: that makes it decrypt-only",
    State.DECRYPT_ONLY: "disable and destroy are possible",
    State.DISABLED: "restore and destroy are possible",
    State.PENDING: "restore is possible until then",
    State.DESTROYED: "its key is gone",
}
_COLUMNS = "sensor, epoch, key_id, state, policy, not_before, not_after, made, changed, destroy_at"


@dataclass(frozen=True, slots=True)
class Epoch:
    """A line of the list of epochs.

    Attributes:
        sensor, number: which it is.
        key_id: what frames call it.
        state: what may be done with it.
        policy: canonical JSON.
        not_before, not_after: first and last second of its validity, Unix time.
        made, changed: when it was made, and when it came into its state, Unix time.
        destroy_at: when its key is to be destroyed, Unix time; None unless that is pending.
    """

    sensor: str
    number: int
    key_id: str
    state: State
    policy: str
    not_before: int
    not_after: int
    made: int
    changed: int
    destroy_at: int | None

    @property
    def words(self) -> str:
        """What messages call it."""
        return f"epoch {self.number} of sensor {self.sensor}"


@dataclass(frozen=True, slots=True, repr=False)
class Content:
    """What an epoch is sealed with: its seed, and the terms it was made under."""

    seed: EpochSeed
    terms: Terms


def listed(database: sqlite3.Connection, sensor: str | None = None) -> list[Epoch]:
    """The epochs of a sensor, or of all, by name and number."""
    query = f"SELECT {_COLUMNS} FROM epochs WHERE ?1 IS NULL OR sensor = ?1 ORDER BY sensor, epoch"  # noqa: S608
    if sensor is not None:
        query = query.replace("?1 IS NULL OR ", "")
        return [_epoch(row) for row in database.execute(query, (sensor,))]
    return [_epoch(row) for row in database.execute(query, (None,))]


def get(database: sqlite3.Connection, sensor: str, number: int) -> Epoch:
    """One epoch of a sensor whose name is right; UnknownNameError if there is none of that number."""
    row = database.execute(
        f"SELECT {_COLUMNS} FROM epochs WHERE sensor = ? AND epoch = ?",  # noqa: S608
        (sensor, number),
    ).fetchone()
    if row is None:
        newest = last(database, sensor)
        known = f"the newest is {newest.number}" if newest else "it has no epochs"
        raise UnknownNameError(
            f"sensor {sensor} has no epoch {number}; {known}", hint=f"see keyvault list --sensor {sensor}"
        )
    return _epoch(row)


def primary(database: sqlite3.Connection, sensor: str) -> Epoch | None:
    """The primary epoch of a sensor."""
    return _first(database, "state = 'primary'", sensor)


def last(database: sqlite3.Connection, sensor: str) -> Epoch | None:
    """The newest epoch of a sensor, in whatever state."""
    return _first(database, "epoch >= 1", sensor)


def newest_staged(database: sqlite3.Connection, sensor: str) -> Epoch | None:
    """The newest staged epoch of a sensor."""
    return _first(database, "state = 'staged'", sensor)


def chosen(database: sqlite3.Connection, sensor: str, number: int | None) -> Epoch:
    """The epoch of that number, or the primary one, or the newest where there is none; UnknownNameError."""
    if number is not None:
        return get(database, sensor, number)
    found = primary(database, sensor) or last(database, sensor)
    if found is None:
        raise UnknownNameError(f"sensor {sensor} has no epochs", hint=f"make one with keyvault issue --sensor {sensor}")
    return found


def usable(epoch: Epoch) -> Epoch:
    """An epoch that can be handed out; StateError for any other."""
    if epoch.state not in USABLE:
        raise not_allowed(epoch, "be handed out")
    return epoch


def due(database: sqlite3.Connection, sensor: str, now: int) -> list[Epoch]:
    """The epochs of a sensor whose key is to be destroyed by now."""
    query = f"SELECT {_COLUMNS} FROM epochs WHERE sensor = ? AND destroy_at <= ? ORDER BY epoch"  # noqa: S608
    return [_epoch(row) for row in database.execute(query, (sensor, now))]


def content(database: sqlite3.Connection, key: VaultKey, epoch: Epoch) -> Content:
    """What an epoch is sealed with; StateError if it is destroyed, VaultDamagedError if it was changed."""
    (record,) = database.execute(
        "SELECT record FROM epochs WHERE sensor = ? AND epoch = ?", (epoch.sensor, epoch.number)
    ).fetchone()
    if record is None:
        raise not_allowed(epoch, "be sealed")
    data = key.decrypt(record_label(epoch.sensor, epoch.number), record)
    try:
        terms = _terms_from_json(canonical.loads(data[KEY_BYTES:], "its terms"))
    except (PrivcamError, KeyError, TypeError) as error:
        raise VaultDamagedError(f"the record of {epoch.words} is malformed", hint="restore a backup") from error
    return Content(EpochSeed(epoch.number, data[:KEY_BYTES]), terms)


def add(database: sqlite3.Connection, key: VaultKey, grant: Grant, content: Content, state: State, now: int) -> None:
    """Keep a new epoch, the one that ``grant`` is for, as staged or primary."""
    policy = canonical.dumps(grant.policy.to_json()).decode("ascii")
    times = (grant.not_before, grant.not_after, now, now)
    database.execute(
        f"INSERT INTO epochs ({_COLUMNS}, record) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, NULL, ?)",  # noqa: S608
        (grant.sensor, grant.epoch, grant.key_id, state, policy, *times, _record(key, grant.sensor, content)),
    )


def set_content(database: sqlite3.Connection, key: VaultKey, epoch: Epoch, content: Content) -> None:
    """Keep an epoch's terms anew, such as with other hosts."""
    database.execute(
        "UPDATE epochs SET record = ? WHERE sensor = ? AND epoch = ?",
        (_record(key, epoch.sensor, content), epoch.sensor, epoch.number),
    )


def move(database: sqlite3.Connection, epoch: Epoch, to: State, now: int, destroy_at: int | None = None) -> None:
    """Bring an epoch into another state: the only way there is.

    A destroyed epoch loses its record.

    Raises:
        StateError: the state it is in does not lead there.
    """
    if to not in _NEXT[epoch.state]:
        raise not_allowed(epoch, f"become {to}")
    database.execute(
        "UPDATE epochs SET state = ?1, changed = ?2, destroy_at = ?3, "
        "record = CASE ?1 WHEN 'destroyed' THEN NULL ELSE record END WHERE sensor = ?4 AND epoch = ?5",
        (to, now, destroy_at, epoch.sensor, epoch.number),
    )


def not_allowed(epoch: Epoch, what: str) -> StateError:
    """The refusal of what the state of an epoch does not allow."""
    when = f" at {utc(epoch.destroy_at)}" if epoch.destroy_at is not None else ""
    return StateError(f"{epoch.words} is {epoch.state}{when} and cannot {what}", hint=_WAYS[epoch.state])


def record_label(sensor: str, number: int) -> str:
    """What an epoch's record is encrypted with as its label."""
    return f"epoch {sensor} {number}"


def _record(key: VaultKey, sensor: str, content: Content) -> bytes:
    terms = canonical.dumps(_terms_to_json(content.terms))
    return key.encrypt(record_label(sensor, content.seed.number), content.seed.salt + terms)


def _terms_to_json(terms: Terms) -> dict[str, Any]:
    return {
        "hosts": list(terms.hosts),
        "not_after": terms.not_after,
        "not_before": terms.not_before,
        "policy": terms.policy.to_json(),
        "status_max_age": terms.status_max_age,
    }


def _terms_from_json(value: dict[str, Any]) -> Terms:
    changed = {"hosts": tuple(value["hosts"]), "policy": Policy.from_json(value["policy"])}
    return Terms(**(value | changed))


def _first(database: sqlite3.Connection, condition: str, sensor: str) -> Epoch | None:
    query = f"SELECT {_COLUMNS} FROM epochs WHERE sensor = ? AND {condition} ORDER BY epoch DESC LIMIT 1"  # noqa: S608
    row = database.execute(query, (sensor,)).fetchone()
    return None if row is None else _epoch(row)


def _epoch(row: tuple[Any, ...]) -> Epoch:
    sensor, number, key_id, state, policy, *times = row
    if state not in set(State) or not all(
        type(time) is int and 0 <= time <= MAX_TIME for time in times if time is not None
    ):
        raise VaultDamagedError(
            f"the table's line of epoch {number} of sensor {sensor} was changed from outside",
            hint="restore a backup of the vault",
        )
    return Epoch(sensor, number, key_id, State(state), policy, *times)
