"""Positions on a grid are found from distances that grow with the way between them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from audit.embedding import turned
from audit.lattice import expected, grow, profile, refine_grid, roughness
from audit.mosaic import refine_pairs

SHAPE = (9, 12)
COUNT = SHAPE[0] * SHAPE[1]
RNG = np.random.default_rng(4)
TRUTH = RNG.permutation(COUNT)


def distance(truth: np.ndarray, noise: float = 0.02) -> np.ndarray:
    """Distances of neighbouring series: they grow ever slower, and are not measured exactly."""
    grid = np.indices(SHAPE).reshape(2, -1).T[truth]
    exact = np.sqrt(1 - np.exp(-cdist(grid, grid) / 6))
    wrong = np.random.default_rng(1).normal(1, noise, exact.shape)
    return exact * (wrong + wrong.T) / 2


def ring(guess: np.ndarray) -> np.ndarray:
    """The guess with all places on a rectangle moved on by one."""
    grid = np.arange(COUNT).reshape(SHAPE)[2:6, 3:9]
    way = np.concatenate([grid[0], grid[1:, -1], grid[-1, -2::-1], grid[-2:0:-1, 0]])
    moved = np.arange(COUNT)
    moved[way] = np.roll(way, 1)
    return moved[guess]


def test_the_profile_is_the_usual_distance_by_rows_and_columns() -> None:
    usual = profile(distance(TRUTH, 0), TRUTH, SHAPE)
    assert np.isinf(usual[0, 0])
    assert np.isinf(usual[3, 3])
    assert usual[1, 2] == pytest.approx(np.sqrt(1 - np.exp(-np.sqrt(5) / 6)))
    every = expected(usual, SHAPE)
    assert every[0, SHAPE[1] + 2] == every[SHAPE[1] + 2, 0] == usual[1, 2]
    assert np.isinf(every[0, SHAPE[1] - 1])


@pytest.mark.parametrize("wrong", ["swapped", "ring"])
def test_refining_puts_back_what_is_out_of_place(wrong: str) -> None:
    guess = TRUTH.copy()
    if wrong == "ring":
        guess = ring(guess)
    else:
        guess[:8] = guess[:8][::-1]
    measured = distance(TRUTH)
    assert (guess != TRUTH).any()
    assert np.array_equal(refine_grid(measured, guess, SHAPE), TRUTH)
    assert roughness(measured, TRUTH, SHAPE) < roughness(measured, guess, SHAPE)


def test_an_arrangement_grows_from_the_best_spot_of_a_crooked_one() -> None:
    measured = distance(TRUTH, 0.005)
    grown = grow(measured, ring(TRUTH), SHAPE)
    assert any(np.array_equal(view, TRUTH) for view in turned(refine_grid(measured, grown, SHAPE), SHAPE))


def test_growing_fills_the_grid_even_where_nothing_fits() -> None:
    noise = RNG.random((COUNT, COUNT))
    grown = grow(noise + noise.T, TRUTH, SHAPE)
    assert sorted(grown) == list(range(COUNT))


def test_pairs_share_their_place() -> None:
    truth = RNG.permutation(np.repeat(np.arange(COUNT), 2))
    guess = truth.copy()
    guess[[0, 1, 2, 3, 4, 5]] = truth[[1, 2, 3, 4, 5, 0]]
    found = refine_pairs(distance(truth), guess, SHAPE)
    assert np.array_equal(np.bincount(found), np.full(COUNT, 2))
    assert (found == truth).mean() > 0.97
