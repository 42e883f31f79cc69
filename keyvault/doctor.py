"""What is wrong with a vault and its home, or will be soon, and which command mends it.

Each check is one function of a :class:`Patient` that returns what it found.  Checks of files are in
:mod:`keyvault.doctor_files`, of the vault's sensors, hosts and epochs in :mod:`keyvault.doctor_keys`,
and of its records in :mod:`keyvault.doctor_records`.  Nothing is changed.  No key is needed, but
for rows and encrypted records, which only an unlocked vault can check.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from keyvault.vault import Vault

_SHOWN = 3  # names in a line


class Level(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Finding:
    """A line of the report.

    Attributes:
        check: name of the check.
        level: how bad it is.
        what: what was found.
        fix: what to do about it, a command as a rule; empty where there is nothing to do.
    """

    check: str
    level: Level
    what: str
    fix: str = ""

    def to_json(self) -> dict[str, Any]:
        """The members of the finding."""
        return {name: str(getattr(self, name)) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class Patient:
    """What is examined.

    Attributes:
        home: folder of vault, devices and keys.
        now: Unix time.
    """

    home: Path
    now: int


@dataclass(frozen=True, slots=True)
class VaultPatient(Patient):
    """What is examined where there is a vault.

    Attributes:
        vault: open; unlocked if its records are to be examined too.
        database: the vault at one moment, for reading.
    """

    vault: Vault
    database: sqlite3.Connection


Check = Callable[[Patient], Iterable[Finding]]
VaultCheck = Callable[[VaultPatient], Iterable[Finding]]


def some(names: Sequence[str]) -> str:
    """A few names, and how many more there are."""
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def sensors(names: Sequence[str]) -> str:
    """Sensors in words, such as ``sensors a, b``."""
    return f"sensor{'s' if len(names) > 1 else ''} {some(names)}"


def options(names: Sequence[str]) -> str:
    """Sensors as a command line names them, with a folder for their files if there are several."""
    given = " ".join(f"--sensor {name}" for name in names[:_SHOWN])
    more = " ..." if len(names) > _SHOWN else ""
    return f"{given}{more} -o FOLDER" if len(names) > 1 else given
