"""Who is enrolled in a vault: the table of sensors and hosts.

The columns ``name`` and ``kid`` are for listing and for uniqueness.  Keys are taken from the
encrypted records alone, which authenticate the name they were enrolled under.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key

from keyvault.derivation import KEY_BYTES
from keyvault.errors import NameTakenError, UnknownNameError, VaultDamagedError
from keyvault.grant import Kind
from keyvault.issuing import HostKey, SensorKeys
from keyvault.vault_key import VaultKey


@dataclass(frozen=True, slots=True)
class Enrolled:
    """A line of the list: ``since`` is Unix time; ``epoch`` a sensor's last one, 0 before the first."""

    name: str
    kid: str
    since: int
    epoch: int = 0


def list_enrolled(database: sqlite3.Connection, kind: Kind) -> list[Enrolled]:
    """The enrolled sensors or hosts, by name."""
    rows = database.execute(
        "SELECT name, kid, since, (SELECT coalesce(max(epoch), 0) FROM grants "
        "WHERE grants.kind = enrolled.kind AND grants.sensor = enrolled.name) "
        "FROM enrolled WHERE kind = ? ORDER BY name",
        (kind,),
    )
    return [Enrolled(*row) for row in rows]


def refuse_taken(database: sqlite3.Connection, kind: Kind, name: str) -> None:
    """Raise NameTakenError if a sensor or host of that name, in whatever case, is enrolled."""
    if _row(database, "SELECT 1 FROM enrolled WHERE kind = ? AND name = ?", kind, name):
        raise NameTakenError(f"a {kind} named {name} is enrolled already", hint="choose another name")


def add_sensor(database: sqlite3.Connection, key: VaultKey, sensor: SensorKeys) -> None:
    """Enrol a sensor; NameTakenError if its name or its key is."""
    record = key.encrypt(f"sensor {sensor.name}", sensor.kek + sensor.verifier.public_bytes_raw())
    _add(database, Kind.SENSOR, sensor.name, sensor.recipient.kid, record)


def add_host(database: sqlite3.Connection, key: VaultKey, host: HostKey) -> None:
    """Enrol a host; NameTakenError if its name or its key is."""
    public = host.public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    _add(database, Kind.HOST, host.name, host.recipient.kid, key.encrypt(f"host {host.name}", public))


def get_sensor(database: sqlite3.Connection, key: VaultKey, name: str) -> SensorKeys:
    """The keys of a sensor; UnknownNameError or VaultDamagedError."""
    own_name, content = _record(database, key, Kind.SENSOR, name)
    return SensorKeys(own_name, content[:KEY_BYTES], Ed25519PublicKey.from_public_bytes(content[KEY_BYTES:]))


def get_host(database: sqlite3.Connection, key: VaultKey, name: str) -> HostKey:
    """The key of a host; UnknownNameError or VaultDamagedError."""
    own_name, content = _record(database, key, Kind.HOST, name)
    public = load_der_public_key(content)
    if not isinstance(public, RSAPublicKey):
        raise VaultDamagedError(f"the record of host {own_name} is not an RSA key", hint="restore a backup")
    return HostKey(own_name, public)


def unknown(kind: Kind, name: str, known: Iterable[Enrolled]) -> UnknownNameError:
    """The refusal of a name, with the names that would do."""
    names = ", ".join(entry.name for entry in known) or "none"
    return UnknownNameError(
        f"no {kind} named {name} is enrolled (enrolled: {names})", hint=f"enrol it with keyvault enroll {kind}"
    )


def _add(database: sqlite3.Connection, kind: Kind, name: str, kid: str, record: bytes) -> None:
    refuse_taken(database, kind, name)
    other = _row(database, "SELECT name FROM enrolled WHERE kind = ? AND kid = ?", kind, kid)
    if other:
        raise NameTakenError(f"the key of {name} is enrolled already, as {kind} {other[0]}", hint="use that name")
    database.execute("INSERT INTO enrolled VALUES (?, ?, ?, ?, ?)", (kind, name, kid, int(time.time()), record))


def _record(database: sqlite3.Connection, key: VaultKey, kind: Kind, name: str) -> tuple[str, bytes]:
    row = _row(database, "SELECT name, record FROM enrolled WHERE kind = ? AND name = ?", kind, name)
    if row is None:
        raise unknown(kind, name, list_enrolled(database, kind))
    return row[0], key.decrypt(f"{kind} {row[0]}", row[1])


def _row(database: sqlite3.Connection, query: str, *values: str) -> tuple[str, bytes] | None:
    row: tuple[str, bytes] | None = database.execute(query, values).fetchone()
    return row
