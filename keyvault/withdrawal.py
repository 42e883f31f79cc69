"""What takes epochs, sensors and hosts back: retire, disable, restore, destroy and revoke."""

from __future__ import annotations

from keyvault import deliveries, epochs, registry
from keyvault.change import Change
from keyvault.epochs import Epoch, State
from keyvault.errors import StateError
from keyvault.grant import Kind, utc
from keyvault.table_macs import sensor_of


def retire(change: Change, sensor: str, min_epoch: int) -> list[int]:
    """Retire the epochs of a sensor below ``min_epoch`` for good; the numbers of those that it disabled.

    What is sealed from now on says so.

    Raises:
        StateError: ``min_epoch`` is above the primary epoch, or below what was retired before.
    """
    name = change.own_name(Kind.SENSOR, sensor)
    before = registry.min_epoch(change.database, name)
    newest = epochs.primary(change.database, name) or epochs.last(change.database, name)
    if min_epoch < before:
        raise StateError(
            f"the epochs of sensor {name} below {before} are retired for good, and min-epoch {min_epoch} is lower",
            hint=f"give {before} or more",
        )
    if newest is None or min_epoch > newest.number:
        raise StateError(
            f"min-epoch {min_epoch} would retire the epoch that sensor {name} uses, {newest.number if newest else 0}",
            hint=f"make a newer one first: keyvault rotate --sensor {name}",
        )
    registry.set_min_epoch(change.database, name, min_epoch)
    old = [epoch for epoch in epochs.listed(change.database, name) if epoch.number < min_epoch]
    disabled = [epoch for epoch in old if epoch.state in epochs.USABLE]
    for epoch in disabled:
        epochs.move(change.database, epoch, State.DISABLED, change.now)
    numbers = [epoch.number for epoch in disabled]
    change.note("retire", f"sensor {name}", min_epoch=min_epoch, disabled=numbers)
    return numbers


def disable(change: Change, sensor: str, number: int) -> Epoch:
    """Disable an epoch: nothing of it is sealed or handed out; StateError if its state does not allow it."""
    return _move(change, "disable", sensor, number, State.DISABLED)


def restore(change: Change, sensor: str, number: int) -> Epoch:
    """Take back that an epoch is disabled or to be destroyed.

    It becomes decrypt-only; one that was retired is kept from destruction and stays disabled.

    Raises:
        StateError: it is neither, or it is disabled because it was retired.
    """
    name = change.own_name(Kind.SENSOR, sensor)
    epoch = epochs.get(change.database, name, number)
    if epoch.state not in (State.DISABLED, State.PENDING):
        raise epochs.not_allowed(epoch, "be restored")
    retired = number < registry.min_epoch(change.database, name)
    if retired and epoch.state is State.DISABLED:
        raise StateError(
            f"{epoch.words} is retired, which is for good: min-epoch is {registry.min_epoch(change.database, name)}",
            hint="grant a newer epoch",
        )
    return _move(change, "restore", name, number, State.DISABLED if retired else State.DECRYPT_ONLY)


def destroy(change: Change, sensor: str, number: int, after: int) -> Epoch:
    """Have an epoch's key destroyed by whoever changes the vault first, ``after`` seconds from now or later.

    Raises:
        StateError: it is primary, destroyed, or to be destroyed already.
    """
    return _move(change, "destroy", sensor, number, State.PENDING, change.now + after)


def destroy_due(change: Change) -> list[Epoch]:
    """Destroy the keys whose time has come: salt, terms and every file that holds them; which they were."""
    found = []
    for unit in sorted(change.macs.due(change.now)):
        change.macs.open(unit)
        found += epochs.due(change.database, sensor_of(unit), change.now)
    for epoch in found:
        files = deliveries.erase(change.database, epoch)
        epochs.move(change.database, epoch, State.DESTROYED, change.now)
        change.note("destroyed", f"sensor {epoch.sensor}", epoch=epoch.number, key_id=epoch.key_id, files=files)
    return found


def revoke(change: Change, kind: Kind, name: str) -> str:
    """Revoke a sensor or host for good: nothing is sealed for it; returns its name.

    The primary epoch of a sensor becomes decrypt-only, so that frames that it made before can be opened.

    Raises:
        UnknownNameError: there is none of that name; StateError: it is revoked.
    """
    change.own_name(kind, name)
    own = registry.revoke(change.database, kind, name)
    primary = epochs.primary(change.database, own) if kind is Kind.SENSOR else None
    if primary is not None:
        epochs.move(change.database, primary, State.DECRYPT_ONLY, change.now)
    change.note("revoke", f"{kind} {own}")
    return own


def _move(change: Change, operation: str, sensor: str, number: int, to: State, destroy_at: int | None = None) -> Epoch:
    name = change.own_name(Kind.SENSOR, sensor)
    epoch = epochs.get(change.database, name, number)
    epochs.move(change.database, epoch, to, change.now, destroy_at)
    detail = {} if destroy_at is None else {"at": utc(destroy_at)}
    change.note(operation, f"sensor {name}", epoch=number, state=str(to), **detail)
    return epochs.get(change.database, name, number)
