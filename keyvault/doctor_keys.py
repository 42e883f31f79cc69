"""Checks of sensors, hosts and epochs: what has ended, what waits, who has a key, and what policies are worth."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing
from functools import lru_cache

from keyvault import canonical, epochs
from keyvault.doctor import Finding, Level, VaultPatient, options, sensors, some
from keyvault.epochs import Epoch, State
from keyvault.grant import Kind, utc
from keyvault.policy import Policy
from keyvault.registry import ACTIVE, list_enrolled
from keyvault.report import ends_soon
from keyvault.weakness import AUDIT, Weakness, weaknesses

_DAY = 86_400
_LONG_STAGED = 7 * _DAY
_NEAR = 3 * _DAY
_HELD = (
    "SELECT DISTINCT epochs.sensor, epochs.state, given.value FROM epochs "
    "JOIN files ON files.sensor = epochs.sensor AND first_epoch <= epoch AND last_epoch >= epoch, "
    "json_each(files.hosts) AS given "
    "LEFT JOIN enrolled ON enrolled.kind = 'host' AND enrolled.name = given.value "
    "JOIN enrolled AS sensor ON sensor.kind = 'sensor' AND sensor.name = epochs.sensor AND sensor.state = 'active' "
    "WHERE epochs.state IN ('primary', 'staged') AND coalesce(enrolled.state, '') <> 'active' "
    "ORDER BY given.value, epochs.sensor"
)


def primary_epochs(patient: VaultPatient) -> Iterator[Finding]:
    """Active sensors without an epoch to make frames under."""
    without = [
        entry for entry in list_enrolled(patient.database, Kind.SENSOR) if entry.state == ACTIVE and not entry.primary
    ]
    fresh = [entry.name for entry in without if not entry.epoch]
    waiting = [entry.name for entry in without if entry.epoch]
    if fresh:
        fix = f"keyvault issue {options(fresh)} --host HOST --size WxH"
        yield Finding("primary", Level.WARNING, f"{sensors(fresh)} without any epoch", fix)
    if waiting:
        fix = f"keyvault promote {options(waiting)}, or keyvault issue"
        yield Finding("primary", Level.WARNING, f"{sensors(waiting)} without a primary epoch", fix)
    if not without:
        yield Finding("primary", Level.OK, "every active sensor has a primary epoch")


def validity(patient: VaultPatient) -> Iterator[Finding]:
    """Primary epochs that have ended, end soon, or have not begun."""
    primary = _active(patient, State.PRIMARY)
    ended = [epoch.sensor for epoch in primary if epoch.not_after < patient.now]
    ending = [epoch for epoch in primary if ends_soon(epoch.not_before, epoch.not_after, patient.now)]
    later = [epoch.sensor for epoch in primary if epoch.not_before > patient.now]
    if ended:
        what = f"the primary epoch of {sensors(ended)} has expired"
        yield Finding("validity", Level.PROBLEM, what, f"keyvault rotate {options(ended)}")
    if ending:
        names = [epoch.sensor for epoch in ending]
        first = utc(min(epoch.not_after for epoch in ending))
        what = f"the primary epoch of {sensors(names)} ends soon, the first at {first}"
        yield Finding("validity", Level.WARNING, what, f"keyvault rotate {options(names)}")
    if later:
        what = f"the primary epoch of {sensors(later)} is not valid yet"
        yield Finding("validity", Level.WARNING, what, f"wait, or keyvault rotate {options(later)}")
    if not (ended or ending or later):
        yield Finding("validity", Level.OK, "no primary epoch has expired or is about to")


def recipients(patient: VaultPatient) -> Iterator[Finding]:
    """Hosts that are revoked, or that nobody enrolled, and that have the key of frames to come."""
    held: dict[str, list[str]] = {}
    for sensor, _, host in patient.database.execute(_HELD):
        held.setdefault(str(host), []).append(sensor)
    for host, names in held.items():
        unique = list(dict.fromkeys(names))
        what = f"host {host} is not enrolled or revoked, and has the key of epochs in use of {sensors(unique)}"
        yield Finding("recipients", Level.PROBLEM, what, f"keyvault rotate {options(unique)}")
    if not held:
        yield Finding("recipients", Level.OK, "no host that is revoked has the key of an epoch in use")


def terms(patient: VaultPatient) -> Iterator[Finding]:
    """What epochs are sealed with, which only an unlocked vault shows: hosts that no longer exist."""
    gone: dict[str, list[str]] = {}
    active = {host.name for host in list_enrolled(patient.database, Kind.HOST) if host.state == ACTIVE}
    database, key = patient.vault.snapshot()
    with closing(database):
        in_use = [epoch for epoch in epochs.listed(database) if epoch.state in epochs.USABLE]
        for epoch in in_use:
            for host in epochs.content(database, key, epoch).terms.hosts:
                if host not in active and epoch.state is not State.DECRYPT_ONLY:
                    gone.setdefault(host, []).append(epoch.words)
    for host, names in gone.items():
        what = f"host {host}, revoked or not enrolled, is still named in the terms of {some(names)}"
        yield Finding("terms", Level.WARNING, what, "keyvault rewrap leaves it out, keyvault rotate takes it back")
    if not gone:
        yield Finding("terms", Level.OK, f"the terms of {len(in_use)} usable epochs are whole and name active hosts")


def staged(patient: VaultPatient) -> Iterator[Finding]:
    """Epochs that wait for long to be promoted."""
    waiting = [e for e in _active(patient, State.STAGED) if e.changed < patient.now - _LONG_STAGED]
    if waiting:
        names = list(dict.fromkeys(epoch.sensor for epoch in waiting))
        since = utc(min(epoch.changed for epoch in waiting))
        what = f"epochs of {sensors(names)} are staged for more than 7 days, the first since {since}"
        fix = f"keyvault promote {options(names)}, or keyvault destroy --sensor NAME --epoch N"
        yield Finding("staged", Level.WARNING, what, fix)
    else:
        yield Finding("staged", Level.OK, "no epoch is staged for more than 7 days")


def destruction(patient: VaultPatient) -> Iterator[Finding]:
    """Keys that were to be destroyed by now, or will be soon."""
    pending = sorted(_in_state(patient, State.PENDING), key=lambda epoch: epoch.destroy_at or 0)
    overdue = [epoch for epoch in pending if (epoch.destroy_at or 0) <= patient.now]
    near = [epoch for epoch in pending if patient.now < (epoch.destroy_at or 0) <= patient.now + _NEAR]
    if overdue:
        what = f"the key of {some([epoch.words for epoch in overdue])} was to be destroyed by now"
        yield Finding("destruction", Level.PROBLEM, what, "keyvault destroy --due")
    for epoch in near:
        what = f"the key of {epoch.words} is destroyed for good from {utc(epoch.destroy_at or 0)} on"
        fix = f"if it is to be kept: keyvault restore --sensor {epoch.sensor} --epoch {epoch.number}"
        yield Finding("destruction", Level.WARNING, what, fix)
    if not (overdue or near):
        first = f", the first at {utc(pending[0].destroy_at or 0)}" if pending else ""
        yield Finding("destruction", Level.OK, f"{len(pending)} keys await their destruction{first}")


def policies(patient: VaultPatient) -> Iterator[Finding]:
    """Policies of epochs in use under which frames are not protected as they could be."""
    weak: dict[Weakness, list[str]] = {}
    for epoch in [*_active(patient, State.PRIMARY), *_active(patient, State.STAGED)]:
        for weakness in _weaknesses(epoch.policy):
            weak.setdefault(weakness, []).append(epoch.sensor)
    for weakness, names in weak.items():
        unique = list(dict.fromkeys(names))
        level = Level.PROBLEM if weakness.broken else Level.WARNING
        fix = f"{weakness.fix}: keyvault issue {options(unique)}"
        yield Finding("policy", level, f"{sensors(unique)}: {weakness.reason} ({AUDIT})", fix)
    if not weak:
        yield Finding("policy", Level.OK, f"every epoch in use has a policy without known weakness ({AUDIT})")


@lru_cache(maxsize=256)
def _weaknesses(policy: str) -> tuple[Weakness, ...]:
    return tuple(weaknesses(Policy.from_json(canonical.loads(policy.encode("ascii"), "a policy"))))


def _in_state(patient: VaultPatient, state: State) -> Iterable[Epoch]:
    return [epoch for epoch in epochs.listed(patient.database) if epoch.state is state]


def _active(patient: VaultPatient, state: State) -> list[Epoch]:
    """The epochs in one state of sensors that are not revoked."""
    active = {entry.name for entry in list_enrolled(patient.database, Kind.SENSOR) if entry.state == ACTIVE}
    return [epoch for epoch in _in_state(patient, state) if epoch.sensor in active]
