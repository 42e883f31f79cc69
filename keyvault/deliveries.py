"""The table of files: every sealed key that the vault has made and not erased."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import Any

from keyvault import canonical
from keyvault.epochs import Epoch
from keyvault.errors import UnknownNameError
from keyvault.issuing import Issued

_COLUMNS = "sensor, serial, first_epoch, last_epoch, for_sensor, made, sealed"


@dataclass(frozen=True, slots=True)
class SealedFile:
    """A sealed key as the vault keeps it.

    Attributes:
        sensor: whose it is.
        serial: its number among those sealed for this sensor.
        first, last: the epochs that it holds.
        for_sensor: whether the sensor is a recipient.
        made: Unix time.
        data: the bytes of the file.
    """

    sensor: str
    serial: int
    first: int
    last: int
    for_sensor: bool
    made: int
    data: bytes

    @property
    def name(self) -> str:
        """How the file is called where nobody names it: a sensor's epoch, or the one file with that serial."""
        if self.for_sensor:
            return f"{self.sensor}-epoch{self.first:04d}.bin"
        return self.name_with_serial

    @property
    def name_with_serial(self) -> str:
        """A name that no other file of the sensor has."""
        span = f"{self.first:04d}" if self.first == self.last else f"{self.first:04d}-{self.last:04d}"
        hosts = "" if self.for_sensor else "-hosts"
        return f"{self.sensor}-epoch{span}{hosts}-serial{self.serial:04d}.bin"


def add(database: sqlite3.Connection, issued: Issued, now: int) -> SealedFile:
    """Keep a file; its epochs are in their table already."""
    first, last = issued.grants[0], issued.grants[-1]
    for_sensor = first.for_sensor is not None
    file = SealedFile(first.sensor, first.serial, first.epoch, last.epoch, for_sensor, now, issued.data)
    hosts = canonical.dumps([host.name for host in first.hosts]).decode("ascii")
    database.execute(
        f"INSERT INTO files ({_COLUMNS}, hosts) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608
        (file.sensor, file.serial, file.first, file.last, for_sensor, now, file.data, hosts),
    )
    return file


def of_epoch(database: sqlite3.Connection, epoch: Epoch) -> SealedFile:
    """The newest file of one epoch alone, the sensor's own if it has one; UnknownNameError if there is none."""
    row = database.execute(
        f"SELECT {_COLUMNS} FROM files WHERE sensor = ?1 AND first_epoch = ?2 AND last_epoch = ?2 "  # noqa: S608
        "ORDER BY for_sensor DESC, serial DESC LIMIT 1",
        (epoch.sensor, epoch.number),
    ).fetchone()
    return _file(row, f"file of {epoch.words}", epoch.sensor)


def by_serial(database: sqlite3.Connection, sensor: str, serial: int) -> SealedFile:
    """The file of a sensor with a serial; UnknownNameError if there is none."""
    row = database.execute(
        f"SELECT {_COLUMNS} FROM files WHERE sensor = ? AND serial = ?",  # noqa: S608
        (sensor, serial),
    ).fetchone()
    return _file(row, f"file {serial} of sensor {sensor}", sensor)


def erase(database: sqlite3.Connection, epoch: Epoch) -> int:
    """Erase every file that holds an epoch's key, those of several epochs too; how many there were."""
    done = database.execute(
        "DELETE FROM files WHERE sensor = ?1 AND first_epoch <= ?2 AND last_epoch >= ?2", (epoch.sensor, epoch.number)
    )
    return done.rowcount


def listed(database: sqlite3.Connection, sensor: str) -> list[dict[str, Any]]:
    """What is known of the files of a sensor, by serial, without their bytes."""
    rows = database.execute(
        "SELECT serial, first_epoch, last_epoch, for_sensor, hosts, made FROM files WHERE sensor = ? ORDER BY serial",
        (sensor,),
    )
    return [
        {
            "serial": serial,
            "first_epoch": first,
            "last_epoch": last,
            "for_sensor": bool(for_sensor),
            "hosts": canonical.loads(hosts.encode("ascii"), "the list of hosts"),
            "made": made,
        }
        for serial, first, last, for_sensor, hosts, made in rows
    ]


def sensors_of_host(database: sqlite3.Connection, host: str) -> list[str]:
    """The sensors of which a host was ever given a key that is not erased."""
    query = (
        "SELECT DISTINCT sensor FROM files, json_each(files.hosts) AS given "
        "WHERE given.value = ? COLLATE NOCASE ORDER BY sensor"
    )
    return [sensor for (sensor,) in database.execute(query, (host,))]


def _file(row: tuple[Any, ...] | None, what: str, sensor: str) -> SealedFile:
    if row is None:
        raise UnknownNameError(f"the vault has no {what}", hint=f"see those it has: keyvault list --sensor {sensor}")
    sensor, serial, first, last, for_sensor, made, data = row
    return SealedFile(sensor, serial, first, last, bool(for_sensor), made, data)
