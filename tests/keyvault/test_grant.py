"""Grants: the claims survive the round trip, and contradictions are refused."""

from __future__ import annotations

from dataclasses import replace

import pytest
from parties import DEVICE, ISSUER, NOW, issued

from keyvault import claims
from keyvault.errors import ExpiredGrantError, InputError, NotYetValidError, PolicyError, ValidityError
from keyvault.grant import Kind, OpenGrant, Recipient
from keyvault.identity import check_name, thumbprint

GRANT = issued().grant
CLAIMS = claims.to_json([GRANT])
SENSOR, LAB, MOBILE = GRANT.recipients


def test_claims_survive_the_round_trip() -> None:
    assert claims.from_json(CLAIMS) == (GRANT,)
    assert GRANT.key_id == GRANT.commitment.hex()[:16]
    assert [host.name for host in GRANT.hosts] == ["lab", "mobile"]
    assert GRANT.verifier() == DEVICE.signer.public_key()
    assert GRANT.issuer == thumbprint(ISSUER.public_key())
    assert GRANT.sealed_for() == "sensor cam and hosts lab, mobile"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"sensor": "cam2"}, "first recipient"),
        ({"sensor": "../cam"}, "cannot be the name"),
        ({"epoch": 0}, "epoch 0"),
        ({"epoch": True}, "epoch True"),
        ({"epoch": 2**32}, "outside"),
        ({"not_before": -1}, "not_before -1"),
        ({"not_after": 253_402_300_800}, "not_after"),
        ({"not_after": NOW - 11}, "before it begins"),
        ({"issuer": "me"}, "issuer"),
        ({"sensor_key": bytes(31)}, "32 bytes"),
        ({"commitment": bytes(33)}, "32 bytes"),
        ({"sensor_key": bytes(32)}, "thumbprint of its signing key"),
        ({"recipients": ()}, "no recipients"),
        ({"recipients": (LAB, SENSOR)}, "first recipient"),
        ({"recipients": (SENSOR, LAB, SENSOR)}, "first recipient"),
        ({"serial": 0}, "serial 0"),
        ({"min_epoch": 2}, "min_epoch 2"),
        ({"status_max_age": 0}, "status_max_age 0"),
        ({"recipients": (SENSOR, LAB, replace(MOBILE, name="lab"))}, "same name"),
        ({"recipients": (SENSOR, LAB, replace(MOBILE, kid=LAB.kid))}, "same key"),
        ({"recipients": (SENSOR, *(Recipient(Kind.HOST, f"h{n}", f"{n:043}") for n in range(65)))}, "not 65"),
    ],
)
def test_contradictions_are_refused(changes: dict, words: str) -> None:
    with pytest.raises(InputError, match=words):
        replace(GRANT, **changes)


@pytest.mark.parametrize("member", sorted(CLAIMS))
@pytest.mark.parametrize("value", ["none", [], {}, "", "!", -1, 1.5])
def test_members_of_a_wrong_type_are_refused(member: str, value: object) -> None:
    with pytest.raises((InputError, PolicyError)):
        claims.from_json(CLAIMS | {member: value})


def test_a_grant_may_need_no_status_list() -> None:
    assert claims.from_json(CLAIMS | {"status_max_age": None}) == (GRANT,)
    assert claims.from_json(CLAIMS | {"status_max_age": 60})[0].status_max_age == 60


@pytest.mark.parametrize(
    "value", [None, [], "", {}, {"kind": "host", "name": "lab"}, {"kind": [], "name": 1, "kid": 2}]
)
def test_recipients_of_a_wrong_form_are_refused(value: object) -> None:
    with pytest.raises(InputError):
        claims.from_json(CLAIMS | {"recipients": [*CLAIMS["recipients"], value]})


def test_members_may_be_neither_missing_nor_more() -> None:
    with pytest.raises(InputError, match="missing or unknown"):
        claims.from_json(CLAIMS | {"extra": 1})
    with pytest.raises(InputError, match="missing or unknown"):
        claims.from_json({name: value for name, value in CLAIMS.items() if name != "issuer"})


def test_validity_includes_its_first_and_last_second() -> None:
    GRANT.check_validity(GRANT.not_before)
    GRANT.check_validity(GRANT.not_after)
    with pytest.raises(NotYetValidError, match=r"valid from 2027-01-15 07:59:50 UTC; it is 2027-01-15 07:59:49 UTC"):
        GRANT.check_validity(GRANT.not_before - 1)
    with pytest.raises(ExpiredGrantError, match=r"expired at 2027-01-15 08:00:10 UTC") as caught:
        GRANT.check_validity(GRANT.not_after + 1)
    assert isinstance(caught.value, ValidityError)
    assert "keyvault rotate --sensor cam" in caught.value.hint


def test_an_open_grant_shows_no_key() -> None:
    opened = OpenGrant(GRANT, b"secret-secret-secret-secret-secr")
    assert "secret" not in repr(opened)
    assert GRANT.key_id in repr(opened)


@pytest.mark.parametrize("name", ["", ".hidden", "-o", "a/b", "a b", "ä", "x" * 65, "a\n", None, 7, "..", "a\0"])
def test_names_are_file_names(name: object) -> None:
    with pytest.raises(InputError, match="cannot be the name of a sensor"):
        check_name(name, "sensor")


@pytest.mark.parametrize("name", ["a", "cam-1", "Lab_2.local", "9", "x" * 64])
def test_ordinary_names_are_allowed(name: str) -> None:
    assert check_name(name, "host") == name
