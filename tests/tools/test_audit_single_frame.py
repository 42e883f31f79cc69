"""One frame at a time: what stays near its place is found, what moves over the whole frame is not; jigsaws."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from audit import jigsaw
from audit.attack import Evidence, control_policy
from audit.attacks import single_frame
from audit.attacks.single_frame import describe
from audit.finding import Finding, Stand, Verdict
from audit.material import Material, make_material
from audit.subjects import subject
from keyvault.errors import InputError

SIDE, FRAMES, KNOWN = 16, 60, 240
RNG = np.random.default_rng(5)
Scenes = Callable[[int, int], np.ndarray]


def scenes(count: int, seed: int) -> np.ndarray:
    """Smooth pictures whose rows differ, grey but for a little noise."""
    noise = np.random.default_rng(seed).normal(size=(count, SIDE, SIDE, 1))
    smooth = gaussian_filter(noise, (0, 2, 6, 0))
    return np.clip(128 + 45 * smooth / smooth.std() + RNG.normal(size=(*smooth.shape[:3], 3)), 0, 255).astype(np.uint8)


def bright_or_dark(count: int, seed: int) -> np.ndarray:
    """Pictures that are bright below, or dark there and as a whole, of something wide, with a little noise."""
    rng = np.random.default_rng(seed)
    wide = np.linspace(-30, 30, SIDE)[:, None]
    slope = np.linspace(-60, 60, SIDE)[:, None, None] * rng.choice([-1, 1], (count, 1, 1, 1))
    level = 128 + 40 * np.sign(slope[:, -1:])
    return (level + slope + wide + rng.normal(0, 5, (count, SIDE, SIDE, 3))).clip(0, 255).astype(np.uint8)


def with_background(count: int, seed: int) -> np.ndarray:
    """The same background in all of them, and something before it."""
    return (0.8 * scenes(1, 9) + 0.2 * scenes(count, seed)).astype(np.uint8)


def attacked(words: str, stand: Stand, known: int = KNOWN, kind: Scenes = scenes) -> Finding:
    policy = subject(f"{SIDE}x{SIDE},{words}").policy
    images, others = kind(FRAMES, 1), kind(known, 2)
    evidence = Evidence(
        words,
        make_material(images, policy),
        make_material(images[:2], control_policy(policy)),
        others,
        np.full(known, -1),
    )
    return single_frame.run(evidence, stand, np.random.default_rng(0))


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(single_frame, "BROKEN", 0.3)


@pytest.mark.parametrize(
    ("words", "stand", "verdict"),
    [
        ("row", Stand.MEMORY, Verdict.FAIL),
        ("row", Stand.FILE, Verdict.PASS),
        ("default", Stand.MEMORY, Verdict.PASS),
        ("per-frame", Stand.FILE, Verdict.PASS),
        ("quad,row", Stand.MEMORY, Verdict.FAIL),
    ],
)
def test_a_frame_gives_away_what_its_scope_leaves_in_place(words: str, stand: Stand, verdict: Verdict) -> None:
    found = attacked(words, stand)
    assert found.verdict is verdict
    assert found.frames == FRAMES
    assert found.smallest_breaking == (1 if verdict is Verdict.FAIL else None)


def test_where_samples_move_over_the_whole_frame_its_histogram_is_left() -> None:
    assert attacked("default", Stand.MEMORY, kind=bright_or_dark).verdict is Verdict.FAIL
    assert attacked("default", Stand.FILE, kind=bright_or_dark).verdict in (Verdict.PASS, Verdict.INCONCLUSIVE)


def test_the_mean_scene_alone_breaks_no_control(monkeypatch: pytest.MonkeyPatch) -> None:
    assert attacked("row", Stand.MEMORY, kind=with_background).control_broke
    monkeypatch.setattr(single_frame, "describe", lambda frames, rows: np.zeros((len(frames), 1)))
    blind = attacked("row", Stand.MEMORY, kind=with_background)
    assert blind.chance > single_frame.BROKEN
    assert blind.verdict is Verdict.INCONCLUSIVE


@pytest.mark.parametrize(("words", "kind"), [("row", scenes), ("default", bright_or_dark)])
def test_a_mask_that_leaves_some_samples_as_they_are_is_told(
    words: str, kind: Scenes, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = make_material

    def leaking(*arguments: Any) -> Material:
        made = whole(*arguments)
        left = np.random.default_rng(3).random(made.file.shape) < 0.2
        return replace(made, file=np.where(left, made.memory, made.file))

    monkeypatch.setattr(single_frame, "make_material", leaking)
    monkeypatch.setitem(globals(), "make_material", leaking)
    found = attacked(words, Stand.FILE, known=600, kind=kind)
    assert found.control_broke
    assert found.verdict in (Verdict.WARN, Verdict.FAIL)


def test_a_control_that_holds_makes_it_inconclusive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(single_frame, "BROKEN", 1.0)
    assert attacked("row", Stand.FILE).verdict is Verdict.INCONCLUSIVE


def test_too_few_scenes_to_learn_from() -> None:
    with pytest.raises(InputError, match="200 known scenes, there are 100"):
        attacked("row", Stand.MEMORY, known=100)


def test_descriptions_are_blind_to_order_inside_bands_and_to_nothing_else() -> None:
    frames = RNG.integers(0, 256, (3, 8, 6, 3)).astype(np.float64)
    shuffled = frames.reshape(3, 4, 12, 3)[:, :, RNG.permutation(12)].reshape(frames.shape)
    assert np.allclose(describe(frames, 2), describe(shuffled, 2))
    assert not np.allclose(describe(frames, 1), describe(shuffled, 1))
    assert describe(frames, 3).shape[1] == 3 * describe(frames, 8).shape[1]  # rows 0-2, 3-5 and the two that are left


def test_pieces_are_put_together_by_their_edges() -> None:
    picture = gaussian_filter(RNG.normal(size=(32, 32, 3)), (4, 4, 0)) * 1000
    pieces = picture.reshape(4, 8, 4, 8, 3).swapaxes(1, 2).reshape(16, 8, 8, 3)
    order = RNG.permutation(16)
    solved = jigsaw.assemble(pieces[order], (4, 4))
    assert np.array_equal(order[solved], np.arange(16))


@pytest.mark.parametrize("shape", [(1, 7), (6, 1), (3, 5), (1, 1)])
def test_every_piece_is_used_once_in_any_shape(shape: tuple[int, int]) -> None:
    pieces = RNG.normal(size=(shape[0] * shape[1], 2, 2, 1))
    assert sorted(jigsaw.assemble(pieces, shape)) == list(range(len(pieces)))
