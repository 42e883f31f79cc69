"""Private frames of a mosaic sensor under one permutation: colours are told apart first, and each is put on its grid.

Luminance is much the same from one photosite to the next, whatever its colour; what is left without it goes up and
down with the scene's tint, alike for all photosites of a colour.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.vq import kmeans2
from scipy.linalg import eigh
from scipy.optimize import linear_sum_assignment
from scipy.sparse import csr_matrix
from scipy.spatial.distance import cdist

from audit.embedding import distances, turned
from audit.lattice import expected, profile, refine

Floats = NDArray[np.float64]
Places = NDArray[np.int64]
#: From frames float64 (n, p, c) under one permutation and the grid's shape to places int64 (p,).
Arrange = Callable[[Floats, tuple[int, int]], Places]
SINGLE, OTHER, DOUBLE = range(3)  # two colours that a quad holds once, and the one that it holds twice
_AROUND, _LOCAL = 60, 20
_STARTS, _ROUNDS = 5, 3
_NEAREST = 5
_LEAST = 1e-9


def standardised(frames: Floats) -> Floats:
    """Each position over all frames with mean 0 and standard deviation 1: (n, p) to (p, n)."""
    series = (frames - frames.mean(axis=0)) / np.maximum(frames.std(axis=0), 1e-9)
    return np.ascontiguousarray(series.T)


def classes(series: Floats, alike: Floats, sized: Callable[[Floats], Places], generator: np.random.Generator) -> Places:
    """The colour of each position: int64 (p,).

    Args:
        series: (p, n), standardised.
        alike: (p, p), their correlations.
        sized: from how well each of three colours fits each position, (p, 3), to colours as many as there are of each.
        generator: draws where the clustering starts.
    """
    left = series - _mean_of(_most_alike(alike, _AROUND)) @ series
    frames = left.shape[1]
    points = left @ eigh(left.T @ left, subset_by_index=[frames - 2, frames - 1])[1]
    found = [kmeans2(points, 3, minit="++", rng=generator) for _ in range(_STARTS)]
    colours = np.asarray(min(found, key=lambda one: float(((points - one[0][one[1]]) ** 2).sum()))[1], np.int64)
    for _ in range(_ROUNDS):
        colours = sized(_fits(series, alike, colours))
    return colours


def _most_alike(alike: Floats, count: int) -> Places:
    return np.argpartition(-alike, min(count, alike.shape[1] - 1), axis=1)[:, :count]


def _mean_of(chosen: Places) -> csr_matrix:
    """The matrix that takes the mean of the chosen ones, (p, k), for each position."""
    count, width = chosen.shape
    weights = np.full(chosen.size, 1 / width)
    return csr_matrix((weights, chosen.ravel(), np.arange(count + 1) * width), (count, count))


def _fits(series: Floats, alike: Floats, colours: Places) -> Floats:
    """How well the tint of each colour around a position describes its own: (p, 3)."""
    members = [np.flatnonzero(colours == colour) for colour in range(3)]
    if any(len(one) == 0 for one in members):
        return np.asarray(colours[:, None] == np.arange(3), np.float64)
    around = np.stack([_mean_of(one[_most_alike(alike[:, one], _LOCAL)]) @ series for one in members])
    tints, own = around - around.mean(axis=0), series - around.mean(axis=0)
    return np.asarray(((tints * own).sum(axis=2) / np.maximum(np.sqrt((tints**2).sum(axis=2)), 1e-9)).T)


def half_of_one(fits: Floats) -> Places:
    """The best colours of which one, ``DOUBLE``, has half of the positions, and two have a quarter each."""
    single, other, double = fits.T[np.argsort(np.bincount(fits.argmax(axis=1), minlength=3))]
    order = np.argsort(np.maximum(single, other) - double)
    rest = order[len(fits) // 2 :]
    colours = np.full(len(fits), DOUBLE)
    colours[rest] = OTHER
    colours[rest[np.argsort(other[rest] - single[rest])[: len(rest) // 2]]] = SINGLE
    return colours


def beside(distance: Floats, shape: tuple[int, int]) -> Places:
    """Places for positions of one colour beside another colour that is placed already; many are one place off.

    Args:
        distance: (m, q), to the position of the placed colour at each place; m is a multiple of q.
        shape: rows and columns, q places in all.

    Returns int64 (m,), each place m / q times.
    """
    times = len(distance) // distance.shape[1]
    grid = np.indices(shape).reshape(2, -1).T
    nearest = np.argpartition(distance, _NEAREST, axis=1)[:, :_NEAREST]
    cost = np.repeat(cdist(grid[nearest].mean(axis=1), grid, "sqeuclidean"), times, axis=1)
    return np.asarray(linear_sum_assignment(cost)[1] // times, np.int64)


def refine_pairs(distance: Floats, guess: Places, shape: tuple[int, int]) -> Places:
    """:func:`audit.lattice.refine` on a grid where two positions share each place.

    Args:
        distance: (2 q, 2 q).
        guess: int64 (2 q,), each place twice.
        shape: rows and columns, q places in all.
    """
    places = shape[0] * shape[1]

    def usual_of(seats: Places) -> Floats:
        order = np.argsort(seats)
        seated = distance[np.ix_(order, order)].reshape(places, 2, places, 2)
        usual = profile(seated.mean(axis=(1, 3)), np.arange(places), shape)
        # Two that are the same to the last digit are not to outweigh everything else.
        usual[0, 0] = max(float(np.median(seated[np.arange(places), 0, np.arange(places), 1])), usual[0, 1] / 4)
        every = np.repeat(np.repeat(expected(usual, shape), 2, axis=0), 2, axis=1)
        np.fill_diagonal(every, np.inf)
        return every

    seats = np.empty_like(guess)
    seats[np.argsort(guess)] = np.arange(len(guess))
    return refine(distance, seats, usual_of) // 2


def arrange_mosaic(
    frames: Floats, shape: tuple[int, int], arrange: Arrange, generator: np.random.Generator
) -> tuple[Places, Places]:
    """Guess quad and colour of each stored photosite, up to a turn or mirror image of the quads.

    Args:
        frames: float64 (n, p) in stored order, all under one permutation.
        shape: rows and columns of quads, a quarter of p.
        arrange: puts one colour on its grid.
        generator: draws where the clustering starts.

    Returns two int64 (p,): the quad's raster place; and the colour, ``DOUBLE`` for green, ``SINGLE`` and ``OTHER``
    for red and blue in an order that is left open.
    """
    series = standardised(frames)
    alike = series @ series.T / series.shape[1]
    apart = np.sqrt(np.maximum(1 - alike, _LEAST))
    colours = classes(series, alike, half_of_one, generator)
    single, other, double = (np.flatnonzero(colours == colour) for colour in (SINGLE, OTHER, DOUBLE))
    quads = np.empty(frames.shape[1], np.int64)
    quads[single] = arrange(frames[:, single, None], shape)
    placed = single[np.argsort(quads[single])]
    views = turned(arrange(frames[:, other, None], shape), shape)
    quads[other] = min(views, key=lambda one: float(apart[other, placed[one]].sum()))
    placed_too = other[np.argsort(quads[other])]
    rough = beside(apart[np.ix_(double, placed)] + apart[np.ix_(double, placed_too)], shape)
    quads[double] = refine_pairs(distances(frames[:, double, None]), rough, shape)
    return quads, colours
