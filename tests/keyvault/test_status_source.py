"""What a vault's tables become in its next status list."""

from __future__ import annotations

import sqlite3
from typing import Any

import pytest
from parties import DEVICE, ISSUER, NOW

from keyvault.status_list import StatusList, verify
from keyvault.status_source import publish
from keyvault.vault_store import new_database

STATES = ("staged", "primary", "decrypt-only", "disabled", "pending destruction", "destroyed")


@pytest.fixture
def database() -> sqlite3.Connection:
    """A vault's tables with sensors ``cam`` and ``old``, and hosts ``lab`` and ``mobile``."""
    database = new_database()
    for kind, name, kid in (
        ("sensor", "cam", DEVICE.kid),
        ("sensor", "old", "O" * 43),
        ("host", "lab", "L" * 43),
        ("host", "mobile", "M" * 43),
    ):
        insert(database, "enrolled", kind=kind, name=name, kid=kid, since=NOW, changed=NOW, record=b"r")
        if kind == "sensor":
            insert(database, "counters", sensor=name)
    return database


def insert(database: sqlite3.Connection, table: str, **values: Any) -> None:
    marks = ", ".join("?" * len(values))
    database.execute(f"INSERT INTO {table} ({', '.join(values)}) VALUES ({marks})", tuple(values.values()))  # noqa: S608


def add_epoch(database: sqlite3.Connection, sensor: str, epoch: int, state: str) -> str:
    key_id = f"{epoch:08x}{sensor.encode().hex():0>8}"
    pending = NOW if state == "pending destruction" else None
    record = None if state == "destroyed" else b"r"
    times = dict.fromkeys(("not_before", "not_after", "made", "changed"), NOW)
    known = {"sensor": sensor, "epoch": epoch, "key_id": key_id, "state": state, "policy": "{}"}
    insert(database, "epochs", **known, **times, destroy_at=pending, record=record)
    return key_id


def published(database: sqlite3.Connection, issued: int = NOW, valid_for: int = 60) -> StatusList:
    return verify(publish(database, ISSUER, issued, valid_for), ISSUER.public_key())


def test_a_vault_that_took_nothing_back_says_so(database: sqlite3.Connection) -> None:
    for epoch, state in enumerate(STATES[:3], 1):
        add_epoch(database, "cam", epoch, state)
    found = published(database)
    assert (found.number, found.issued, found.next_update) == (NOW, NOW, NOW + 60)
    assert (found.sensors, found.hosts, found.disabled, found.min_epochs) == ({}, {}, frozenset(), {})


def test_what_was_taken_back_is_named(database: sqlite3.Connection) -> None:
    database.execute("UPDATE enrolled SET state = 'revoked' WHERE name IN ('old', 'mobile')")
    database.execute("UPDATE counters SET min_epoch = 9 WHERE sensor = 'cam'")
    add_epoch(database, "cam", 8, "destroyed")  # below the first that is still in use
    ids = {(sensor, state): add_epoch(database, sensor, 9 + number, state)
           for sensor in ("cam", "old") for number, state in enumerate(STATES)}  # fmt: skip
    found = published(database)
    assert found.sensors == {"O" * 43: "old"}
    assert found.hosts == {"M" * 43: "mobile"}
    assert found.min_epochs == {"cam": 9}
    assert found.disabled == {key_id for (_, state), key_id in ids.items() if state in STATES[3:]}


@pytest.mark.parametrize("clock", [[NOW, NOW, NOW], [NOW, NOW - 100, NOW - 200], [NOW, NOW + 5, NOW + 5]])
def test_numbers_go_up_whatever_the_clock_does(database: sqlite3.Connection, clock: list[int]) -> None:
    numbers = [published(database, moment).number for moment in clock]
    assert numbers == sorted(set(numbers))


def test_a_vault_that_was_set_back_still_numbers_upwards(database: sqlite3.Connection) -> None:
    backup = database.serialize()
    last = published(database, NOW).number
    restored = sqlite3.connect(":memory:")
    restored.deserialize(backup)
    assert published(restored, NOW + 60).number > last
