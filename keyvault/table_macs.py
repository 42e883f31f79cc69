"""Whether the rows of a vault are those that its own program left: codes under a key that only an unlocked vault has.

The rows form units: each sensor with its numbers, epochs and files, all hosts, the status lists, and what
describes the vault itself.  The table ``macs`` has for each unit one code a table over every column that decides
something, encrypted records included.  Its row ``all`` is a code over all others and the end of the audit log:
a unit that is removed, or set back to an older state together with its codes, does not fit the rest.
"""

from __future__ import annotations

import hmac
import sqlite3
from collections.abc import Iterable
from typing import Any

from keyvault.errors import VaultDamagedError
from keyvault.vault_key import VaultKey

HOSTS, STATUS, VAULT = "hosts", "status lists", "vault"
_ALL = "all"
_SENSOR = "sensor "
_CODE_BYTES = 16
_RESTORE = "restore a backup, and find out who can write the vault's file"

_OF_SENSOR = {
    "enrolled": "SELECT kind, name, kid, since, state, changed, record FROM enrolled "
    "WHERE kind = 'sensor' AND name = ?",
    "counters": "SELECT kind, sensor, next_epoch, next_serial, min_epoch FROM counters WHERE sensor = ?",
    "epochs": "SELECT sensor, epoch, key_id, state, policy, not_before, not_after, made, changed, destroy_at, record "
    "FROM epochs WHERE sensor = ? ORDER BY epoch",
    "files": "SELECT sensor, serial, first_epoch, last_epoch, for_sensor, hosts, made "
    "FROM files WHERE sensor = ? ORDER BY serial",
}
_FIXED = {
    HOSTS: {
        "enrolled": "SELECT kind, name, kid, since, state, changed, record FROM enrolled "
        "WHERE kind = 'host' ORDER BY name"
    },
    STATUS: {"status_lists": "SELECT number, issued FROM status_lists ORDER BY number"},
    VAULT: {
        "vault": "SELECT id, created, issuer FROM vault",
        "secrets": "SELECT label, record FROM secrets ORDER BY label",
    },
}
_STRAY = """
    SELECT name FROM (
        SELECT name FROM enrolled WHERE kind IS NOT 'host' UNION SELECT sensor FROM counters
        UNION SELECT sensor FROM epochs UNION SELECT sensor FROM files
    ) WHERE 'sensor ' || lower(name) NOT IN (SELECT unit FROM macs)
"""


def of_sensor(name: str) -> str:
    """The unit of a sensor, from its name in whatever case."""
    return _SENSOR + name.lower()


def sensor_of(unit: str) -> str:
    """The name of the sensor of a unit, in lower case."""
    return unit.removeprefix(_SENSOR)


class TableMacs:
    """The codes of an unlocked vault within one transaction: rows are checked before use, and changed ones coded anew.

    What an operation reads to decide is given to :meth:`check` before, what it may change to :meth:`open`;
    :meth:`renew` ends the change.
    """

    def __init__(self, database: sqlite3.Connection, key: VaultKey) -> None:
        self._database = database
        self._key = key
        self._checked: set[str] = set()
        self._open: set[str] = set()

    def check_whole(self) -> None:
        """Raise VaultDamagedError unless the codes belong together and to the end of the audit log."""
        if _ALL in self._checked:
            return
        row = self._database.execute("SELECT due, mac FROM macs WHERE unit = ?", (_ALL,)).fetchone()
        if row is None or row[0] is not None or not _same(row[1], self._whole()):
            raise VaultDamagedError(
                "the vault's codes and the end of its audit log do not belong together: "
                "rows were removed, added or set back from outside",
                hint=_RESTORE,
            )
        self._checked.add(_ALL)

    def check(self, *units: str) -> None:
        """Raise VaultDamagedError unless the rows of units are as the vault left them; it names what differs."""
        for unit in units:
            if unit not in self._checked:
                self._check(unit)
                self._checked.add(unit)

    def open(self, unit: str) -> None:
        """Check a unit, whose rows may change from now on."""
        self.check(unit)
        self._open.add(unit)

    def check_read(self, *units: str) -> None:
        """Check units, or all if none is named, for a reader outside of a change."""
        if units:
            self.check_whole()
            self.check(*units)
        else:
            self.check_all()

    def check_all(self) -> None:
        """Check every unit, that no rows are left over, and that SQLite's indexes fit its tables."""
        self.check_whole()
        self.check(*_FIXED, *self._units())
        stray = self._database.execute(_STRAY).fetchone()
        if stray:
            raise VaultDamagedError(f"rows of sensor {stray[0]!r:.80} were added from outside", hint=_RESTORE)
        (answer,) = self._database.execute("PRAGMA integrity_check(1)").fetchone()
        if answer != "ok":
            raise VaultDamagedError(f"the vault's file is damaged: {answer:.200}", hint=_RESTORE)

    def take_over(self, key: VaultKey) -> None:
        """Code every unit anew under another key; what the codes are to cover was checked before."""
        self._key = key
        self._open.update(_FIXED, self._units())
        self._checked |= self._open

    def due(self, now: int) -> list[str]:
        """The units of sensors that have a key to be destroyed by ``now``."""
        return [unit for (unit,) in self._database.execute("SELECT unit FROM macs WHERE due <= ?", (now,))]

    def renew(self) -> None:
        """Code what was opened anew, as the last thing that a change does."""
        for unit in sorted(self._open):
            self._renew(unit)
        self._database.execute("INSERT OR REPLACE INTO macs VALUES (?, NULL, ?)", (_ALL, self._whole()))

    def _check(self, unit: str) -> None:
        codes, due = self._codes(unit)
        row = self._database.execute("SELECT due, mac FROM macs WHERE unit = ?", (unit,)).fetchone()
        if row is None and codes is None:
            return
        kept = row[1] if row is not None and type(row[1]) is bytes else b""
        found = codes or {}
        differ = [
            table
            for number, table in enumerate(_queries(unit))
            if not _same(kept[number * _CODE_BYTES :][:_CODE_BYTES], found.get(table, b""))
        ]
        if differ or row[0] != due or len(kept) != len(found) * _CODE_BYTES:
            what = f"the tables {', '.join(differ)}" if len(differ) > 1 else f"the table {''.join(differ) or 'macs'}"
            raise VaultDamagedError(f"{what} of the vault, at {unit}: changed from outside", hint=_RESTORE)

    def _renew(self, unit: str) -> None:
        codes, due = self._codes(unit)
        if codes is not None:
            mac = b"".join(codes.values())
            self._database.execute("INSERT OR REPLACE INTO macs VALUES (?, ?, ?)", (unit, due, mac))

    def _codes(self, unit: str) -> tuple[dict[str, bytes] | None, int | None]:
        """The codes of a unit by table, None for a sensor without rows; and the first date of destruction in it."""
        given = () if unit in _FIXED else (sensor_of(unit),)
        rows = {table: self._database.execute(query, given).fetchall() for table, query in _queries(unit).items()}
        if unit not in _FIXED and not any(rows.values()):
            return None, None
        dates = [row[-2] for row in rows.get("epochs", ()) if type(row[-2]) is int]
        codes = {table: self._key.mac(_encoded((unit, table), *found))[:_CODE_BYTES] for table, found in rows.items()}
        return codes, min(dates, default=None)

    def _whole(self) -> bytes:
        rows = self._database.execute("SELECT unit, due, mac FROM macs WHERE unit <> ? ORDER BY unit", (_ALL,))
        heads = self._database.execute("SELECT id, seq, hash, signature FROM audit_head").fetchall()
        return self._key.mac(_encoded((_ALL, "macs"), *heads, *rows))[:_CODE_BYTES]

    def _units(self) -> list[str]:
        query = "SELECT unit FROM macs WHERE unit LIKE 'sensor %' ORDER BY unit"
        return [unit for (unit,) in self._database.execute(query)]


def _queries(unit: str) -> dict[str, str]:
    return _FIXED.get(unit, _OF_SENSOR)


def _encoded(*rows: Iterable[Any]) -> bytes:
    """Rows as bytes from which they can be told again: type and length before each value."""
    parts: list[bytes] = []
    for row in rows:
        parts.append(b"row ")
        for value in row:
            data = value if type(value) is bytes else str(value).encode()
            parts.append(b"%s %d " % (type(value).__name__.encode("ascii"), len(data)))
            parts.append(data)
    return b"".join(parts)


def _same(kept: object, code: bytes) -> bool:
    return type(kept) is bytes and hmac.compare_digest(kept, code)
