"""The learned inversion undoes what regression cannot; if its network does not, it says nothing of any policy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from audit.attack import Evidence, control_policy
from audit.attacks import inversion
from audit.attacks.inversion import Inversion, attacked, inverted, peak_ratio, row_orders, scaled, similarity
from audit.finding import Finding, Stand, Verdict
from audit.intervals import mean_interval
from audit.inversion_training import Budget, Pairs, invert, invert_linearly, regress, train
from audit.inverter import Inverter
from audit.material import Material
from keyvault.errors import InputError
from keyvault.policy import Cfa, Policy

SIDE = 8
SHAPE = (SIDE, SIDE)
STACKED = Policy(SIDE, SIDE, Cfa.NONE, 3, bits=8)


def scenes(count: int, seed: int) -> np.ndarray:
    smooth = gaussian_filter(np.random.default_rng(seed).normal(size=(count, SIDE, SIDE, 3)), (0, 1, 1, 0))
    return np.clip(0.5 + smooth, 0, 1).astype(np.float32).reshape(count, -1, 3)


def tables(count: int) -> np.ndarray:
    rng = np.random.default_rng(7)
    return np.stack([rng.permutation(SIDE**2) for _ in range(count)]).astype(np.int32)


def striped(count: int, seed: int) -> np.ndarray:
    """Scenes with stripes and scenes without, equally bright, so that no mean tells them apart: uint8 (n, 8, 8, 3)."""
    depth = 100 * np.random.default_rng(seed).integers(0, 2, (count, 1, 1, 1))
    stripes = np.where(np.arange(SIDE) // 2 % 2, 1, -1)[:, None]
    return np.broadcast_to(128 + depth * stripes, (count, SIDE, SIDE, 3)).astype(np.uint8)


def material(plain: np.ndarray, orders: np.ndarray, policy: Policy) -> Material:
    """Frames of scenes (n, h, w, 3) under orders, all of them or one."""
    orders = np.broadcast_to(orders, (len(plain), orders.shape[1]))
    stored = np.empty_like(plain.reshape(len(plain), -1, 3))
    np.put_along_axis(stored, orders[:, :, None].astype(np.int64), plain.reshape(stored.shape), axis=1)
    moved = stored.reshape(plain.shape)
    return Material(policy, moved, moved, plain, orders, np.full(len(plain), -1, np.int64))


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(inversion, "BUDGET", Budget(150, 16, 8, 2e-3))
    inversion.controls.cache_clear()
    yield
    inversion.controls.cache_clear()


def dull(count: int, seed: int) -> np.ndarray:
    """Scenes that are alike but for their brightness: uint8 (n, 8, 8, 3)."""
    level = np.random.default_rng(seed).integers(-60, 60, (count, 1, 1, 1))
    return (striped(1, 0) // 4 + 90 + level).astype(np.uint8)


def finding(orders: np.ndarray, shown: Callable[[int, int], np.ndarray] = striped) -> Finding:
    """What is said of scenes under a policy that moves photosites by these orders."""
    plain = shown(300, 0).astype(np.uint16)
    under = material(plain, orders, STACKED)
    fixed = material(plain, tables(1), control_policy(STACKED))
    evidence = Evidence("small", under, fixed, shown(500, 1), np.full(500, -1, np.int64))
    return inversion.run(evidence, Stand.MEMORY, np.random.default_rng(0))


def test_rows_break_and_name_no_least_number_of_frames() -> None:
    found = finding(row_orders(300, SHAPE, np.random.default_rng(3)))
    assert found.verdict is Verdict.FAIL
    assert found.smallest_breaking is None


@pytest.mark.parametrize("orders", [tables(1), tables(300)], ids=["fixed", "per frame"])
def test_without_its_network_the_attack_says_nothing(orders: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Inverter, "forward", lambda self, x: self.guess(x) + 0 * self.out.bias.sum())
    assert finding(orders).verdict is Verdict.INCONCLUSIVE


def test_a_network_that_says_worse_than_the_mean_scene_is_not_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    held = Pairs(alike(20, 1), tables(50), SHAPE)
    stored = held.stored(np.arange(20), np.arange(20))
    rng = np.random.default_rng(0)
    inverse = rng.permutation(SIDE**2)
    for way in ("invert", "invert_linearly"):
        monkeypatch.setattr(inversion, way, lambda _, frames, shape: 1 - frames[:, inverse])
    found = inverted(Pairs(alike(300, 0), tables(50), SHAPE), stored, held.plain, Budget(1, 2, 4), rng)
    assert np.allclose(found.guess, found.mean, atol=1e-6)
    assert np.allclose(found.scores, found.by_chance, atol=1e-4)


def alike(count: int, seed: int) -> np.ndarray:
    """Scenes of one brightness in every colour, so that none is told by it."""
    plain = scenes(count, seed)
    return 0.5 + (plain - plain.mean(1, keepdims=True)) / 2


def test_brightness_that_no_order_changes_is_told_of_every_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inversion, "BUDGET", Budget(1, 4, 4))
    monkeypatch.setattr(inversion.Controls, "broke", lambda *args: True)
    found = finding(tables(300), dull)
    assert found.verdict in (Verdict.WARN, Verdict.FAIL)
    assert "what the frame's brightness says" in found.note


def test_a_guess_worse_than_the_mean_scene_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inversion, "BUDGET", Budget(2, 4, 4))
    monkeypatch.setattr(inversion.Controls, "broke", lambda *args: True)
    monkeypatch.setattr(inversion, "attacked", lambda *args: replace(found := attacked(*args), guess=1 - found.truth))
    assert finding(tables(300)).verdict is Verdict.INCONCLUSIVE


def test_how_far_a_network_is_trusted_is_told_by_what_it_has_not_learned_from() -> None:
    learned, others = inversion._parted(Pairs(scenes(300, 0), tables(50), SHAPE))
    assert (len(learned.plain), len(others.plain), len(learned.tables), len(others.tables)) == (240, 60, 40, 10)
    assert not {one.tobytes() for one in learned.tables} & {one.tobytes() for one in others.tables}


def test_what_leaks_in_every_frame_is_seen_however_unlike_scenes_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inversion, "BUDGET", Budget(2, 4, 4))
    monkeypatch.setattr(inversion.Controls, "broke", lambda *args: True)

    seen: list[Inversion] = []

    def slightly_better(*args: Any) -> Inversion:
        found = attacked(*args)
        seen.append(replace(found, guess=found.mean + np.float32(0.02) * (found.truth - found.mean)))
        return seen[0]

    monkeypatch.setattr(inversion, "attacked", slightly_better)
    found = finding(tables(300))
    assert found.verdict in (Verdict.WARN, Verdict.FAIL)
    assert mean_interval(seen[0].scores, np.random.default_rng(0)).sure < found.chance


def test_controls_are_the_same_for_all_policies_of_one_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inversion, "BUDGET", Budget(2, 4, 4))
    for orders in (tables(1), tables(300)):
        finding(orders)
    assert inversion.controls.cache_info().hits == 1


@pytest.mark.parametrize("fixed", [True, False])
def test_only_an_order_that_stays_is_undone(fixed: bool) -> None:
    orders = np.repeat(tables(1), 50, axis=0) if fixed else tables(50)
    held = Pairs(scenes(20, 1), orders, SHAPE)
    stored = held.stored(np.arange(20), np.arange(20) % len(orders))
    pairs = Pairs(scenes(300, 0), orders, SHAPE)
    found = inverted(pairs, stored, held.plain, Budget(20, 16, 8), np.random.default_rng(0))
    ratio, mean = (peak_ratio(one, found.truth).mean() for one in (found.guess, found.mean))
    assert ratio > mean + 6 if fixed else ratio < mean + 1


@pytest.mark.parametrize("shape", [(7, 9), (33, 7), (40, 66)])
def test_frames_of_any_shape_are_inverted(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    plain = rng.random((6, shape[0] * shape[1], 1), np.float32)
    pairs = Pairs(plain, row_orders(3, shape, rng), shape)
    found = inverted(pairs, plain, plain, Budget(1, 2, 4), rng)
    assert found.guess.shape == (6, *shape, 1)
    network = train(pairs, Budget(1, 2, 4), rng)
    assert not np.array_equal(invert(network, plain, shape), invert_linearly(network, plain, shape))


def test_regression_in_single_precision_undoes_a_fixed_order() -> None:
    pairs = Pairs(scenes(300, 0), tables(1), SHAPE)
    stored = pairs.stored(np.arange(300), np.zeros(300, np.int64))
    linear = regress(stored, pairs.plain)
    assert linear.dtype == np.float32
    guess = np.einsum("npc,pq->nqc", stored, linear[:-1]) + linear[-1][:, None]
    assert np.abs(guess - pairs.plain).mean() < 0.02


def test_frames_of_twelve_bits_are_attacked_as_those_of_eight() -> None:
    plain = striped(300, 0).astype(np.uint16)
    known = scaled(striped(500, 1).astype(np.uint16).reshape(500, -1, 3), STACKED)
    deep = replace(STACKED, bits=12)
    scores = []
    for policy, samples in ((STACKED, plain), (deep, np.round(plain * (4095 / 255)).astype(np.uint16))):
        frames = material(samples, tables(1), policy)
        found = attacked(frames, known, Budget(10, 16, 8), np.random.default_rng(0))
        scores.append(found.scores.mean())
    assert scores[0] == pytest.approx(scores[1], abs=0.02)
    assert min(scores) > 0.5


@pytest.mark.parametrize(("policy", "what"), [(Policy(128, 64), "photosites"), (Policy(64, 6), "rows or columns")])
def test_frames_too_large_or_too_small_are_refused(policy: Policy, what: str) -> None:
    frames = np.zeros((300, policy.height, policy.width), np.uint16)
    under = Material(policy, frames, frames, frames, np.zeros((300, 1), np.int32), np.zeros(300, np.int64))
    evidence = Evidence("large", under, under, striped(500, 1), np.zeros(500, np.int64))
    with pytest.raises(InputError, match=what):
        inversion.run(evidence, Stand.MEMORY, np.random.default_rng(0))


def test_similarity_of_equal_and_of_unlike_pictures() -> None:
    a = scenes(4, 0).reshape(4, SIDE, SIDE, 3)
    assert similarity(a, a) == pytest.approx(np.ones(4))
    assert (similarity(a, 1 - a) < 0).all()
