"""Attacks on values and keys through the real pipeline: what they say of the default policy, and of a fixed key."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from test_audit_statistics import STACKED, scenes

from audit import photographs
from audit.attack import OF_THE_POLICY, Attack, Evidence, control_policy
from audit.attacks import fixed_pattern, histogram_classifier, reidentification, weak_seed, wrong_key
from audit.finding import Finding, Stand, Verdict
from audit.intervals import paired_interval, share_interval
from audit.material import Material, make_material
from audit.own_home import own_home
from audit.positions import Sensor
from audit.views import in_line
from inference.session import ShuffledFrame
from keyvault import grant
from keyvault.errors import InputError
from keyvault.policy import Cfa, Policy, Unit

FIXED = control_policy(STACKED)


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weak_seed, "TRIED", 64)
    monkeypatch.setattr(fixed_pattern, "FRAMES", 100)
    monkeypatch.setattr(wrong_key, "FRAMES", 10)


def evidence(policy: Policy, frames: int = 60, every: int = 2) -> Evidence:
    """Scenes of two classes: reddish ones, every second or so, and others."""
    labels = (np.arange(frames + 300) % every == 0).astype(np.int64)
    images = scenes(frames + 300) // 2
    images[..., 0] += (100 * labels)[:, None, None].astype(np.uint8)
    under, control = (make_material(images[:frames], one, labels[:frames]) for one in (policy, control_policy(policy)))
    return Evidence("small", under, control, images[frames:], labels[frames:])


def finding(attack: Attack, policy: Policy, stand: Stand, frames: int = 60, every: int = 2) -> Finding:
    found = attack.run(evidence(policy, frames, every), stand, np.random.default_rng(0))
    assert found.attack == attack.name
    assert found.policy == "small"
    assert found.stand is stand
    assert found.interval.low <= found.score <= found.interval.high
    assert Finding.from_json(found.to_json()).to_json() == found.to_json()
    return found


@pytest.mark.parametrize(
    ("attack", "frames"),
    [(reidentification.ATTACK, 60), (histogram_classifier.ATTACK, 60), (fixed_pattern.ATTACK, 4)],
)
def test_the_fixed_key_fails_and_the_default_is_not_told_from_noise(attack: Attack, frames: int) -> None:
    broken, held = (finding(attack, policy, Stand.FILE, frames) for policy in (FIXED, STACKED))
    assert broken.verdict is Verdict.FAIL
    assert broken.smallest_breaking is not None
    assert held.control_broke
    assert held.verdict is not Verdict.FAIL  # inconclusive if so few frames leave chance and a fail open
    assert held.smallest_breaking is None
    assert held.score < broken.score / 2 + 0.15


@pytest.mark.parametrize(("attack", "stand"), [(weak_seed.ATTACK, Stand.MEMORY), (wrong_key.ATTACK, Stand.FILE)])
@pytest.mark.parametrize("policy", [STACKED, FIXED], ids=["default", "fixed"])
def test_keys_are_neither_small_nor_nearly_right(attack: Attack, stand: Stand, policy: Policy) -> None:
    found = finding(attack, policy, stand, 12)
    assert found.verdict in (Verdict.PASS, Verdict.WARN)
    assert found.score < 0.01


@pytest.mark.parametrize(
    "moves", [{}, {"unit": Unit.QUAD}, {"scope": "row"}, {"scope": "band:4", "unit": Unit.QUAD}], ids=str
)
def test_a_small_seed_is_found_whatever_the_policy_moves(
    moves: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = replace(STACKED, **moves)
    held = evidence(policy)
    frames, tables = weak_seed.weakly_shuffled(in_line(held.material.plain), Sensor(policy), np.random.default_rng(5))
    drawn = replace(held.material, memory=frames.reshape(held.material.memory.shape), tables=tables)
    found = weak_seed.run(replace(held, material=drawn), Stand.MEMORY, np.random.default_rng(0))
    assert (found.verdict, found.score) == (Verdict.FAIL, 1)


def test_no_seed_is_looked_for_under_a_mask() -> None:
    with pytest.raises(InputError, match="masked"):
        finding(weak_seed.ATTACK, STACKED, Stand.FILE)


@pytest.fixture
def public_mask(monkeypatch: pytest.MonkeyPatch) -> None:
    """Masks under a key that everybody knows, in the camera and on the host."""
    derived = grant.derive_frame_secrets
    monkeypatch.setattr(grant, "derive_frame_secrets", lambda *one: replace(derived(*one), mask_key=bytes(32)))


@pytest.mark.usefixtures("public_mask")
def test_a_mask_without_a_secret_fails_at_the_file() -> None:
    found = finding(wrong_key.ATTACK, STACKED, Stand.FILE, 12)
    assert (found.score, found.verdict) == (1, Verdict.FAIL)
    assert "values right with the mask" in found.unit


@pytest.mark.usefixtures("public_mask")
def test_a_mask_without_a_secret_fails_in_memory(large: Evidence) -> None:
    found = wrong_key.run(large, Stand.MEMORY, np.random.default_rng(0))
    assert (found.score, found.verdict) == (1, Verdict.FAIL)
    assert found.unit.endswith("a wrong mask")


def test_a_class_that_most_frames_have_is_not_told_from_noise() -> None:
    held, broken = (finding(histogram_classifier.ATTACK, one, Stand.FILE, 100, every=5) for one in (STACKED, FIXED))
    assert held.chance == broken.chance == 0.8
    assert (held.verdict, broken.verdict) == (Verdict.PASS, Verdict.FAIL)


def test_a_class_is_told_where_a_mask_leaves_some_samples_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    def leaking(*arguments: Any) -> Material:
        made = make_material(*arguments)
        left = np.random.default_rng(3).random(made.file.shape) < 0.3
        return replace(made, file=np.where(left, made.memory, made.file))

    given = evidence(STACKED, 100)
    monkeypatch.setattr(histogram_classifier, "make_material", leaking)
    material = leaking(given.material.plain.astype(np.uint8), STACKED, given.material.labels)
    found = histogram_classifier.run(replace(given, material=material), Stand.FILE, np.random.default_rng(0))
    assert found.control_broke
    assert found.score > 0.9  # to who has learned from plain scenes, such frames say less


@pytest.mark.parametrize("bits", [8, 12])
@pytest.mark.parametrize("attack", [reidentification.ATTACK, histogram_classifier.ATTACK], ids=lambda one: one.name)
def test_values_tell_the_scene_in_memory_whatever_the_policy(attack: Attack, bits: int) -> None:
    assert finding(attack, replace(STACKED, bits=bits), Stand.MEMORY).verdict is Verdict.FAIL


def test_the_scene_is_known_by_a_photograph(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(photographs, "NOISE", 10.0)
    assert finding(reidentification.ATTACK, STACKED, Stand.MEMORY).verdict is Verdict.INCONCLUSIVE


def test_scenes_without_classes_train_no_classifier() -> None:
    known = evidence(STACKED)
    none = np.full(len(known.labels), -1, np.int64)
    nameless = replace(known, labels=none, control=replace(known.control, labels=none[: len(known.control)]))
    for attack, stand in ((histogram_classifier.ATTACK, Stand.FILE), (wrong_key.ATTACK, Stand.MEMORY)):
        with pytest.raises(InputError, match="class"):
            attack.run(nameless, stand, np.random.default_rng(0))


def test_attacks_that_make_their_own_frames_want_none_and_say_so() -> None:
    for attack in (wrong_key.ATTACK, fixed_pattern.ATTACK):
        assert attack.frames_needed == 0
        assert OF_THE_POLICY in finding(attack, STACKED, Stand.FILE, 1).note


def test_only_scenes_of_the_networks_size_are_classified_under_wrong_keys() -> None:
    with pytest.raises(InputError, match="32x32"):
        finding(wrong_key.ATTACK, STACKED, Stand.MEMORY)


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> Evidence:
    """Frames of 32 x 32, of which a stand-in for the network says how many samples are where they were."""
    policy = Policy(32, 32, Cfa.NONE, 3, bits=8)
    labels = np.arange(10) % 2
    images = np.random.default_rng(0).integers(0, 256, (20, 32, 32, 3), np.uint8)
    under, control = (make_material(images[:10], one, labels) for one in (policy, control_policy(policy)))
    plain = under.plain

    def said(network: object, settings: object, frames: list[ShuffledFrame]) -> torch.Tensor:
        same = [(one.permutation.undo(one.samples) == scene).mean() for one, scene in zip(frames, plain, strict=True)]
        return torch.from_numpy(np.where(np.array(same) > 0.5, labels, 2))

    monkeypatch.setattr(wrong_key, "classes", said)
    return Evidence("small", under, control, images[10:], labels)


def test_a_key_that_is_one_bit_off_is_as_good_as_any(large: Evidence) -> None:
    found = wrong_key.run(large, Stand.MEMORY, np.random.default_rng(0))
    assert (found.score, found.chance, found.verdict) == (0, 0, Verdict.PASS)
    assert "the right key 100.0%, wrong positions 0.0%, a wrong mask 0.0%" in found.note


def test_a_key_whose_bits_do_not_count_fails(large: Evidence, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wrong_key, "flipped", lambda key, bit: key)
    found = wrong_key.run(large, Stand.MEMORY, np.random.default_rng(0))
    assert (found.score, found.verdict) == (1, Verdict.FAIL)


def test_a_network_that_is_right_by_chance_is_not_told_from_that() -> None:
    rng = np.random.default_rng(0)
    hard = rng.random(300) < 0.5
    hits, by_chance = (~hard & (rng.random(300) < 0.5) for _ in range(2))
    found = paired_interval(hits, by_chance, rng)
    assert found.low <= by_chance.mean() <= found.high
    assert found.low <= hits.mean() <= found.high
    better = paired_interval(hits | (rng.random(300) < 0.3), by_chance, rng)
    assert better.low > by_chance.mean()


@pytest.mark.parametrize("unit", [Unit.PHOTOSITE, Unit.QUAD])
def test_keys_that_are_unrelated_are_seldom_taken_for_alike(unit: Unit) -> None:
    sensor = Sensor(Policy(64, 64, unit=unit))
    rows, columns = sensor.grid
    stayed = np.random.default_rng(0).poisson(256, 1000)
    intervals = [share_interval(int(count), 256 * rows * columns) for count in stayed]
    assert 0.01 < np.mean([one.low > sensor.chance_to_stay() for one in intervals]) < 0.05


def captured(policy: Policy) -> wrong_key.Captured:
    return wrong_key.capture(policy, scenes(1).astype(np.uint16), np.zeros(1, np.int64))


def test_half_a_key_shows_in_the_positions() -> None:
    with own_home(STACKED) as home:
        opened = home.opened()
    frame = captured(STACKED).frames[0]
    whole = wrong_key.equal_places(opened, frame, range(256))
    half = wrong_key.equal_places(opened, frame, range(256), wrong_key.first_half)
    assert max(whole) < 10
    assert half[:128] == [STACKED.photosites] * 128
    assert max(half[128:]) < 10


@pytest.mark.parametrize(("policy", "count"), [(STACKED, 256), (replace(STACKED, unit=Unit.QUAD), 64)])
def test_what_moves_as_one_is_counted_once(policy: Policy, count: int) -> None:
    under = captured(policy)
    assert wrong_key.equal_places(under.opened, under.frames[0], range(2), lambda key: bytes(len(key))) == [count] * 2


@pytest.mark.parametrize(
    ("policy", "chance"),
    [
        (STACKED, 1 / 256),
        (replace(STACKED, scope="row"), 1 / 16),
        (replace(STACKED, scope="band:4"), 1 / 64),
        (replace(STACKED, unit=Unit.QUAD), 1 / 64),
    ],
)
def test_one_position_of_each_band_stays_by_chance(policy: Policy, chance: float) -> None:
    sensor = Sensor(policy)
    assert sensor.chance_to_stay() == chance
    under = captured(policy)
    stayed = wrong_key.equal_places(under.opened, under.frames[0], range(256))
    assert sum(stayed) / 256 / np.prod(sensor.grid) == pytest.approx(chance, rel=0.5)


def test_half_a_key_shows_in_the_values_too() -> None:
    under = captured(STACKED)
    whole = wrong_key.equal_values(under.opened, under.frames[0], range(256))
    half = wrong_key.equal_values(under.opened, under.frames[0], range(120, 136), wrong_key.first_half)
    size = under.frames[0].samples.size
    assert sum(whole) / 256 / size == pytest.approx(1 / 256, rel=0.2)
    assert half[:8] == [size] * 8
    assert max(half[8:]) < size / 20


def test_even_samples() -> None:
    rng = np.random.default_rng(0)
    assert wrong_key.evenness(rng.integers(0, 4096, 20_000).astype(np.uint16), 4096) > 0.001
    assert wrong_key.evenness(rng.integers(0, 4000, 20_000).astype(np.uint16), 4096) < 1e-6
