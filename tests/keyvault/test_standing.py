"""Status list and marks together, on disk: whatever comes in whatever order, nobody goes back."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from parties import DEVICE, NOW, issued

from keyvault.errors import DisabledKeyError, RevokedError, RollbackError
from keyvault.grant import Grant
from keyvault.mark_files import load
from keyvault.marks import HostMark, SensorMark
from keyvault.standing import Standing
from keyvault.status_list import StatusList

GRANT = issued().grant
HOST = replace(GRANT, recipients=GRANT.hosts)
LAB = GRANT.hosts[0].kid
SENSOR_MARK = SensorMark(GRANT.issuer, GRANT.sensor)
HOST_MARK = HostMark(GRANT.issuer, GRANT.sensor)
EMPTY = StatusList(GRANT.issuer, 1, NOW, NOW)


def key(epoch: int, serial: int = 1, min_epoch: int = 1, grant: Grant = GRANT) -> Grant:
    commitment = epoch.to_bytes(4, "little") * 8
    return replace(grant, epoch=epoch, serial=serial, min_epoch=min(min_epoch, epoch), commitment=commitment)


numbers = st.tuples(st.integers(1, 4), st.integers(1, 4), st.integers(1, 4))
lists = st.builds(
    lambda revoked, disabled, least: replace(
        EMPTY,
        sensors={DEVICE.kid: "cam"} if revoked else {},
        disabled=frozenset({key(disabled).key_id}),
        min_epochs={"cam": least},
    ),
    st.booleans(),
    st.integers(1, 5),
    st.integers(2, 3),
)


@settings(max_examples=60)
@given(st.lists(st.tuples(numbers, st.none() | lists), max_size=8))
def test_a_sensor_never_goes_back_and_a_refusal_changes_nothing(
    sequence: Sequence[tuple[tuple[int, int, int], StatusList | None]],
) -> None:
    with tempfile.TemporaryDirectory() as name:
        before = SENSOR_MARK
        for what, status in sequence:
            grant = key(*what)
            try:
                Standing(Path(name), status, DEVICE.kid).admit_sensor(grant, NOW)
            except (RollbackError, RevokedError, DisabledKeyError):
                assert load(Path(name), SENSOR_MARK) == before
                continue
            after = load(Path(name), SENSOR_MARK)
            assert (after.epoch, after.serial, after.min_epoch) == (grant.epoch, grant.serial, grant.min_epoch)
            assert (after.epoch, after.min_epoch) >= (before.epoch, before.min_epoch)
            assert after.epoch > before.epoch or after.serial >= before.serial
            before = after


@settings(max_examples=60)
@given(st.lists(numbers, min_size=1, max_size=6), st.randoms(use_true_random=False))
def test_a_host_judges_its_files_together(sequence: list[tuple[int, int, int]], random: object) -> None:
    files = [[key(*what, grant=HOST)] for what in sequence]
    shuffled = list(range(len(files)))
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
        refused = Standing(Path(one), None, LAB).admit_host(files, NOW)
        again = Standing(Path(other), None, LAB).admit_host([files[number] for number in shuffled], NOW)
        assert [set(refused[number]) for number in shuffled] == [set(found) for found in again]
        assert load(Path(one), HOST_MARK) == load(Path(other), HOST_MARK)
    least = max(grant.min_epoch for (grant,) in files)
    for (grant,), errors in zip(files, refused, strict=True):
        newest = max(other.serial for (other,) in files if other.epoch == grant.epoch)
        assert bool(errors) == (grant.epoch < least or grant.serial < newest)


def test_a_host_is_told_what_is_wrong_with_each_epoch(tmp_path: Path) -> None:
    several = [key(epoch, 5, grant=HOST) for epoch in (1, 2, 3)]
    status = replace(EMPTY, disabled=frozenset({several[1].key_id}))
    (refused,) = Standing(tmp_path, status, LAB).admit_host([several], NOW)
    assert {key_id: type(error) for key_id, error in refused.items()} == {several[1].key_id: DisabledKeyError}


def test_what_a_list_keeps_out_moves_no_mark(tmp_path: Path) -> None:
    (refused,) = Standing(tmp_path, replace(EMPTY, hosts={LAB: "lab"}), LAB).admit_host([[key(3, grant=HOST)]], NOW)
    assert [type(error) for error in refused.values()] == [RevokedError]
    assert list(tmp_path.iterdir()) == []


def test_sensors_of_one_vault_have_marks_of_their_own(tmp_path: Path) -> None:
    other = [replace(key(1, grant=HOST), sensor="cam-2")]
    assert Standing(tmp_path, None, LAB).admit_host([[key(9, 9, 9, grant=HOST)], other], NOW) == [{}, {}]
    assert load(tmp_path, replace(HOST_MARK, sensor="cam-2")).min_epoch == 1
    assert load(tmp_path, HOST_MARK).min_epoch == 9
