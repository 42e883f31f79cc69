"""The life of an epoch in the vault: which states lead where, and what each allows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from parties import NOW, TERMS, host_key, small_vault, stranger

from keyvault import epochs, errors, places, registry, sealing, withdrawal
from keyvault.deliveries import SealedFile
from keyvault.device import Device
from keyvault.envelope import SealedGrant, verify
from keyvault.epochs import State
from keyvault.grant import Kind
from keyvault.sealing import Recipients, Rotation, Sealed
from keyvault.vault import Vault

ALLOWED = {
    (State.STAGED, State.PRIMARY),
    (State.STAGED, State.DISABLED),
    (State.STAGED, State.PENDING),
    (State.PRIMARY, State.DECRYPT_ONLY),
    (State.DECRYPT_ONLY, State.DISABLED),
    (State.DECRYPT_ONLY, State.PENDING),
    (State.DISABLED, State.DECRYPT_ONLY),
    (State.DISABLED, State.PENDING),
    (State.PENDING, State.DECRYPT_ONLY),
    (State.PENDING, State.DISABLED),
    (State.PENDING, State.DESTROYED),
}


@pytest.fixture
def vault(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Vault]:
    """An unlocked vault at NOW, with epoch 1 of cam."""
    monkeypatch.setattr("time.time", lambda: NOW)
    with small_vault(home) as made:
        made.issue("cam", TERMS)
        yield made


def rotate(vault: Vault, **how: object) -> Sealed:
    with vault.change() as change:
        return sealing.rotate(change, "cam", replace(Rotation(), **how))


def promote(vault: Vault, number: int | None = None) -> Sealed:
    with vault.change() as change:
        return sealing.promote(change, "cam", number)


def rewrap(vault: Vault, number: int | None = None, **recipients: object) -> Sealed:
    with vault.change() as change:
        return sealing.rewrap(change, "cam", replace(Recipients(), **recipients), number)


def grant(vault: Vault, hosts: tuple[str, ...], first: int, last: int, valid_for: int | None = None) -> SealedFile:
    with vault.change() as change:
        return sealing.grant(change, "cam", hosts, range(first, last + 1), valid_for)


def withdraw(vault: Vault, what: str, *values: object) -> object:
    with vault.change() as change:
        return getattr(withdrawal, what)(change, *values)


def states(vault: Vault) -> list[State]:
    return [epoch.state for epoch in vault.epochs("cam")]


def sealed(vault: Vault, file: SealedFile) -> SealedGrant:
    return verify(file.data, vault.issuer)


def bring(vault: Vault, to: State) -> None:
    """Bring epoch 2 of cam into a state, by the operations there are."""
    rotate(vault, stage=to is State.STAGED)
    if to not in (State.STAGED, State.PRIMARY):
        rotate(vault)
    if to is State.DISABLED:
        withdraw(vault, "disable", "cam", 2)
    if to in (State.PENDING, State.DESTROYED):
        withdraw(vault, "destroy", "cam", 2, 60 if to is State.PENDING else 0)
    if to is State.DESTROYED:
        vault.destroy_due()


@pytest.mark.parametrize("start", list(State))
def test_states_lead_where_they_may_and_nowhere_else(vault: Vault, start: State) -> None:
    rotate(vault)
    with suppress(KeyboardInterrupt), vault.change() as change:
        (epoch,) = (one for one in epochs.listed(change.database) if one.number == 1)
        record = None if start is State.DESTROYED else b"record"
        due = 1 if start is State.PENDING else None
        change.database.execute("DELETE FROM files")
        change.database.execute("DELETE FROM epochs WHERE epoch = 2")
        update = "UPDATE epochs SET state = ?, record = ?, destroy_at = ?"
        change.database.execute(update, (start, record, due))
        epoch = replace(epoch, state=start)
        for to in State:
            change.database.execute("SAVEPOINT one")
            due = 1 if to is State.PENDING else None
            if (start, to) in ALLOWED:
                epochs.move(change.database, epoch, to, NOW, due)
                assert epochs.get(change.database, "cam", 1).state is to
            else:
                with pytest.raises(errors.StateError, match=f"is {start}.* and cannot become {to}") as caught:
                    epochs.move(change.database, epoch, to, NOW, due)
                assert caught.value.hint
            change.database.execute("ROLLBACK TO one")
        raise KeyboardInterrupt


def test_issue_and_rotate_make_the_new_epoch_primary(vault: Vault) -> None:
    rotate(vault)
    vault.issue("cam", replace(TERMS, hosts=("lab",)))
    assert states(vault) == [State.DECRYPT_ONLY, State.DECRYPT_ONLY, State.PRIMARY]
    assert vault.issued("cam").grant.epoch == 3
    assert [host.name for host in vault.issued("cam").grant.hosts] == ["lab"]


def test_a_staged_epoch_is_for_hosts_until_it_is_promoted(vault: Vault) -> None:
    device = Device.load(places.device_file("cam"))
    staged = rotate(vault, stage=True).file
    assert states(vault) == [State.PRIMARY, State.STAGED]
    assert vault.issued("cam").grant.epoch == 1
    with pytest.raises(errors.WrongDeviceError):
        sealed(vault, staged).open_as_sensor(device, NOW)
    (early,) = sealed(vault, staged).open_as_host(host_key("lab"), NOW)
    promoted = promote(vault).file
    assert states(vault) == [State.DECRYPT_ONLY, State.PRIMARY]
    assert promoted.serial > staged.serial
    assert sealed(vault, promoted).open_as_sensor(device, NOW).epoch_key == early.epoch_key
    with pytest.raises(errors.StateError, match="no staged epoch"):
        promote(vault)


def test_an_epoch_older_than_the_primary_one_is_not_promoted(vault: Vault) -> None:
    rotate(vault, stage=True)
    rotate(vault)
    with pytest.raises(errors.StateError, match="older than the primary epoch 3"):
        promote(vault)
    assert states(vault) == [State.DECRYPT_ONLY, State.STAGED, State.PRIMARY]
    with pytest.raises(errors.StateError, match="is decrypt-only, and a staged one is expected"):
        promote(vault, 1)


def test_rewrap_keeps_the_key_and_changes_the_hosts(vault: Vault) -> None:
    before = vault.issued("cam").grant
    done = rewrap(vault, remove=("mobile",))
    after = sealed(vault, done.file)
    assert done.left_out == ("mobile",)
    assert (after.grant.epoch, after.grant.commitment) == (before.epoch, before.commitment)
    assert (after.grant.not_before, after.grant.not_after) == (before.not_before, before.not_after)
    assert after.grant.serial > before.serial
    assert after.open_as_sensor(Device.load(places.device_file("cam")), NOW)
    assert after.open_as_host(host_key("lab"), NOW)
    with pytest.raises(errors.WrongHostError):
        after.open_as_host(host_key("mobile"), NOW)
    assert [host.name for host in sealed(vault, rotate(vault).file).grant.hosts] == ["lab"]
    old = sealed(vault, rewrap(vault, 1, only=("mobile",)).file)
    assert old.grant.for_sensor is None
    assert old.open_as_host(host_key("mobile"), NOW)[0].grant.epoch == 1


def test_rewrap_adds_hosts_and_needs_one(vault: Vault) -> None:
    vault.enroll_host("third", stranger().public_key())
    assert rewrap(vault, add=("third",), remove=("LAB", "lab")).left_out == ("lab",)
    assert [host.name for host in vault.issued("cam").grant.hosts] == ["mobile", "third"]
    with pytest.raises(errors.InputError, match="no host would be left"):
        rewrap(vault, remove=("mobile", "third"))
    with pytest.raises(errors.UnknownNameError, match="no host named dog"):
        rewrap(vault, remove=("dog",))
    assert rewrap(vault, only=("lab",)).left_out == ("mobile", "third")


def test_a_range_is_one_file_for_hosts_alone(vault: Vault) -> None:
    vault.enroll_host("third", stranger().public_key())
    for _ in range(4):
        rotate(vault, valid_for=100)
    file = grant(vault, ("third",), 2, 4)
    opened = sealed(vault, file).open_as_host(stranger(), NOW)
    keys = {number: vault.issued("cam", number).grant.commitment for number in (1, 2, 3, 4, 5)}
    assert {one.grant.epoch: one.grant.commitment for one in opened} == {n: keys[n] for n in (2, 3, 4)}
    assert (opened[0].grant.not_before, opened[0].grant.not_after) == (NOW, NOW + 100)
    assert grant(vault, ("third",), 1, 5, 7).serial == file.serial + 1
    assert vault.sensors_of("third") == ["cam"]


@pytest.mark.parametrize("state", [State.DISABLED, State.PENDING, State.DESTROYED])
def test_nothing_is_sealed_or_handed_out_of_what_was_taken_back(vault: Vault, state: State) -> None:
    bring(vault, state)
    number = vault.files("cam")[-1]["serial"]
    for attempt in (
        lambda: grant(vault, ("lab",), 1, 3),
        lambda: rewrap(vault, 2),
        lambda: promote(vault, 2),
        lambda: vault.file("cam", 2),
    ):
        with pytest.raises((errors.StateError, errors.UnknownNameError)) as caught:
            attempt()
        if state is not State.DESTROYED:
            assert f"is {state}" in str(caught.value)
    assert vault.files("cam")[-1]["serial"] == number


def test_a_range_has_one_policy_and_known_epochs(vault: Vault) -> None:
    vault.issue("cam", replace(TERMS, policy=replace(TERMS.policy, bits=10)))
    with pytest.raises(errors.PolicyError, match="epochs 1 and 2 of sensor cam have different policies"):
        grant(vault, ("lab",), 1, 2)
    with pytest.raises(errors.UnknownNameError, match="no epoch 3"):
        grant(vault, ("lab",), 2, 3)
    with pytest.raises(errors.InputError, match="1 to 256 epochs, not 300"):
        grant(vault, ("lab",), 1, 300)


def test_retired_epochs_are_disabled_for_good(vault: Vault) -> None:
    for _ in range(3):
        rotate(vault)
    assert withdraw(vault, "retire", "cam", 3) == [1, 2]
    assert states(vault) == [State.DISABLED, State.DISABLED, State.DECRYPT_ONLY, State.PRIMARY]
    assert sealed(vault, rewrap(vault).file).grant.min_epoch == 3
    assert sealed(vault, rotate(vault).file).grant.min_epoch == 3
    with pytest.raises(errors.StateError, match="retired, which is for good"):
        withdraw(vault, "restore", "cam", 2)
    with pytest.raises(errors.StateError, match="min-epoch 2 is lower"):
        withdraw(vault, "retire", "cam", 2)
    with pytest.raises(errors.StateError, match="would retire the epoch that sensor cam uses, 5"):
        withdraw(vault, "retire", "cam", 6)
    withdraw(vault, "destroy", "cam", 2, 60)
    assert withdraw(vault, "restore", "cam", 2).state is State.DISABLED


def test_what_was_disabled_can_be_restored(vault: Vault) -> None:
    with pytest.raises(errors.StateError, match="is primary and cannot become disabled"):
        withdraw(vault, "disable", "cam", 1)
    rotate(vault)
    withdraw(vault, "disable", "cam", 1)
    withdraw(vault, "destroy", "cam", 1, 60)
    assert withdraw(vault, "restore", "cam", 1).state is State.DECRYPT_ONLY
    assert vault.file("cam", 1)
    with pytest.raises(errors.StateError, match="is decrypt-only and cannot be restored"):
        withdraw(vault, "restore", "cam", 1)


def test_a_destroyed_key_is_nowhere_in_the_vault(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    rotate(vault)
    ranged = grant(vault, ("lab",), 1, 2)
    files = [vault.file("cam", 1).data, ranged.data]
    (record,) = vault._connection.execute("SELECT record FROM epochs WHERE epoch = 1").fetchone()
    with pytest.raises(errors.StateError, match="is primary and cannot become pending destruction"):
        withdraw(vault, "destroy", "cam", 2, 60)
    assert withdraw(vault, "destroy", "cam", 1, 60).destroy_at == NOW + 60
    monkeypatch.setattr("time.time", lambda: NOW + 59)
    rewrap(vault)
    assert states(vault)[0] is State.PENDING
    monkeypatch.setattr("time.time", lambda: NOW + 60)
    rewrap(vault)  # the first command that changes the vault
    assert states(vault) == [State.DESTROYED, State.PRIMARY]
    content = b"".join(path.read_bytes() for path in vault.path.parent.iterdir())
    for gone in (record, *(data[200:300] for data in files)):
        assert gone not in content
    (epoch, _) = vault.epochs("cam")
    assert (epoch.number, epoch.changed, epoch.destroy_at) == (1, NOW + 60, None)
    with pytest.raises(errors.StateError, match="is destroyed and cannot be restored"):
        withdraw(vault, "restore", "cam", 1)
    assert vault.destroy_due() == []


def test_revoked_hosts_are_left_out(vault: Vault) -> None:
    withdraw(vault, "revoke", Kind.HOST, "MOBILE")
    done = rotate(vault)
    assert done.left_out == ("mobile",)
    assert [host.name for host in sealed(vault, done.file).grant.hosts] == ["lab"]
    with pytest.raises(errors.StateError, match="host mobile was revoked"):
        vault.issue("cam", TERMS)
    with pytest.raises(errors.StateError, match="was revoked"):
        rewrap(vault, add=("mobile",))
    with pytest.raises(errors.StateError, match="was revoked"):
        withdraw(vault, "revoke", Kind.HOST, "mobile")
    with pytest.raises(errors.NameTakenError):
        vault.enroll_host("mobile2", host_key("mobile").public_key())
    withdraw(vault, "revoke", Kind.HOST, "lab")
    with pytest.raises(errors.InputError, match="no host would be left"):
        rotate(vault)


def test_nothing_more_is_sealed_for_a_revoked_sensor(vault: Vault) -> None:
    withdraw(vault, "revoke", Kind.SENSOR, "cam")
    assert states(vault) == [State.DECRYPT_ONLY]
    for attempt in (lambda: rotate(vault), lambda: vault.issue("cam", TERMS), lambda: rewrap(vault)):
        with pytest.raises(errors.StateError, match="sensor cam was revoked"):
            attempt()
    assert sealed(vault, grant(vault, ("lab",), 1, 1)).open_as_host(host_key("lab"), NOW)
    assert sealed(vault, rewrap(vault, 1).file).grant.for_sensor is None
    assert vault.active_sensors() == []
    assert [entry.state for entry in vault.sensors()] == [registry.REVOKED]


def test_terms_are_carried_over(vault: Vault) -> None:
    vault.issue("cam", replace(TERMS, status_max_age=3600, not_after=NOW + 990))
    grant = sealed(vault, rotate(vault).file).grant
    assert (grant.status_max_age, grant.not_before, grant.not_after) == (3600, NOW, NOW + 1000)
    assert grant.policy == TERMS.policy
