"""Status lists: what is signed, what is refused, and whom they keep from opening a key."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from parties import DEVICE, ISSUER, NOW, host_key, issued

from keyvault import canonical, jws
from keyvault.errors import (
    DisabledKeyError,
    GrantFormatError,
    InputError,
    RetiredEpochError,
    RevokedError,
    StatusClockError,
    StatusContentError,
    StatusExpiredError,
    StatusListError,
    StatusMissingError,
    StatusRollbackError,
    StatusSignatureError,
    UnknownIssuerError,
)
from keyvault.grant import Grant
from keyvault.identity import thumbprint
from keyvault.mark_files import load
from keyvault.marks import ListMark
from keyvault.standing import newest_status
from keyvault.status_list import (
    CLOCK_SKEW,
    MAX_STATUS_BYTES,
    StatusList,
    check,
    check_age,
    read_status,
    sign,
    verify,
)

ISSUER_ID = thumbprint(ISSUER.public_key())
OTHER = Ed25519PrivateKey.from_private_bytes(b"j" * 32)
GRANT = issued().grant
LAB = thumbprint(host_key("lab").public_key())
EMPTY = StatusList(ISSUER_ID, 1, NOW, NOW + 60)
FULL = StatusList(
    ISSUER_ID,
    9,
    NOW,
    NOW + 60,
    sensors={"A" * 43: "back-door"},
    hosts={LAB: "lab", "B" * 43: "mobile"},
    disabled=frozenset({"00000000000000ff", "aaaaaaaaaaaaaaaa"}),
    min_epochs={"cam": 4, "back-door": 2},
)

kids = st.text("abcXYZ019-_", min_size=43, max_size=43)
names = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,8}", fullmatch=True)
lists = st.builds(
    StatusList,
    st.just(ISSUER_ID),
    st.integers(1, 2**53 - 1),
    st.integers(0, 2**31),
    st.integers(2**31, 2**33),
    st.dictionaries(kids, names, max_size=4),
    st.dictionaries(kids, names, max_size=4),
    st.frozensets(st.text("0123456789abcdef", min_size=16, max_size=16), max_size=4),
    st.dictionaries(names, st.integers(2, 2**32 - 1), max_size=4),
)


def resigned(changes: dict[str, Any] | Callable[[bytes], bytes], key: Ed25519PrivateKey = ISSUER) -> bytes:
    """FULL with other members, or its bytes changed, and signed nevertheless."""
    payload = canonical.dumps(FULL.to_json())
    payload = (
        changes(payload)
        if callable(changes)
        else json.dumps(FULL.to_json() | changes, sort_keys=True, separators=(",", ":")).encode()
    )
    return jws.sign(payload, key, jws.STATUS_LIST)


@given(lists)
def test_a_list_is_read_as_it_was_signed(status: StatusList) -> None:
    assert verify(sign(status, ISSUER), ISSUER.public_key()) == status


def test_a_list_is_a_jws_of_canonical_json() -> None:
    header, payload, _ = sign(FULL, ISSUER).decode().split(".")
    assert canonical.loads(canonical.unb64url(header, "header"), "header") == {
        "alg": "Ed25519",
        "kid": ISSUER_ID,
        "typ": "privcam-status+jws",
        "v": 1,
    }
    assert canonical.loads(canonical.unb64url(payload, "payload"), "payload") == {
        "disabled": ["00000000000000ff", "aaaaaaaaaaaaaaaa"],
        "hosts": {LAB: "lab", "B" * 43: "mobile"},
        "issued": NOW,
        "issuer": ISSUER_ID,
        "min_epochs": {"back-door": 2, "cam": 4},
        "next_update": NOW + 60,
        "number": 9,
        "sensors": {"A" * 43: "back-door"},
    }


def test_every_flipped_bit_is_refused() -> None:
    good = sign(FULL, ISSUER)
    for bit in range(0, 8 * len(good), 7):
        data = bytearray(good)
        data[bit // 8] ^= 1 << bit % 8
        with pytest.raises((StatusListError, StatusSignatureError, UnknownIssuerError)):
            verify(bytes(data), ISSUER.public_key())


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", StatusListError),
        (b"\x89PNG", StatusListError),
        (sign(FULL, ISSUER) + b"\n", StatusListError),
        (sign(FULL, ISSUER)[:-40], StatusListError),
        (issued().data, StatusListError),  # a sealed key of the same vault
        (b"A" * (MAX_STATUS_BYTES + 1), StatusListError),
        (resigned({}, OTHER), UnknownIssuerError),
        (resigned({"issuer": thumbprint(OTHER.public_key())}), UnknownIssuerError),
        *((resigned(changes), StatusContentError) for changes in (
            {"more": 1},
            {"number": 0},
            {"number": True},
            {"number": 2**53 - 1, "issued": -1},
            {"next_update": NOW - 1},
            {"issuer": "someone"},
            {"disabled": ["aaaaaaaaaaaaaaaa", "00000000000000ff"]},
            {"disabled": ["00000000000000ff"] * 2},
            {"disabled": ["00000000000000FF"]},
            {"disabled": [7]},
            {"disabled": {}},
            {"hosts": ["lab"]},
            {"hosts": {"short": "lab"}},
            {"hosts": {"A" * 43: "/etc"}},
            {"sensors": {"A" * 43: 5}},
            {"min_epochs": {"cam": 1}},
            {"min_epochs": {"cam": 2**32}},
            {"min_epochs": {"": 2}},
        )),
        (resigned(lambda payload: payload + b" "), StatusContentError),
        (resigned(lambda payload: payload.replace(b'"number"', b'"number":8,"number"')), StatusContentError),
        (resigned(lambda payload: b"[]"), StatusContentError),
    ],
)  # fmt: skip
def test_what_is_not_a_list_of_this_vault_is_refused(data: bytes, error: type[Exception]) -> None:
    with pytest.raises(error) as refusal:
        verify(data, ISSUER.public_key())
    assert type(refusal.value) is error


def test_a_list_is_no_sealed_key() -> None:
    with pytest.raises(GrantFormatError):
        jws.verify(sign(FULL, ISSUER), ISSUER.public_key())


def test_a_list_that_readers_would_not_take_is_not_signed() -> None:
    many = frozenset(f"{number:016x}" for number in range(170_000))
    with pytest.raises(InputError, match="readers take") as refusal:
        sign(replace(EMPTY, disabled=many), ISSUER)
    assert "--min-epoch" in refusal.value.hint
    with pytest.raises(ValueError, match="another issuer"):
        sign(EMPTY, OTHER)


def with_status(**changes: Any) -> StatusList:
    return replace(EMPTY, **changes)


@pytest.mark.parametrize(
    ("status", "reader", "error", "says"),
    [
        (with_status(sensors={DEVICE.kid: "cam"}), DEVICE.kid, RevokedError, "sensor cam .* is revoked"),
        (with_status(sensors={DEVICE.kid: "cam"}), LAB, RevokedError, "sensor cam .* is revoked"),
        (with_status(hosts={LAB: "lab"}), LAB, RevokedError, "host lab .* is revoked, says status list 1"),
        (with_status(disabled=frozenset({GRANT.key_id})), LAB, DisabledKeyError, "epoch 1 .* is disabled"),
        (with_status(min_epochs={"cam": 2}), LAB, RetiredEpochError, "allows epochs from 2 on"),
    ],
)
def test_a_list_keeps_out_whom_it_names(status: StatusList, reader: str, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        check(status, GRANT, reader, NOW)


@pytest.mark.parametrize(
    "status",
    [
        None,
        EMPTY,
        with_status(hosts={"C" * 43: "lab"}, sensors={"D" * 43: "cam"}),  # others of the same name
        with_status(hosts={DEVICE.kid: "cam"}, disabled=frozenset({"0" * 16}), min_epochs={"cam-2": 9}),
    ],
)
def test_a_list_lets_others_be(status: StatusList | None) -> None:
    check(status, GRANT, LAB, NOW)


def aged(seconds: int | None) -> Grant:
    return replace(GRANT, status_max_age=seconds)


def test_the_sealed_key_says_how_old_a_list_may_be() -> None:
    check_age(EMPTY, aged(10), NOW + 10)
    with pytest.raises(StatusExpiredError, match="at most 10 s old") as refusal:
        check_age(EMPTY, aged(10), NOW + 11)
    assert "keyvault status publish" in refusal.value.hint
    check_age(EMPTY, aged(1000), NOW + 1000)  # although the next one has long been due
    check_age(EMPTY, aged(None), NOW + 10**9)  # and an old list is better than none


def test_a_key_that_needs_a_list_does_not_open_without() -> None:
    check_age(None, aged(None), NOW)
    with pytest.raises(StatusMissingError, match="only with a status list"):
        check_age(None, aged(10), NOW)


def test_a_clock_that_was_set_back_is_noticed() -> None:
    check_age(EMPTY, aged(10), NOW - CLOCK_SKEW)
    for grant in (aged(10), aged(None)):
        with pytest.raises(StatusClockError, match="was issued at"):
            check_age(EMPTY, grant, NOW - CLOCK_SKEW - 1)


def test_reading_a_file_names_it(tmp_path: Path) -> None:
    path = tmp_path / "status.jws"
    with pytest.raises(InputError, match=r"status\.jws"):
        read_status(path, ISSUER.public_key())
    path.write_bytes(b"no list")
    with pytest.raises(StatusListError, match=r"status\.jws: not a status list"):
        read_status(path, ISSUER.public_key())


def publish(path: Path, number: int, key: Ed25519PrivateKey = ISSUER) -> Path:
    issuer = thumbprint(key.public_key())
    path.write_bytes(sign(StatusList(issuer, number, NOW, NOW), key))
    return path


def test_the_newest_list_is_remembered(tmp_path: Path) -> None:
    usual, marks = tmp_path / "status.jws", tmp_path / "marks"
    public = ISSUER.public_key()
    assert newest_status(marks, public, None, usual, NOW) is None
    assert not marks.exists()
    publish(usual, 5)
    for _ in range(2):
        found = newest_status(marks, public, None, usual, NOW)
        assert found is not None
        assert found.number == 5
    newer = publish(tmp_path / "newer.jws", 6)
    assert newest_status(marks, public, newer, usual, NOW) is not None
    with pytest.raises(StatusRollbackError, match="list 5 is older than list 6"):
        newest_status(marks, public, None, usual, NOW)


def test_a_list_that_does_not_verify_moves_no_mark(tmp_path: Path) -> None:
    marks, usual = tmp_path / "marks", publish(tmp_path / "status.jws", 5)
    newest_status(marks, ISSUER.public_key(), None, usual, NOW)
    forged = canonical.dumps(StatusList(ISSUER_ID, 2**53 - 1, NOW, NOW).to_json())
    signature = sign(EMPTY, ISSUER).rpartition(b".")[2]
    header = sign(EMPTY, ISSUER).partition(b".")[0]
    usual.write_bytes(b".".join((header, canonical.b64url(forged).encode(), signature)))
    with pytest.raises(StatusSignatureError):
        newest_status(marks, ISSUER.public_key(), None, usual, NOW)
    assert load(marks, ListMark(ISSUER_ID)).number == 5


def test_a_list_that_was_used_and_is_gone_is_missed(tmp_path: Path) -> None:
    usual, public = publish(tmp_path / "status.jws", 5), ISSUER.public_key()
    newest_status(tmp_path, public, None, usual, NOW)
    for replaced in (False, True):
        usual.unlink(missing_ok=True)
        if replaced:
            publish(usual, 5, OTHER)
        with pytest.raises(StatusMissingError, match="status list 5 of vault"):
            newest_status(tmp_path, public, None, usual, NOW)


def test_a_list_from_the_future_moves_no_mark(tmp_path: Path) -> None:
    usual, public = publish(tmp_path / "status.jws", 5), ISSUER.public_key()
    with pytest.raises(StatusClockError, match="was issued at"):
        newest_status(tmp_path, public, None, usual, NOW - 301)
    assert load(tmp_path, ListMark(ISSUER_ID)).number == 0
    assert newest_status(tmp_path, public, None, usual, NOW - 300) is not None


def test_a_list_of_another_vault_is_passed_over_unless_it_was_named(tmp_path: Path) -> None:
    usual = publish(tmp_path / "status.jws", 5, OTHER)
    assert newest_status(tmp_path, ISSUER.public_key(), None, usual, NOW) is None
    with pytest.raises(UnknownIssuerError):
        newest_status(tmp_path, ISSUER.public_key(), usual, usual, NOW)
    with pytest.raises(InputError, match="missing"):
        newest_status(tmp_path, ISSUER.public_key(), tmp_path / "missing.jws", usual, NOW)
