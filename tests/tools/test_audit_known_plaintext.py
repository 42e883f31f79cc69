"""Known scenes give one permutation away, and no other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from test_audit_statistics import STACKED, scenes

from audit.attack import Evidence, control_policy
from audit.attacks import known_plaintext
from audit.attacks.known_plaintext import bands, exact, guess, match, match_nearest, photographed, put_right
from audit.finding import Finding, Stand, Verdict
from audit.material import make_material
from audit.views import in_line
from keyvault.policy import Cfa, Policy, Unit

FIXED = control_policy(STACKED)
MOSAIC = control_policy(Policy(24, 20, Cfa.GRBG))


@pytest.mark.parametrize("how", [match, match_nearest])
@pytest.mark.parametrize("same", [True, False])
def test_known_pairs_give_one_permutation_away_and_no_other(how: Callable, same: bool) -> None:
    rng = np.random.default_rng(0)
    plain = rng.integers(0, 4096, (3, 400, 1)).astype(np.uint16)
    order = rng.permutation(400)
    private = plain[:, order] if same else np.stack([one[rng.permutation(400)] for one in plain])
    share = (how(plain, private) == order).mean()
    assert share > 0.99 if same else share < 0.03


@pytest.mark.parametrize("how", [match, match_nearest])
def test_values_that_differ_are_put_right_to_the_last(how: Callable) -> None:
    rng = np.random.default_rng(1)
    plain, order = rng.permutation(400).astype(np.uint16).reshape(1, 400, 1), rng.permutation(400)
    assert np.array_equal(how(plain, plain[:, order]), order)


@pytest.mark.parametrize("how", [match, match_nearest])
@pytest.mark.parametrize("levels", [1, 7, 200])
def test_every_position_is_matched_once_and_with_an_equal_one(how: Callable, levels: int) -> None:
    rng = np.random.default_rng(levels)
    plain, order = rng.integers(0, levels, (2, 300, 1)).astype(np.uint16), rng.permutation(300)
    found = how(plain, plain[:, order])
    assert np.array_equal(np.sort(found), np.arange(300))
    assert np.array_equal(plain[:, found], plain[:, order])


def test_photographs_of_the_scenes_are_enough_where_values_lie_apart() -> None:
    rng = np.random.default_rng(2)
    plain, order = rng.integers(0, 4096, (3, 400, 3)).astype(np.uint16), rng.permutation(400)
    rough = photographed(plain, rng)
    assert len(np.unique(rough)) <= known_plaintext.STEPS
    assert (np.abs(rough.astype(int) - plain) < 0.1 * 4096).all()
    assert (rough != plain).mean() > 0.9
    assert (match_nearest(rough, plain[:, order]) == order).mean() > 0.95
    assert (match(rough, plain[:, order]) == order).mean() < 0.5


@pytest.mark.parametrize(
    "policy",
    [
        FIXED,
        MOSAIC,
        replace(FIXED, scope="row"),
        replace(MOSAIC, scope="band:6"),
        replace(FIXED, unit=Unit.QUAD),
        replace(MOSAIC, unit=Unit.QUAD, scope="band:8"),
    ],
)
def test_pieces_are_matched_inside_their_bands_whatever_the_policy(policy: Policy) -> None:
    images = np.random.default_rng(3).integers(0, 256, (5, policy.height, policy.width, 3), np.uint8)
    material = make_material(images, policy)
    plain, stored = in_line(material.plain), in_line(material.file)
    found = guess(plain[:4], stored[:4], policy)
    assert exact(found, material.tables[4]) == 1
    assert np.array_equal(put_right(stored[4], found), plain[4])
    parts = bands(policy)
    assert np.array_equal(np.sort(np.concatenate([part.ravel() for part in parts])), np.arange(policy.photosites))
    noise = np.random.default_rng(4).integers(0, 2**policy.bits, stored[:4].shape).astype(np.uint16)
    blind = guess(plain[:4], noise, policy)
    assert all(np.array_equal(np.sort(blind[part], axis=None), np.sort(part, axis=None)) for part in parts)


def attacked(policy: Policy, stand: Stand, control: Policy = FIXED) -> Finding:
    images = scenes(40)
    evidence = Evidence(
        "small", make_material(images, policy), make_material(images, control), images[:0], np.empty(0, np.int64)
    )
    found = known_plaintext.run(evidence, stand, np.random.default_rng(0))
    assert Finding.from_json(found.to_json()).to_json() == found.to_json()
    assert found.interval.low <= found.score <= found.interval.high
    return found


def test_the_fixed_key_fails_by_a_single_pair() -> None:
    found = attacked(FIXED, Stand.FILE)
    assert (found.verdict, found.smallest_breaking, found.frames) == (Verdict.FAIL, 1, 40)
    assert found.score > 0.99
    assert "100.0%" in found.note
    shown = list(found.pictures.values())
    assert (shown[0] == shown[3]).mean() > 0.99
    assert (shown[0] == shown[1]).mean() < 0.2


@pytest.mark.parametrize(
    ("policy", "stand"),
    [
        (STACKED, Stand.FILE),
        (STACKED, Stand.MEMORY),
        (replace(STACKED, scope="row"), Stand.MEMORY),
        (replace(STACKED, unit=Unit.QUAD), Stand.MEMORY),
    ],
)
def test_frames_with_keys_of_their_own_stay_at_chance(policy: Policy, stand: Stand) -> None:
    found = attacked(policy, stand)
    assert found.verdict in (Verdict.PASS, Verdict.WARN)  # an interval lies above chance in one case of forty
    assert found.smallest_breaking is None
    assert found.score < 3 * found.chance


def test_a_control_that_holds_makes_it_inconclusive() -> None:
    assert attacked(FIXED, Stand.FILE, control=STACKED).verdict is Verdict.INCONCLUSIVE
