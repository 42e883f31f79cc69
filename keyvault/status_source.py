"""What a vault has to say in its next status list."""

from __future__ import annotations

import sqlite3

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from keyvault.epochs import USABLE, State
from keyvault.grant import Kind
from keyvault.identity import thumbprint
from keyvault.registry import REVOKED
from keyvault.status_list import StatusList, sign

_TAKEN_BACK = tuple(set(State) - USABLE)


def publish(database: sqlite3.Connection, signer: Ed25519PrivateKey, issued: int, valid_for: int) -> bytes:
    """The next status list's file; its number is used up in the caller's transaction.

    The number is the time of issue, or one more than the last number where that is as high: a vault
    that was restored from a backup, and has forgotten its latest numbers, does not give them again.

    Args:
        database: a vault, within a transaction.
        signer: the issuer's key.
        issued: Unix time.
        valid_for: seconds until the next list is due.

    Raises:
        InputError: the list would be too large.
    """
    (last,) = database.execute("SELECT coalesce(max(number), 0) FROM status_lists").fetchone()
    number = max(last + 1, issued)
    status = StatusList(
        issuer=thumbprint(signer.public_key()),
        number=number,
        issued=issued,
        next_update=issued + valid_for,
        sensors=revoked(database, Kind.SENSOR),
        hosts=revoked(database, Kind.HOST),
        disabled=disabled(database),
        min_epochs=min_epochs(database),
    )
    database.execute("INSERT INTO status_lists (number, issued) VALUES (?, ?)", (number, issued))
    return sign(status, signer)


def revoked(database: sqlite3.Connection, kind: Kind) -> dict[str, str]:
    """The revoked sensors or hosts, key id to name."""
    query = "SELECT kid, name FROM enrolled WHERE kind = ? AND state = ?"
    return dict(database.execute(query, (kind, REVOKED)).fetchall())


def disabled(database: sqlite3.Connection) -> frozenset[str]:
    """Key ids of epochs that are not to be used, as far as ``min_epochs`` does not say it already."""
    query = (
        "SELECT key_id FROM epochs JOIN counters ON counters.sensor = epochs.sensor "
        "WHERE epoch >= min_epoch AND state IN (?, ?, ?)"
    )
    return frozenset(key_id for (key_id,) in database.execute(query, _TAKEN_BACK))


def min_epochs(database: sqlite3.Connection) -> dict[str, int]:
    """The first epoch still to be used, by the names of the sensors that have retired any."""
    return dict(database.execute("SELECT sensor, min_epoch FROM counters WHERE min_epoch > 1").fetchall())
