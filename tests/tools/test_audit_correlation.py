"""The correlation attack breaks the fixed key, and is at chance on other policies, through the real pipeline."""

from __future__ import annotations

import re
from collections import OrderedDict
from functools import cache

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from audit.attack import Evidence, control_policy
from audit.attacks import correlation
from audit.attacks.correlation import Attempt, Step, arrange, attempt, by_frames, guessed
from audit.finding import Finding, Stand, Verdict
from audit.guesses import shares, upright
from audit.intervals import share_interval
from audit.material import Material, make_material
from audit.positions import Sensor
from audit.subjects import scene_size, subject
from keyvault.errors import InputError

SIDE, FRAMES = 16, 200
SHAPE = (SIDE, SIDE)


@cache
def scenes(count: int, side: int = SIDE) -> np.ndarray:
    """Smooth pictures, each with a tint that varies slowly over it."""
    noise = np.random.default_rng(1).normal(size=(2, count, 3 * side, 3 * side, 3))
    grey = gaussian_filter(noise[0, ..., :1], (0, 3, 3, 0))
    tint = gaussian_filter(noise[1], (0, 8, 8, 0))
    fine = gaussian_filter(noise[0], (0, 1, 1, 0))
    mixed = grey / grey.std() + 0.5 * tint / tint.std() + 0.2 * fine / fine.std()
    return np.clip(128 + 35 * mixed[:, side : 2 * side, side : 2 * side], 0, 255).astype(np.uint8)


def stored(order: np.ndarray, count: int = FRAMES) -> np.ndarray:
    return scenes(count).reshape(count, SIDE * SIDE, 3)[:, order].astype(np.float64)


@cache
def audited(words: str, stand: Stand = Stand.MEMORY) -> Finding:
    policy = subject(words).policy
    images = scenes(FRAMES, scene_size(policy)[0])
    material, control = (make_material(images, one) for one in (policy, control_policy(policy)))
    evidence = Evidence(words, material, control, images[:0], np.zeros(0, np.int64))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(correlation, "LADDER", (50, 100))
        return correlation.run(evidence, stand, np.random.default_rng(0))


@pytest.mark.parametrize("stand", [Stand.FILE, Stand.MEMORY])
def test_the_fixed_key_gives_every_position_away(stand: Stand) -> None:
    found = audited("16x16,fixed", stand)
    assert found.verdict is Verdict.FAIL
    assert found.score == 1
    assert found.smallest_breaking in (50, 100)
    assert re.search(r" 50: \S+ exact, SSIM \S+ \(mean of 4 sets\), ", found.note)
    assert "200: 100.0% exact, SSIM 1.00. " in found.note
    assert np.array_equal(found.pictures["put together from 200 frames"], found.pictures["scene"])
    assert not np.array_equal(found.pictures["private frame"], found.pictures["scene"])


@pytest.mark.parametrize(
    ("words", "stand"),
    [("16x16,per-frame", Stand.FILE), ("16x16,default", Stand.FILE), ("16x16,per-frame,row", Stand.MEMORY)],
)
def test_frames_with_permutations_of_their_own_give_none_away(words: str, stand: Stand) -> None:
    found = audited(words, stand)
    assert found.verdict is Verdict.PASS
    assert found.smallest_breaking is None
    assert found.score < 0.1
    assert found.score == pytest.approx(found.chance, abs=0.01)


def test_a_fixed_key_that_moves_quads_is_found_by_quads() -> None:
    policy = subject("32x32,quad,fixed").policy
    material = make_material(scenes(100, 32), policy)
    sensor = Sensor(policy)
    assert np.array_equal(
        sensor.in_line(material.plain), sensor.in_line(material.file)[:, np.argsort(sensor.stored(material.tables)[0])]
    )
    found = attempt(material, Stand.FILE, np.random.default_rng(0))
    assert found.exact == 1
    assert found.ssim == 1


def test_a_mosaic_falls_once_its_colours_are_told_apart() -> None:
    policy = subject("32x32,GRBG,fixed").policy
    material = make_material(scenes(FRAMES), policy)
    found = attempt(material, Stand.FILE, np.random.default_rng(0))
    assert found.exact > 0.95
    assert found.ssim > 0.95
    assert found.chance < 0.02
    frames = material.file.reshape(FRAMES, -1, 1).astype(np.float64)
    truth = np.argsort(material.tables[0]).astype(np.int64)
    blind = upright(arrange(frames, (32, 32)), truth, (32, 32))
    assert shares(blind, truth, (32, 32))[0] < found.exact / 2


def numbered(count: int, side: int = SIDE) -> Material:
    """Frames of nothing that are told apart by their labels."""
    policy = subject(f"{side}x{side},fixed").policy
    empty = np.zeros((count, side, side, 3), np.uint16)
    return Material(policy, empty, empty, empty, np.zeros((count, side * side), np.int32), np.arange(count))


def attempted(frames: int, exact: float) -> Attempt:
    share = share_interval(round(1024 * exact), 1024)
    return Attempt(frames, exact, share, exact, exact, 0.001, np.zeros((SIDE, SIDE, 3), np.uint8))


@pytest.mark.parametrize(("count", "side", "most"), [(1000, 32, 5), (1000, 64, 3), (200, 32, 5), (199, 32, 5)])
def test_a_step_takes_disjoint_sets_and_is_judged_by_all(
    monkeypatch: pytest.MonkeyPatch, count: int, side: int, most: int
) -> None:
    """Only all frames, and the lucky first ones, give their positions away."""
    taken: dict[int, list[np.ndarray]] = {}

    def attempt(material: Material, stand: Stand, generator: np.random.Generator) -> Attempt:
        taken.setdefault(len(material), []).append(material.labels)
        return attempted(len(material), 0.9 if len(material) == count or material.labels[0] == 0 else 0.2)

    monkeypatch.setattr(correlation, "attempt", attempt)
    steps = by_frames(numbered(count, side), Stand.FILE, np.random.default_rng(0))
    assert [one.frames for one in steps] == sorted(taken)
    assert [one.broke for one in steps] == [False] * (len(steps) - 1) + [True]
    assert len(steps) > 1
    for frames, used in taken.items():
        assert len(used) == min(most, count // frames)
        assert len(np.unique(np.concatenate(used))) == frames * len(used)
        assert frames == count or len(used) > 1


def test_one_lucky_set_does_not_break_a_step() -> None:
    luck = tuple(attempted(50, exact) for exact in (0.89, 0.87, 0.9, 0.46, 0.5))
    assert Step(luck[:1]).broke
    assert not Step(luck).broke
    assert Step(luck).exact == pytest.approx(0.724)
    assert Step(luck[:3]).broke
    assert not Step(luck[2:4]).broke


def test_it_makes_no_difference_which_permutation_was_used() -> None:
    for seed in (1, 2):
        truth = np.random.default_rng(seed).permutation(SIDE * SIDE)
        guess = arrange(stored(truth, 100), SHAPE)
        assert sorted(guess) == list(range(SIDE * SIDE))
        assert shares(upright(guess, truth, SHAPE), truth, SHAPE) == (1, 1)


def test_a_guess_is_turned_before_it_is_judged() -> None:
    truth = np.random.default_rng(3).permutation(12)
    mirrored = np.arange(12).reshape(3, 4)[:, ::-1].ravel()[truth]
    assert shares(mirrored, truth, (3, 4))[0] == 0
    assert np.array_equal(upright(mirrored, truth, (3, 4)), truth)


def test_the_last_guesses_are_remembered_and_no_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    arranged: list[np.ndarray] = []

    def arrange(frames: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
        arranged.append(frames)
        return np.arange(shape[0] * shape[1])

    monkeypatch.setattr(correlation, "arrange", arrange)
    monkeypatch.setattr(correlation, "_guesses", OrderedDict())
    monkeypatch.setattr(correlation, "_KEPT", 3)
    policy = subject("8x8,fixed").policy
    frames = np.random.default_rng(4).integers(0, 256, (9, 5, 8, 8, 3)).astype(np.uint16)
    for one in (0, 0, 1, 2, 0, 3, 0, 2, 1):
        guessed(frames[one], policy)
    assert [next(i for i in range(9) if (frames[i].ravel() == one.ravel()).all()) for one in arranged] == [
        0,
        1,
        2,
        3,
        1,
    ]
    guessed(frames[0, :4], policy)
    guessed(frames[0], subject("8x8,per-frame").policy)
    assert len(arranged) == 7
    assert len(correlation._guesses) == 3
    held = sum(one.cells.nbytes + one.colours.nbytes for one in correlation._guesses.values())
    assert held == 3 * 2 * 8 * policy.photosites


def test_large_frames_are_refused() -> None:
    policy = subject("128x128,fixed").policy
    material = make_material(np.zeros((1, 128, 128, 3), np.uint8), policy)
    evidence = Evidence("large", material, material, np.zeros((0, 128, 128, 3), np.uint8), np.zeros(0, np.int64))
    with pytest.raises(InputError, match="compares up to 4096 photosites"):
        correlation.run(evidence, Stand.FILE, np.random.default_rng(0))


@pytest.mark.parametrize("shape", [(2, 2), (2, 7), (5, 7), (14, 14)])
def test_small_grids_and_flat_frames_are_arranged_somehow(shape: tuple[int, int]) -> None:
    count = shape[0] * shape[1]
    for frames in (np.full((5, count, 1), 3.0), np.random.default_rng(0).normal(128, 30, (1, count, 3))):
        assert sorted(arrange(frames, shape)) == list(range(count))
