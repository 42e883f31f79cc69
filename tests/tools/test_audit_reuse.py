"""Masks used twice: found in frames that are given, taken off without a key, and never found where all are fresh."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from test_audit_statistics import STACKED, scenes

from audit import pads
from audit.attack import Evidence, control_policy
from audit.attacks import freshness, reuse
from audit.finding import Finding, Verdict
from audit.material import Material, make_material
from keyvault.errors import InputError
from keyvault.policy import Policy, Protection, Unit

FRAMES = 64
IMAGES = scenes(FRAMES + 300)
PAIR = slice(10, 12)


@pytest.fixture(scope="module")
def fresh() -> Material:
    return make_material(IMAGES[:FRAMES], STACKED)


def renumbered(material: Material, chosen: slice) -> Material:
    """The same scenes, some of them stored under the mask and in the order of the first of these."""
    parts = {name: getattr(material, name).copy() for name in ("file", "memory", "tables")}
    order = material.tables[chosen.start]
    mask = material.file[chosen.start].astype(int) - material.memory[chosen.start]
    for one in range(len(material))[chosen]:
        parts["tables"][one] = order
        parts["memory"][one].reshape(-1, 3)[order] = material.plain[one].reshape(-1, 3)
        parts["file"][one] = (parts["memory"][one] + mask) % 256
    return replace(material, **parts)


def finding(attack: object, material: Material) -> Finding:
    evidence = Evidence("small", material, material, IMAGES[FRAMES:], np.full(300, -1, np.int64))
    stand = attack.ATTACK.stands[0]
    return attack.run(evidence, stand, np.random.default_rng(0))


@pytest.mark.parametrize("attack", [freshness, reuse], ids=lambda one: one.NAME)
def test_fresh_masks_pass_and_one_pair_that_shares_a_mask_fails(attack: object, fresh: Material) -> None:
    held, broken = finding(attack, fresh), finding(attack, renumbered(fresh, PAIR))
    assert (held.verdict, held.smallest_breaking) == (Verdict.PASS, None)
    assert held.score == pytest.approx(held.chance)
    assert (broken.verdict, broken.smallest_breaking) == (Verdict.FAIL, 2)
    assert Finding.from_json(broken.to_json()).to_json() == broken.to_json()


def test_it_says_how_many_frames_share_a_mask(fresh: Material) -> None:
    groups = renumbered(renumbered(fresh, slice(0, 8)), slice(8, 24))
    assert "24 share their order with another one, and 24 their mask" in finding(freshness, groups).note
    assert "24 frames seem to share a mask" in finding(reuse, groups).note.split("Of as many")[0]


def test_a_mask_in_another_order_and_an_order_without_a_mask_are_found_too(fresh: Material) -> None:
    both = renumbered(fresh, PAIR)
    turned = {name: getattr(both, name).copy() for name in ("file", "memory", "tables")}
    turned["tables"][11] = STACKED.photosites - 1 - turned["tables"][11]
    for name in ("file", "memory"):
        turned[name][11] = turned[name][11, ::-1, ::-1]
    found = freshness.Repeated.of(replace(both, **turned))
    assert (int(found.orders.sum()), found.masks.nonzero()[0].tolist()) == (0, [10, 11])
    bare = replace(both, policy=replace(STACKED, protection=Protection.SHUFFLE), file=both.memory)
    found = freshness.Repeated.of(bare)
    assert (int(found.orders.sum()), int(found.masks.sum())) == (2, 0)


def test_what_the_product_does_not_refuse_counts_as_broken(fresh: Material, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(freshness, "refuses_an_older_key", lambda home: False)
    found = finding(freshness, fresh)
    assert found.verdict is Verdict.FAIL
    assert "an older key file: possible" in found.note


def test_a_look_that_finds_nothing_in_the_control_is_inconclusive(
    fresh: Material, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(freshness, "_repeated", lambda rows: np.zeros(len(rows), np.bool_))
    assert finding(freshness, fresh).verdict is Verdict.INCONCLUSIVE


def test_too_few_frames_to_break_the_control_are_inconclusive(fresh: Material) -> None:
    assert finding(reuse, fresh.first(2)).verdict is Verdict.INCONCLUSIVE


@pytest.mark.parametrize("policy", [control_policy(STACKED), replace(STACKED, protection=Protection.SHUFFLE)])
def test_where_there_is_no_mask_none_is_taken_off(policy: Policy, fresh: Material) -> None:
    with pytest.raises(InputError, match="no mask"):
        finding(reuse, replace(fresh, policy=policy, file=fresh.memory))


@pytest.mark.parametrize(
    "policy", [control_policy(STACKED), replace(STACKED, width=4, height=4, unit=Unit.QUAD)], ids=["fixed", "tiny"]
)
def test_where_orders_are_the_same_anyway_nobody_looks(policy: Policy, fresh: Material) -> None:
    with pytest.raises(InputError, match=r"nothing has to be new|by chance"):
        finding(freshness, replace(fresh, policy=policy))


@pytest.mark.parametrize("levels", [256, 4096])
def test_a_mask_used_for_many_frames_comes_off_and_fresh_ones_do_not(levels: int) -> None:
    rng = np.random.default_rng(0)
    images = scenes(600).reshape(600, -1)[:, ::7].astype(np.uint16) * (levels // 256)
    usual = pads.Usual.of(images[300:], levels)
    plain = images[:300] + rng.integers(0, levels // 256, images[:300].shape).astype(np.uint16)
    mask = rng.integers(0, levels, plain.shape[1]).astype(np.int64)
    fresh = rng.integers(0, levels, plain.shape)
    for masks, broken in ((mask, True), (fresh, False)):
        stored = ((plain + masks) % levels).astype(np.uint16)
        bare = pads.without(stored, pads.likeliest_mask(stored, usual), levels)
        off = pads.errors(bare, plain, levels)
        assert off.max() <= levels // 2
        assert (np.median(off) < usual.near) == broken
        assert (pads.near(bare, plain, usual, axis=0).mean() > 0.5) == broken
        assert pads.under_one_mask(stored[:20], levels)[1] == broken


def test_the_best_constant_guess() -> None:
    usual = np.array([0.1, 0, 0.4, 0.4, 0, 0.1])
    assert pads.best_constant(usual, 0) == 2
    assert pads.best_constant(usual, 1) in (2, 3)
    assert pads.best_constant(usual[[3, 4, 5, 0, 1, 2]], 1) in (0, 5)  # the shorter way round
