"""What makes and seals epochs: issue, rotate, promote, rewrap and grant.

Each works on one sensor within a :class:`keyvault.change.Change`, so that one transaction can do it
for many.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from keyvault import epochs, registry
from keyvault.change import Change
from keyvault.claims import MAX_EPOCHS
from keyvault.deliveries import SealedFile
from keyvault.derivation import KEY_BYTES
from keyvault.epochs import Content, Epoch, State
from keyvault.errors import InputError, PolicyError, StateError, UnknownNameError
from keyvault.grant import Kind
from keyvault.issuing import Delivery, EpochSeed, Issued, SensorKeys, Terms


@dataclass(frozen=True, slots=True)
class Sealed:
    """What an operation has sealed.

    Attributes:
        file: as it is kept in the vault.
        left_out: hosts that had the epoch before it and are no longer recipients.
        kept: whether the file was there before, and nothing was sealed.
    """

    file: SealedFile
    left_out: tuple[str, ...] = ()
    kept: bool = False


@dataclass(frozen=True, slots=True)
class Recipients:
    """How the hosts of an epoch change.

    Attributes:
        only: names that take the place of all there were; None keeps those.
        add, remove: names, after that.
    """

    only: tuple[str, ...] | None = None
    add: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Rotation:
    """How the next epoch differs from the primary one.

    Attributes:
        recipients: its hosts.
        valid_for: seconds of validity from now; None takes the span of the primary epoch.
        stage: whether it waits, for hosts alone, until it is promoted.
    """

    recipients: Recipients = Recipients()
    valid_for: int | None = None
    stage: bool = False


def issue(change: Change, sensor: str, terms: Terms) -> Issued:
    """Make the next epoch of a sensor under new terms and seal it for sensor and hosts; it becomes primary.

    Raises:
        UnknownNameError: the sensor or a host is not enrolled; StateError: it is revoked.
        InputError: the terms contradict themselves (no host, a host twice, an end before the beginning).
    """
    return _new_epoch(change, "issue", change.sensor(sensor), terms, State.PRIMARY)[0]


def rotate(change: Change, sensor: str, rotation: Rotation) -> Sealed:
    """Make the next epoch of a sensor with the policy and hosts of the primary one, revoked hosts left out.

    Raises as :func:`issue`, and UnknownNameError if there is no epoch yet.
    """
    keys = change.sensor(sensor)
    before = _primary(change, keys.name)
    old = epochs.content(change.database, change.key, before).terms
    hosts = _hosts(change, old.hosts, rotation.recipients)
    span = rotation.valid_for or old.not_after - old.not_before
    terms = replace(old, hosts=hosts, not_before=change.now, not_after=change.now + span)
    _, file = _new_epoch(change, "rotate", keys, terms, State.STAGED if rotation.stage else State.PRIMARY)
    return Sealed(file, _left_out(old.hosts, hosts))


def promote(change: Change, sensor: str, number: int | None = None) -> Sealed:
    """Make a staged epoch, the newest unless a number is given, primary, and seal it for its sensor too.

    Raises:
        StateError: there is none, it is not staged, or it is older than the primary one.
    """
    keys = change.sensor(sensor)
    epoch = (
        epochs.newest_staged(change.database, keys.name)
        if number is None
        else epochs.get(change.database, keys.name, number)
    )
    if epoch is None:
        raise StateError(
            f"sensor {keys.name} has no staged epoch",
            hint=f"make one with keyvault rotate --stage --sensor {keys.name}",
        )
    if epoch.state is not State.STAGED:
        raise StateError(
            f"{epoch.words} is {epoch.state}, and a staged one is expected",
            hint=f"make one with keyvault rotate --stage --sensor {keys.name}",
        )
    content = epochs.content(change.database, change.key, epoch)
    _make_room(change, epoch.sensor, epoch.number)
    epochs.move(change.database, epoch, State.PRIMARY, change.now)
    hosts = _hosts(change, content.terms.hosts, Recipients())
    sealed = _seal_anew(change, keys, epoch, content, hosts, for_sensor=True)
    change.note("promote", f"sensor {keys.name}", epoch=epoch.number, serial=sealed.file.serial)
    return sealed


def rewrap(change: Change, sensor: str, recipients: Recipients, number: int | None = None) -> Sealed:
    """Seal an epoch, the primary one unless a number is given, once more: the same key for other hosts.

    The file of the primary epoch is for the sensor too, that of another one for hosts alone.

    Raises:
        StateError: the epoch is disabled, destroyed or about to be, or its sensor is revoked and primary.
        UnknownNameError: no such sensor, epoch or host.
        InputError: no host would be left.
    """
    name = change.own_name(Kind.SENSOR, sensor)
    epoch = _primary(change, name) if number is None else _usable(change, name, number)
    for_sensor = epoch.state is State.PRIMARY
    keys = change.sensor(name, active=for_sensor)
    content = epochs.content(change.database, change.key, epoch)
    hosts = _hosts(change, content.terms.hosts, recipients)
    sealed = _seal_anew(change, keys, epoch, content, hosts, for_sensor=for_sensor)
    detail = {"epoch": epoch.number, "serial": sealed.file.serial, "hosts": list(hosts)}
    change.note("rewrap", f"sensor {name}", **detail, left_out=list(sealed.left_out))
    return sealed


def grant(change: Change, sensor: str, hosts: Sequence[str], span: range, valid_for: int | None = None) -> SealedFile:
    """Seal the epochs of ``span`` in one file for hosts alone, who can compute no other from it.

    Args:
        change: the change that this is part of.
        sensor: name; it may be revoked, since frames that it made before may still be opened.
        hosts: names.
        span: consecutive numbers.
        valid_for: seconds of validity from now; None takes the earliest beginning and the latest end
            among the epochs.

    Raises:
        StateError: an epoch is disabled, destroyed or about to be, or a host is revoked.
        PolicyError: the epochs have different policies.
        UnknownNameError: no such sensor, epoch or host.
        InputError: too many epochs for one file.
    """
    keys = change.sensor(sensor, active=False)
    if not 1 <= len(span) <= MAX_EPOCHS:
        raise InputError(f"a file holds 1 to {MAX_EPOCHS} epochs, not {len(span)}", hint="grant them in parts")
    chosen = [_usable(change, keys.name, number) for number in span]
    contents = [epochs.content(change.database, change.key, epoch) for epoch in chosen]
    _one_policy(keys.name, contents)
    terms = _terms_of_range([content.terms for content in contents])
    terms = replace(terms, hosts=_checked_hosts(change, hosts))
    if valid_for is not None:
        terms = replace(terms, not_before=change.now, not_after=change.now + valid_for)
    numbers = registry.take_numbers(change.database, keys.name, epoch=False)
    seeds = tuple(content.seed for content in contents)
    file = change.keep(change.seal(keys, Delivery(seeds, numbers.serial, numbers.min_epoch, False), terms))
    detail = {"first": file.first, "last": file.last, "serial": file.serial, "hosts": list(terms.hosts)}
    change.note("grant", f"sensor {keys.name}", **detail)
    return file


def _new_epoch(
    change: Change, operation: str, keys: SensorKeys, terms: Terms, state: State
) -> tuple[Issued, SealedFile]:
    terms = replace(terms, hosts=_checked_hosts(change, terms.hosts))
    numbers = registry.take_numbers(change.database, keys.name, epoch=True)
    content = Content(EpochSeed(numbers.epoch, secrets.token_bytes(KEY_BYTES)), terms)
    primary = state is State.PRIMARY
    issued = change.seal(keys, Delivery((content.seed,), numbers.serial, numbers.min_epoch, primary), terms)
    if primary:
        _make_room(change, keys.name, numbers.epoch)
    epochs.add(change.database, change.key, issued.grant, content, state, change.now)
    detail = {"epoch": numbers.epoch, "key_id": issued.grant.key_id, "serial": numbers.serial, "state": str(state)}
    change.note(operation, f"sensor {keys.name}", **detail, hosts=list(terms.hosts))
    return issued, change.keep(issued)


def _seal_anew(
    change: Change, keys: SensorKeys, epoch: Epoch, content: Content, hosts: tuple[str, ...], *, for_sensor: bool
) -> Sealed:
    """Seal an epoch for these hosts, which become the epoch's own."""
    before = content.terms.hosts
    content = replace(content, terms=replace(content.terms, hosts=hosts))
    if hosts != before:
        epochs.set_content(change.database, change.key, epoch, content)
    file = change.seal_epoch(keys, content, for_sensor=for_sensor)
    return Sealed(file, _left_out(before, hosts))


def _make_room(change: Change, sensor: str, number: int) -> None:
    """The primary epoch, if there is one, becomes decrypt-only; StateError if it is newer than ``number``."""
    before = epochs.primary(change.database, sensor)
    if before is None:
        return
    if before.number > number:
        raise StateError(
            f"epoch {number} of sensor {sensor} is older than the primary epoch {before.number}, "
            "and sensors do not go back",
            hint=f"make another with keyvault rotate --sensor {sensor}, and destroy this one",
        )
    epochs.move(change.database, before, State.DECRYPT_ONLY, change.now)


def _primary(change: Change, sensor: str) -> Epoch:
    found = epochs.primary(change.database, sensor)
    if found is not None:
        return found
    if epochs.last(change.database, sensor) is not None:
        change.sensor(sensor)  # one that is revoked has no primary epoch, and says so
    raise UnknownNameError(
        f"sensor {sensor} has no primary epoch", hint=f"make one with keyvault issue --sensor {sensor}"
    )


def _usable(change: Change, sensor: str, number: int) -> Epoch:
    epoch = epochs.get(change.database, sensor, number)
    if epoch.state not in epochs.USABLE:
        raise epochs.not_allowed(epoch, "be sealed")
    return epoch


def _hosts(change: Change, before: Sequence[str], wanted: Recipients) -> tuple[str, ...]:
    """The hosts of an epoch after a change: those named, and of those before all that are not revoked."""
    removed = {change.own_name(Kind.HOST, name) for name in wanted.remove}
    active = change.active_hosts()
    kept = [name for name in before if name in active] if wanted.only is None else _checked_hosts(change, wanted.only)
    added = [change.host(name).name for name in wanted.add]
    hosts = tuple(name for name in dict.fromkeys([*kept, *added]) if name not in removed)
    if not hosts:
        raise InputError("no host would be left that could open the frames", hint="name one with --host")
    return hosts


def _checked_hosts(change: Change, names: Iterable[str]) -> tuple[str, ...]:
    """Hosts as they were enrolled; InputError for none, StateError or UnknownNameError for one that cannot be."""
    hosts = tuple(change.host(name).name for name in names)
    if not hosts:
        raise InputError("a key is sealed for one host or more", hint="name them with --host")
    for name in hosts:
        if hosts.count(name) > 1:
            raise InputError(f"two hosts have the same name, {name}", hint="name each host once")
    return hosts


def _left_out(before: Iterable[str], now: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(set(before) - set(now)))


def _one_policy(sensor: str, contents: Sequence[Content]) -> None:
    first = contents[0]
    for content in contents:
        if content.terms.policy != first.terms.policy:
            number = content.seed.number
            raise PolicyError(
                f"epochs {first.seed.number} and {number} of sensor {sensor} have different policies",
                hint=f"grant {first.seed.number} to {number - 1} and the rest in files of their own",
            )


def _terms_of_range(terms: Sequence[Terms]) -> Terms:
    """From the earliest beginning to the latest end; the strictest demand on status lists."""
    ages = [one.status_max_age for one in terms if one.status_max_age is not None]
    return replace(
        terms[0],
        not_before=min(one.not_before for one in terms),
        not_after=max(one.not_after for one in terms),
        status_max_age=min(ages, default=None),
    )
