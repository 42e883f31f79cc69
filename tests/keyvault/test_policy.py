"""Policies: what goes together, and that nothing but the named choices is taken for one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from keyvault.errors import InputError, PolicyError
from keyvault.policy import Cfa, FrameKeys, Policy, Protection, Unit

POLICY = Policy(64, 48)


@pytest.mark.parametrize(
    "policy",
    [
        POLICY,
        Policy(65_535, 32_767, Cfa.NONE, bits=16),
        Policy(33, 17, Cfa.NONE, 3, 8, scope="row"),
        Policy(64, 48, Cfa.GBRG, 1, 10, Unit.QUAD, "band:16"),
        Policy(64, 48, protection=Protection.SHUFFLE, frame_keys=FrameKeys.FIXED),
    ],
)
def test_a_policy_survives_the_round_trip(policy: Policy) -> None:
    again = Policy.from_json(policy.to_json())
    assert again == policy
    assert again.digest() == policy.digest()


@pytest.mark.parametrize(
    ("name", "value"),
    [("cfa", "none"), ("unit", "quad"), ("protection", "shuffle+mask"), ("frame_keys", "fixed"), ("cfa", Unit.QUAD)],
)
def test_a_string_is_not_taken_for_a_choice(name: str, value: Any) -> None:
    with pytest.raises(PolicyError, match=f"policy {name} must be a"):
        replace(POLICY, **{name: value})


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"width": 0}, "outside"),
        ({"width": 65_536}, "outside"),
        ({"width": 64.0}, "whole number"),
        ({"bits": True}, "whole number"),
        ({"bits": 7}, "bit depth 7"),
        ({"bits": 17}, "bit depth 17"),
        ({"samples_per_photosite": 2}, "2 samples"),
        ({"samples_per_photosite": 3}, "no colour filter array"),
        ({"width": 63}, "RGGB mosaic needs an even size"),
        ({"height": 47, "cfa": Cfa.NONE, "unit": Unit.QUAD}, "quads need an even size"),
        ({"width": 65_535, "height": 65_535, "cfa": Cfa.NONE}, "more than"),
        ({"frame_keys": FrameKeys.FIXED}, "mask twice"),
    ],
)
def test_what_does_not_go_together_is_refused(changes: dict, words: str) -> None:
    with pytest.raises(PolicyError, match=words):
        replace(POLICY, **changes)


@pytest.mark.parametrize(
    "scope",
    ["", "band", "band:", "band:0", "band:01", "band:+1", "band:\u0661", "band:1\n", "band:" + "9" * 5000, None, 4, []],
    ids=lambda scope: str(scope)[:12],
)
def test_other_scopes_are_refused(scope: Any) -> None:
    with pytest.raises(PolicyError, match="is not row, band:N or frame") as caught:
        replace(POLICY, scope=scope)
    assert len(str(caught.value)) < 120


def test_bands_fit_the_frame_and_its_unit() -> None:
    assert replace(POLICY, scope="band:48").band_rows == 48
    assert replace(POLICY, scope="row", unit=Unit.QUAD).band_rows == 2
    for scope, unit in (("band:49", Unit.PHOTOSITE), ("band:3", Unit.QUAD)):
        with pytest.raises(PolicyError, match="does not fit"):
            replace(POLICY, scope=scope, unit=unit)


@pytest.mark.parametrize("value", [None, [], "policy", {}, POLICY.to_json() | {"more": 1}])
def test_other_members_are_refused(value: Any) -> None:
    with pytest.raises(InputError, match="members"):
        Policy.from_json(value)


@pytest.mark.parametrize("member", sorted(POLICY.to_json()))
@pytest.mark.parametrize("value", [None, [], {}, "", -1, 1.5])
def test_members_of_a_wrong_type_are_refused(member: str, value: Any) -> None:
    with pytest.raises((InputError, PolicyError)):
        Policy.from_json(POLICY.to_json() | {member: value})
