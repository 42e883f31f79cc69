"""Attacks on values and keys through the real pipeline: what they say of the default policy, and of a fixed key."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from test_audit_statistics import STACKED, scenes

from audit.attack import Attack, Evidence, control_policy
from audit.attacks import fixed_pattern, histogram_classifier, reidentification, reuse, weak_seed, wrong_key
from audit.finding import Finding, Stand, Verdict
from audit.material import make_material
from audit.own_home import own_home
from keyvault.errors import InputError
from keyvault.policy import Policy, Unit

FIXED = control_policy(STACKED)


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weak_seed, "TRIED", 64)
    monkeypatch.setattr(fixed_pattern, "FRAMES", 100)
    monkeypatch.setattr(wrong_key, "FRAMES", 10)


def evidence(policy: Policy, frames: int = 60) -> Evidence:
    """Scenes of two classes: reddish ones and others."""
    labels = np.arange(frames + 300) % 2
    images = scenes(frames + 300) // 2
    images[..., 0] += (100 * labels)[:, None, None].astype(np.uint8)
    under, control = (make_material(images[:frames], one, labels[:frames]) for one in (policy, control_policy(policy)))
    return Evidence("small", under, control, images[frames:], labels[frames:])


def finding(attack: Attack, policy: Policy, stand: Stand, frames: int = 60) -> Finding:
    found = attack.run(evidence(policy, frames), stand, np.random.default_rng(0))
    assert found.attack == attack.name
    assert found.policy == "small"
    assert found.stand is stand
    assert found.interval.low <= found.score <= found.interval.high
    assert Finding.from_json(found.to_json()).to_json() == found.to_json()
    return found


@pytest.mark.parametrize(
    ("attack", "frames"),
    [(reidentification.ATTACK, 60), (histogram_classifier.ATTACK, 60), (reuse.ATTACK, 128), (fixed_pattern.ATTACK, 4)],
)
def test_the_fixed_key_fails_and_the_default_is_not_told_from_noise(attack: Attack, frames: int) -> None:
    broken, held = (finding(attack, policy, Stand.FILE, frames) for policy in (FIXED, STACKED))
    assert broken.verdict is Verdict.FAIL
    assert broken.smallest_breaking is not None
    assert held.verdict in (Verdict.PASS, Verdict.WARN)  # an interval misses chance in one case of twenty
    assert held.smallest_breaking is None
    assert held.score < broken.score / 2 + 0.15


@pytest.mark.parametrize("attack", [weak_seed.ATTACK, wrong_key.ATTACK])
@pytest.mark.parametrize("policy", [STACKED, FIXED], ids=["default", "fixed"])
def test_keys_are_neither_small_nor_nearly_right(attack: Attack, policy: Policy) -> None:
    found = finding(attack, policy, Stand.FILE, 8)
    assert found.verdict in (Verdict.PASS, Verdict.WARN)
    assert found.score < 0.01


def test_values_tell_the_scene_in_memory_whatever_the_policy() -> None:
    assert finding(reidentification.ATTACK, STACKED, Stand.MEMORY).verdict is Verdict.FAIL


def test_what_the_product_does_not_refuse_counts_as_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reuse, "refuses_an_older_key", lambda home: False)
    found = finding(reuse.ATTACK, STACKED, Stand.FILE, 128)
    assert found.verdict is Verdict.FAIL
    assert found.smallest_breaking is not None
    assert "an older key file: possible" in found.note


def test_too_few_frames_to_break_the_control_are_inconclusive() -> None:
    assert finding(reuse.ATTACK, STACKED, Stand.FILE, 2).verdict is Verdict.INCONCLUSIVE


def test_scenes_without_classes_train_no_classifier() -> None:
    known = evidence(STACKED)
    nameless = replace(known, labels=np.full(len(known.labels), -1, np.int64))
    for attack, stand in ((histogram_classifier.ATTACK, Stand.FILE), (wrong_key.ATTACK, Stand.MEMORY)):
        with pytest.raises(InputError, match="class"):
            attack.run(nameless, stand, np.random.default_rng(0))


def test_half_a_key_shows_in_the_positions() -> None:
    with own_home(STACKED) as home:
        opened = home.opened()
    frame = wrong_key.capture(STACKED, scenes(1), np.zeros(1, np.int64)).frames[0]
    whole = wrong_key.equal_places(opened, frame, range(256))
    half = wrong_key.equal_places(opened, frame, range(256), wrong_key.first_half)
    assert max(whole) < 10
    assert half[:128] == [STACKED.photosites] * 128
    assert max(half[128:]) < 10


@pytest.mark.parametrize(
    ("policy", "chance"),
    [
        (STACKED, 1 / 256),
        (replace(STACKED, scope="row"), 1 / 16),
        (replace(STACKED, scope="band:4"), 1 / 64),
        (replace(STACKED, unit=Unit.QUAD), 1 / 64),
    ],
)
def test_chance_of_a_place(policy: Policy, chance: float) -> None:
    assert wrong_key.chance_of_a_place(policy) == chance
    captured = wrong_key.capture(policy, scenes(1), np.zeros(1, np.int64))
    stayed = wrong_key.equal_places(captured.opened, captured.frames[0], range(256))
    assert sum(stayed) / 256 / policy.photosites == pytest.approx(chance, rel=0.5)


def test_even_samples() -> None:
    rng = np.random.default_rng(0)
    assert wrong_key.evenness(rng.integers(0, 4096, 20_000).astype(np.uint16), 4096) > 0.001
    assert wrong_key.evenness(rng.integers(0, 4000, 20_000).astype(np.uint16), 4096) < 1e-6
