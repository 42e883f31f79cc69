"""Known scenes give one permutation away, and no other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from test_audit_statistics import STACKED, scenes

from audit import photographs
from audit.attack import Attack, Evidence, control_policy
from audit.attacks import known_plaintext, noisy_plaintext
from audit.attacks.noisy_plaintext import match_nearest
from audit.finding import Finding, Stand, Verdict
from audit.material import make_material
from audit.pairs import guess, match, put_right
from audit.photographs import photographed
from audit.positions import Sensor
from audit.views import in_line, picture
from keyvault.policy import Cfa, Policy, Unit

FIXED = control_policy(STACKED)
MOSAIC = control_policy(Policy(24, 20, Cfa.GRBG))
BOTH = pytest.mark.parametrize(
    "attack", [known_plaintext.ATTACK, noisy_plaintext.ATTACK], ids=lambda attack: attack.name
)


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
    rough = photographed(plain, MOSAIC, rng)
    assert len(np.unique(rough)) <= photographs.STEPS
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
def test_positions_are_matched_inside_their_bands_whatever_the_policy(policy: Policy) -> None:
    images = np.random.default_rng(3).integers(0, 256, (5, policy.height, policy.width, 3), np.uint8)
    material = make_material(images, policy)
    sensor = Sensor(policy)
    plain, stored = sensor.in_line(material.plain), sensor.in_line(material.file)
    found = guess(plain[:4], stored[:4], sensor)
    assert sensor.found(found, material.tables[4]) == 1
    assert np.array_equal(found, sensor.stored(material.tables[4:])[0])
    assert np.array_equal(put_right(stored[4], found), plain[4])
    assert np.array_equal(sensor.as_picture(plain[4]), picture(in_line(material.plain)[4], policy))
    parts = sensor.parts()
    assert np.array_equal(np.concatenate(parts), np.arange(policy.photosites * 4 ** -(policy.unit is Unit.QUAD)))
    assert {len(part) for part in parts[:-1]} <= {policy.band_rows * policy.width // 4 ** (policy.unit is Unit.QUAD)}
    noise = np.random.default_rng(4).integers(0, 2**policy.bits, stored[:4].shape).astype(np.uint16)
    blind = guess(plain[:4], noise, sensor)
    assert all(np.array_equal(np.sort(blind[part]), part) for part in parts)


def test_the_noise_of_photographs_goes_with_the_bits_of_the_sensor() -> None:
    eight = np.random.default_rng(5).integers(0, 256, (600, 40, 1)).astype(np.uint16)  # more than go in one part
    wrong = []
    for bits in (8, 12, 14):
        policy = Policy(8, 8, bits=bits)
        plain = eight * 2 ** (bits - 8)
        rough = photographed(plain, policy, np.random.default_rng(6))
        assert rough.max() < 2**bits
        wrong.append((rough.astype(float) - plain)[100:].std() / 2**bits)
    assert wrong == pytest.approx([photographs.NOISE] * 3, rel=0.15)


@pytest.mark.parametrize("cfa", [Cfa.RGGB, Cfa.GBRG])
def test_greens_of_one_quad_may_stand_for_each_other_and_nothing_else(cfa: Cfa) -> None:
    policy = Policy(8, 6, cfa)
    table = np.random.default_rng(7).permutation(48).astype(np.int32)
    truth = np.argsort(table)
    green, other_green, red, far_green = (
        next(place for place in order if cfa[place // 8 % 2 * 2 + place % 2] == colour)
        for order, colour in (((0, 1), "G"), ((9, 8), "G"), ((0, 1, 8, 9), "R"), ((2, 3), "G"))
    )
    for first, second, wrong in ((green, other_green, 0), (green, red, 2), (green, far_green, 2)):
        swapped = truth.copy()
        swapped[table[[first, second]]] = truth[table[[second, first]]]
        assert (swapped == truth).mean() == pytest.approx(1 - 2 / 48)
        assert Sensor(policy).found(swapped, table) == pytest.approx(1 - wrong / 48)


@pytest.mark.parametrize("scope", ["frame", "row", "band:6", "band:5"])
@pytest.mark.parametrize("cfa", [Cfa.GRBG, Cfa.NONE])
def test_chance_is_what_permutations_at_random_have_in_common(cfa: Cfa, scope: str) -> None:
    policy = Policy(6, 20, cfa, scope=scope)
    sensor, rng = Sensor(policy), np.random.default_rng(8)
    drawn, truths = (sensor.drawn(2000, rng) for _ in range(2))
    shares = [sensor.found(one, np.argsort(other)) for one, other in zip(drawn, truths, strict=True)]
    assert np.mean(shares) == pytest.approx(sensor.chance(), abs=4 * np.std(shares) / np.sqrt(len(shares)))
    if cfa is Cfa.NONE or scope == "row":
        assert sensor.chance() == pytest.approx(sensor.chance_to_stay())
    else:
        assert sensor.chance() > 1.1 * sensor.chance_to_stay()
    quads = Sensor(replace(policy, unit=Unit.QUAD, scope="band:8" if cfa is Cfa.GRBG else "frame"))
    assert quads.chance() == pytest.approx(quads.chance_to_stay())


def attacked(policy: Policy, stand: Stand, control: Policy = FIXED, attack: Attack = known_plaintext.ATTACK) -> Finding:
    images = scenes(42)
    evidence = Evidence(
        "small", make_material(images, policy), make_material(images, control), images[:0], np.empty(0, np.int64)
    )
    found = attack.run(evidence, stand, np.random.default_rng(0))
    assert Finding.from_json(found.to_json()).to_json() == found.to_json()
    assert found.interval.low <= found.score <= found.interval.high
    assert found.attack == attack.name
    return found


def test_the_fixed_key_fails_by_a_single_pair() -> None:
    found = attacked(FIXED, Stand.FILE)
    assert (found.verdict, found.smallest_breaking, found.frames) == (Verdict.FAIL, 1, 42)
    assert found.score > 0.99
    assert "100.0%" in found.note
    shown = list(found.pictures.values())
    assert (shown[0] == shown[3]).mean() > 0.99
    assert (shown[0] == shown[1]).mean() < 0.2


@pytest.mark.parametrize("bits", [8, 12])
def test_photographs_break_the_fixed_key_by_more_pairs(bits: int) -> None:
    policy = replace(FIXED, bits=bits)
    found, exactly = (
        attacked(policy, Stand.FILE, policy, attack) for attack in (noisy_plaintext.ATTACK, known_plaintext.ATTACK)
    )
    assert found.verdict is Verdict.FAIL
    assert exactly.smallest_breaking == 1
    assert found.smallest_breaking in range(2, 6)


def test_a_mosaic_whose_quads_show_one_pixel_is_put_right() -> None:
    mosaic = control_policy(Policy(32, 32, Cfa.BGGR, bits=8))
    found = attacked(mosaic, Stand.FILE, mosaic)
    assert found.verdict is Verdict.FAIL
    assert found.score > 0.9
    assert "green" in found.note


def test_only_one_of_both_attacks_knows_scenes_better_than_a_photograph(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(photographs, "NOISE", 10.0)
    assert attacked(FIXED, Stand.FILE).verdict is Verdict.FAIL
    assert attacked(FIXED, Stand.FILE, attack=noisy_plaintext.ATTACK).verdict is Verdict.INCONCLUSIVE


@BOTH
@pytest.mark.parametrize(
    ("policy", "stand"),
    [
        (STACKED, Stand.FILE),
        (STACKED, Stand.MEMORY),
        (replace(STACKED, scope="row"), Stand.MEMORY),
        (replace(STACKED, unit=Unit.QUAD), Stand.MEMORY),
    ],
)
def test_frames_with_keys_of_their_own_stay_at_chance(policy: Policy, stand: Stand, attack: Attack) -> None:
    found = attacked(policy, stand, attack=attack)
    assert found.verdict in (Verdict.PASS, Verdict.WARN)  # keys are new in every run: one in a thousand warns
    assert found.smallest_breaking is None
    assert found.score < 3 * found.chance


@BOTH
def test_a_control_that_holds_makes_it_inconclusive(attack: Attack) -> None:
    assert attacked(FIXED, Stand.FILE, control=STACKED, attack=attack).verdict is Verdict.INCONCLUSIVE
