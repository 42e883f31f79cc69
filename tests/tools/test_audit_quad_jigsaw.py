"""Quads of a smooth scene are put together by their edges, those of noise are not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from audit.attack import Evidence
from audit.attacks import quad_jigsaw
from audit.attacks.quad_jigsaw import chance, neighbours, pieces_of, reached, solve
from audit.finding import Finding, Stand, Verdict
from audit.material import make_material
from audit.positions import Sensor
from keyvault.errors import InputError
from keyvault.policy import Cfa, Policy, Unit

SIDE, FRAMES = 16, 6
STACKED = Policy(SIDE, SIDE, Cfa.NONE, 3, bits=8, unit=Unit.QUAD)
MOSAIC = Policy(2 * SIDE, 2 * SIDE, Cfa.BGGR, bits=8, unit=Unit.QUAD)


def smooth(count: int = FRAMES) -> np.ndarray:
    noise = np.random.default_rng(1).normal(size=(count, 3 * SIDE, 3 * SIDE, 3))
    found = gaussian_filter(noise, (0, 4, 4, 0))[:, SIDE : 2 * SIDE, SIDE : 2 * SIDE]
    return np.clip(128 + 50 * found / found.std(), 0, 255).astype(np.uint8)


def noise(count: int = FRAMES) -> np.ndarray:
    return np.random.default_rng(2).integers(0, 256, (count, SIDE, SIDE, 3), np.uint8)


def test_neighbours_are_counted_right_and_below_and_not_across_bands() -> None:
    grid = np.arange(24).reshape(4, 6)
    assert neighbours(grid, 4) == neighbours(grid, 2) == neighbours(grid, 1) == 1
    assert neighbours(grid[:, ::-1], 4) == pytest.approx(18 / 38)  # those above each other are still
    assert neighbours(np.roll(grid, 2, axis=1), 4) == pytest.approx((16 + 18) / 38)
    assert neighbours(grid[[2, 3, 0, 1]], 2) == 1
    assert neighbours(grid.reshape(6, 4).T.reshape(4, 6), 4) < 0.2


@pytest.mark.parametrize(("shape", "rows"), [((4, 4), 4), ((4, 5), 2), ((5, 4), 2), ((3, 6), 1)])
def test_chance_is_what_random_arrangements_give(shape: tuple[int, int], rows: int) -> None:
    rng = np.random.default_rng(0)
    grid = np.arange(shape[0] * shape[1]).reshape(shape)

    def arranged() -> np.ndarray:
        parts = [grid[first : first + rows] for first in range(0, shape[0], rows)]
        return np.concatenate([rng.permutation(part.ravel()).reshape(part.shape) for part in parts])

    found = np.array([neighbours(arranged(), rows) for _ in range(4000)])
    assert abs(found.mean() - chance(shape, rows)) < 4 * found.std() / 4000**0.5


@pytest.mark.parametrize("policy", [STACKED, MOSAIC, replace(STACKED, scope="band:6"), replace(MOSAIC, scope="row")])
def test_stored_quads_are_traced_and_stay_in_their_bands(policy: Policy) -> None:
    material, sensor = make_material(noise(2), policy), Sensor(policy)
    frames, scenes = (sensor.in_line(one) for one in (material.memory, material.plain))
    for stored, plain, true in zip(frames, scenes, sensor.stored(material.tables), strict=True):
        assert np.array_equal(pieces_of(stored, policy), pieces_of(plain, policy)[true])
        solved, across = solve(stored, policy), policy.width // 2
        assert np.array_equal(np.sort(solved), np.arange(policy.photosites // 4))
        bands = np.arange(len(solved)) // across // (policy.band_rows // 2)
        assert np.array_equal(bands[solved], bands)
        assert np.array_equal(bands[true], bands)


@pytest.mark.parametrize(
    ("policy", "least"), [(STACKED, 0.25), (MOSAIC, 0.03), (replace(STACKED, scope="band:8"), 0.25)]
)
def test_a_smooth_scene_is_put_together_and_noise_is_not(policy: Policy, least: float) -> None:
    level = chance((policy.height // 2, policy.width // 2), policy.band_rows // 2)
    shares = []
    for images in (smooth(), noise()):
        material = make_material(images, policy)
        found, solved = reached(Sensor(policy).in_line(material.memory), material.tables, policy)
        assert (len(found), len(solved)) == (FRAMES, FRAMES)
        shares.append(found.mean())
    assert shares[0] > max(least, 5 * level)
    assert shares[1] < 3 * level


def finding(policy: Policy, stand: Stand, images: np.ndarray) -> Finding:
    material = make_material(images, policy)
    evidence = Evidence("small", material, material, images[:0], np.empty(0, np.int64))
    found = quad_jigsaw.run(evidence, stand, np.random.default_rng(0))
    assert Finding.from_json(found.to_json()).to_json() == found.to_json()
    return found


def test_rows_of_quads_break_in_memory_and_masked_ones_hold() -> None:
    rows = replace(STACKED, scope="row")
    open_to_all, masked = (finding(rows, stand, smooth(20)) for stand in (Stand.MEMORY, Stand.FILE))
    assert (open_to_all.verdict, open_to_all.smallest_breaking) == (Verdict.FAIL, 1)
    assert masked.verdict in (Verdict.PASS, Verdict.WARN)  # keys are new in every run: one in a thousand warns
    assert masked.smallest_breaking is None
    assert masked.score < open_to_all.score / 3


def test_scenes_that_no_jigsaw_puts_together_do_not_fail_and_the_control_breaks() -> None:
    found = finding(STACKED, Stand.MEMORY, noise(20))
    assert found.verdict in (Verdict.PASS, Verdict.WARN)
    assert found.score < 3 * found.chance


def random_order(frame: np.ndarray, policy: Policy) -> np.ndarray:
    return np.random.default_rng(int(frame.sum())).permutation(policy.photosites // 4)


def blank(frame: np.ndarray, policy: Policy) -> np.ndarray:
    return np.zeros_like(pieces_of(frame, policy))


def not_inverted(sensor: Sensor, tables: np.ndarray, right: Callable[..., np.ndarray] = Sensor.stored) -> np.ndarray:
    return np.argsort(right(sensor, tables), axis=1)


@pytest.mark.parametrize(
    ("room", "part", "broken"),
    [
        (quad_jigsaw, "solve", random_order),
        (quad_jigsaw, "pieces_of", blank),
        (Sensor, "stored", not_inverted),
    ],
)
@pytest.mark.parametrize("stand", [Stand.FILE, Stand.MEMORY])
def test_an_attack_with_a_broken_part_is_inconclusive(
    monkeypatch: pytest.MonkeyPatch, room: object, part: str, broken: Callable[..., np.ndarray], stand: Stand
) -> None:
    assert finding(STACKED, stand, smooth()).verdict is not Verdict.INCONCLUSIVE
    monkeypatch.setattr(room, part, broken)
    assert finding(STACKED, stand, smooth()).verdict is Verdict.INCONCLUSIVE


def test_quads_of_one_pixel_have_no_edges_and_are_inconclusive() -> None:
    assert finding(MOSAIC, Stand.MEMORY, smooth()).verdict is Verdict.INCONCLUSIVE


@pytest.mark.parametrize(
    ("policy", "said"),
    [
        (replace(STACKED, unit=Unit.PHOTOSITE), "there are no pieces"),
        (Policy(SIDE, SIDE, Cfa.RGGB, unit=Unit.QUAD), "16 x 16 photosites are fewer"),
        (Policy(8, SIDE, Cfa.NONE, 3, unit=Unit.QUAD), "8 x 16 photosites are fewer"),
        (Policy(66, 64, Cfa.NONE, 3, unit=Unit.QUAD), "a frame has 1056"),
    ],
)
def test_policies_that_are_no_jigsaw_are_refused(policy: Policy, said: str) -> None:
    factor = 1 if policy.cfa is Cfa.NONE else 2
    with pytest.raises(InputError, match=said):
        finding(policy, Stand.MEMORY, np.zeros((1, policy.height // factor, policy.width // factor, 3), np.uint8))
