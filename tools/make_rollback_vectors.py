"""Write the vectors of docs/spec/marks.md and docs/spec/status_list.md to tests/vectors/sealed_key/rollback/.

Every sealed key in them is well made; what is wrong is that something newer was used before, or
what a status list says.  The parties are those of the other sealed-key vectors.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from keyvault.grant import Grant, Kind
from keyvault.identity import ed25519_jwk, thumbprint
from keyvault.marks import HostMark, ListMark, SensorMark
from keyvault.status_list import StatusList, sign
from sealed_key_bench import EPOCH, FOLDER, NOW, SENSOR, Bench, write_files
from sealed_key_writer import seal

DAY = 86_400
Mark = SensorMark | HostMark | ListMark


@dataclass(frozen=True)
class Case:
    """A sealed key, what its reader remembers, the status list at hand, and what results."""

    name: str
    what: str
    error: str | None
    sealed: bytes
    opens: str = "sensor"
    marks: tuple[Mark, ...] = ()
    status: bytes | None = None

    def to_json(self, bench: Bench) -> dict[str, Any]:
        """The members of the vector's file."""
        return {
            "what": self.what,
            "error": self.error,
            "issuer": ed25519_jwk(bench.issuer.public_key()),
            "opens": self.opens,
            "now": NOW,
            "marks": [mark.to_json() for mark in self.marks],
            "status": self.status.decode("ascii") if self.status else None,
            "sealed": self.sealed.decode("ascii"),
        }


def sensors(bench: Bench, good: bytes) -> Iterator[Case]:
    """What a sensor refuses that has used another key of its own; the good one is epoch 3, serial 7, from 2 on."""
    grant = bench.grant
    used = SensorMark(grant.issuer, SENSOR, EPOCH, grant.key_id, grant.serial, grant.min_epoch)
    for name, what, error, changes in (
        ("same", "this very key was used before", None, {}),
        ("sensor-newer", "an older key was used before", None, {"epoch": 2, "serial": 9, "min_epoch": 1}),
        ("sensor-epoch", "a newer epoch was used before", "EpochRollbackError", {"epoch": EPOCH + 1}),
        ("sensor-serial", "a newer key of the epoch was used before", "SerialRollbackError", {"serial": 8}),
        (
            "sensor-min-epoch",
            "a key with a higher min_epoch was used before",
            "MinEpochRollbackError",
            {"min_epoch": 3},
        ),
        ("sensor-other-key", "the epoch had another key before", "EpochKeyChangedError", {"key_id": "0" * 16}),
        ("mark-of-another", "the mark names another sensor", "MarkError", {"sensor": "cam-2"}),
    ):
        yield Case(name, what, error, good, marks=(replace(used, **changes),))
    yield Case("first", "no key was used before", None, good)


def hosts(bench: Bench) -> Iterator[Case]:
    """What a host refuses that has opened other keys of the sensor."""
    sealed, grant = bench.range_for_hosts(3, 5, serial=7, min_epoch=1), bench.grant
    for name, what, error, least, serials in (
        ("host-other-epochs", "newer keys of other epochs and for the sensor were opened", None, 3, {(3, 4): 9}),
        ("host-serial", "a newer key of the same epochs was opened", "SerialRollbackError", 1, {(3, 5): 8}),
        ("host-min-epoch", "all its epochs are retired", "RetiredEpochError", 6, {}),
    ):
        spans = {(*epochs, Kind.HOST): serial for epochs, serial in serials.items()} | {(9, 9, Kind.SENSOR): 12}
        yield Case(name, what, error, sealed, "lab", (HostMark(grant.issuer, SENSOR, least, spans),))


def lists(bench: Bench, good: bytes) -> Iterator[Case]:
    """What a status list keeps from being opened."""
    grant, host = bench.grant, {thumbprint(bench.hosts[0].public_key()): "lab"}
    empty = StatusList(grant.issuer, 5, NOW - DAY, NOW + DAY)

    def listed(**changes: Any) -> bytes:
        return sign(replace(empty, **changes), bench.issuer)

    sensor, key = {bench.device.kid: SENSOR}, frozenset({grant.key_id})

    def aged(seconds: int) -> bytes:
        needs: Grant = replace(grant, status_max_age=seconds)
        return seal([needs], [bench.epoch_key], bench.device.kek, bench.publics, bench.issuer)

    marks = (ListMark(grant.issuer, 6),)
    for name, what, error, case in (
        ("status-empty", "a list that names nobody", None, {"status": listed()}),
        (
            "status-sensor",
            "the sensor is revoked",
            "RevokedError",
            {"status": listed(sensors=sensor)},
        ),
        ("status-host", "the host is revoked", "RevokedError", {"status": listed(hosts=host), "opens": "lab"}),
        (
            "status-other-host",
            "another host is revoked",
            None,
            {"status": listed(hosts=host), "opens": "mobile"},
        ),
        (
            "status-key",
            "the epoch is disabled",
            "DisabledKeyError",
            {"status": listed(disabled=key)},
        ),
        ("status-min-epoch", "the epoch is retired", "RetiredEpochError", {"status": listed(min_epochs={SENSOR: 4})}),
        ("status-rollback", "a newer list was used", "StatusRollbackError", {"status": listed(), "marks": marks}),
        ("status-missing", "the key needs a list", "StatusMissingError", {"sealed": aged(DAY)}),
        ("status-fresh", "the list is just young enough", None, {"sealed": aged(DAY), "status": listed()}),
        ("status-expired", "the list is too old", "StatusExpiredError", {"sealed": aged(DAY - 1), "status": listed()}),
        ("status-clock", "the list is of tomorrow", "StatusClockError", {"status": listed(issued=NOW + DAY)}),
    ):
        yield Case(name, what, error, **({"sealed": good} | case))


def files() -> dict[str, str]:
    """Every vector by the path of its file below the folder of vectors."""
    bench = Bench.build()
    good = bench.seal()
    cases = (*sensors(bench, good), *hosts(bench), *lists(bench, good))
    return {f"rollback/{case.name}.json": json.dumps(case.to_json(bench), indent=2) + "\n" for case in cases}


def main() -> None:
    """Write every vector."""
    write_files(FOLDER, "rollback", files())


if __name__ == "__main__":
    main()
