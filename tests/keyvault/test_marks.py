"""What marks refuse, and that whatever they accept only ever goes forward."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from parties import issued

from keyvault import canonical
from keyvault.errors import (
    EpochKeyChangedError,
    EpochRollbackError,
    MinEpochRollbackError,
    RetiredEpochError,
    RollbackError,
    SerialRollbackError,
    StatusRollbackError,
    ValidityError,
)
from keyvault.grant import Grant, Recipient
from keyvault.issuing import Delivery, EpochSeed
from keyvault.marks import MAX_SPANS, HostMark, ListMark, SensorMark, Span, span

GRANT = issued().grant
SENSOR_MARK = SensorMark(GRANT.issuer, GRANT.sensor)
HOST_MARK = HostMark(GRANT.issuer, GRANT.sensor)


def key(epoch: int, serial: int = 1, min_epoch: int = 1, salt: int = 0) -> Grant:
    """The claims of a file for the sensor; its key follows from epoch and salt."""
    commitment = (256 * epoch + salt).to_bytes(4, "little") * 8
    return replace(GRANT, epoch=epoch, serial=serial, min_epoch=min(min_epoch, epoch), commitment=commitment)


def file(first: int, last: int, serial: int = 1, min_epoch: int = 1, *, sensor: bool = False) -> list[Grant]:
    """The claims of a file for hosts, or with one epoch for the sensor too."""
    recipients: tuple[Recipient, ...] = GRANT.recipients if sensor else GRANT.hosts
    return [
        replace(key(epoch, serial, min(min_epoch, first)), recipients=recipients) for epoch in range(first, last + 1)
    ]


keys = st.builds(key, st.integers(1, 5), st.integers(1, 6), st.integers(1, 5), st.integers(0, 1))
files = st.builds(
    lambda first, more, serial, least: file(first, first + more, serial, least),
    st.integers(1, 5),
    st.integers(0, 2),
    st.integers(1, 6),
    st.integers(1, 5),
)


def accepted(sequence: list[Grant]) -> list[Grant]:
    """Those of a sequence of keys that a sensor uses."""
    mark, used = SENSOR_MARK, []
    for grant in sequence:
        try:
            mark = mark.after(grant)
        except RollbackError:
            continue
        used.append(grant)
    return used


@given(st.lists(keys, max_size=12))
def test_a_sensor_only_goes_forward(sequence: list[Grant]) -> None:
    for older, newer in pairwise(accepted(sequence)):
        assert newer.epoch >= older.epoch
        assert newer.min_epoch >= older.min_epoch
        if newer.epoch == older.epoch:
            assert newer.serial >= older.serial
            assert newer.key_id == older.key_id


@given(st.lists(keys, max_size=12))
def test_a_sensor_refuses_nothing_that_goes_forward(sequence: list[Grant]) -> None:
    def order(grant: Grant) -> tuple[int, int]:
        return grant.epoch, grant.serial

    honest = [replace(grant, commitment=key(grant.epoch).commitment) for grant in sorted(sequence, key=order)]
    least, growing = 1, []
    for grant in honest:
        least = max(least, grant.min_epoch)
        growing.append(replace(grant, min_epoch=min(least, grant.epoch)))
        least = growing[-1].min_epoch
    assert accepted(growing) == growing


@pytest.mark.parametrize(
    ("used", "tried", "error", "says"),
    [
        (key(5), key(4), EpochRollbackError, "epoch 4 of sensor cam is older than epoch 5, which it has used"),
        (key(5, 8), key(5, 7), SerialRollbackError, "has serial 7; a newer one, serial 8, was used here"),
        (key(5, 8, 3), key(6, 9, 2), MinEpochRollbackError, "allows epochs from 2 on, .*used here from 3 on"),
        (key(5, 8), key(5, 9, salt=1), EpochKeyChangedError, "the vault was set back to an earlier state"),
        (key(5, 8), key(5, 8, salt=1), EpochKeyChangedError, "epoch 5 of sensor cam has key"),
    ],
)
def test_each_refusal_of_a_sensor_has_its_class(used: Grant, tried: Grant, error: type[Exception], says: str) -> None:
    mark = SENSOR_MARK.after(used)
    with pytest.raises(error, match=says) as refusal:
        mark.after(tried)
    assert isinstance(refusal.value, ValidityError)
    assert "keyvault" in refusal.value.hint
    assert "\n" not in str(refusal.value)


def test_a_sensor_uses_the_same_file_again_and_again() -> None:
    mark = SENSOR_MARK.after(key(5, 8, 3))
    assert mark.after(key(5, 8, 3)) == mark
    assert mark.after(key(6, 2, 3)).serial == 2  # serials are compared within an epoch


@given(st.lists(files, min_size=1, max_size=8), st.randoms(use_true_random=False))
def test_a_hosts_mark_does_not_depend_on_order(sequence: list[list[Grant]], random: object) -> None:
    shuffled = list(sequence)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    together = HOST_MARK.after(sequence)
    one_by_one = HOST_MARK
    for grants in shuffled:
        one_by_one = one_by_one.after([grants])
    assert together == HOST_MARK.after(shuffled) == one_by_one
    assert together.after(sequence) == together


@given(st.lists(files, min_size=1, max_size=12))
def test_a_host_only_goes_forward(sequence: list[list[Grant]]) -> None:
    newest: dict[Span, int] = {}
    mark, least = HOST_MARK, 1
    for grants in sequence:
        mark = mark.after([grants])
        least = max(least, grants[0].min_epoch)
        for grant in grants:
            refusal = mark.refusal(grants, grant)
            if grant.epoch < least:
                assert isinstance(refusal, RetiredEpochError)
            elif grant.serial < newest.get(span(grants), 0):
                assert isinstance(refusal, SerialRollbackError)
            else:
                assert refusal is None
        newest[span(grants)] = max(newest.get(span(grants), 0), grants[0].serial)
        assert mark.min_epoch == least


def test_a_host_opens_old_epochs_until_they_are_retired() -> None:
    mark = HOST_MARK.after([file(9, 9, 9)])
    old = file(2, 4, 3)
    assert [mark.after([old]).refusal(old, grant) for grant in old] == [None, None, None]
    mark = mark.after([file(9, 9, 10, min_epoch=4)]).after([old])
    assert [mark.refusal(old, grant) is None for grant in old] == [False, False, True]
    listed = HOST_MARK.after([old], min_epoch=3)  # a status list says the same
    assert [listed.refusal(old, grant) is None for grant in old] == [False, True, True]


def test_a_hosts_serials_are_of_the_same_epochs_and_kind() -> None:
    mark = HOST_MARK.after([file(3, 3, 9)])
    for other in (file(3, 4, 2), file(2, 3, 2), file(3, 3, 2, sensor=True)):
        assert mark.after([other]).refusal(other, other[0]) is None
    old = file(3, 3, 8)
    refusal = mark.after([old]).refusal(old, old[0])
    assert isinstance(refusal, SerialRollbackError)
    assert "epoch 3 of sensor cam has serial 8" in str(refusal)


def test_a_hosts_mark_forgets_what_is_retired_and_stays_small() -> None:
    mark = HOST_MARK.after([file(epoch, epoch, epoch) for epoch in range(1, 2 * MAX_SPANS)])
    assert len(mark.serials) == MAX_SPANS
    assert min(first for first, _, _ in mark.serials) == MAX_SPANS
    assert mark.after([file(1, 1, 1)]) == mark
    assert list(mark.after([], 2 * MAX_SPANS - 1).serials) == [span(file(2 * MAX_SPANS - 1, 2 * MAX_SPANS - 1))]


def test_a_list_of_a_lower_number_is_refused() -> None:
    mark = ListMark(GRANT.issuer).after(5)
    assert mark.after(5) == mark
    with pytest.raises(StatusRollbackError, match="status list 4 is older than list 5"):
        mark.after(4)


@given(st.lists(files, max_size=6), keys, st.integers(1, 2**53 - 1))
def test_marks_are_read_as_they_were_written(sequence: list[list[Grant]], grant: Grant, number: int) -> None:
    for mark in (SENSOR_MARK.after(grant), HOST_MARK.after(sequence, 2), ListMark(GRANT.issuer).after(number)):
        fresh = type(mark)(*((mark.issuer,) if isinstance(mark, ListMark) else (mark.issuer, mark.sensor)))
        assert fresh.from_json(canonical.loads(canonical.dumps(mark.to_json()), "it")) == mark
        assert fresh.file_name == mark.file_name


def test_a_file_of_several_epochs_is_one_span() -> None:
    seeds = tuple(EpochSeed(epoch, bytes(32)) for epoch in (3, 4, 5))
    several = issued(delivery=Delivery(seeds, serial=4, for_sensor=False)).grants
    assert span(several) == (3, 5, "host")
    assert span([GRANT]) == (1, 1, "sensor")
