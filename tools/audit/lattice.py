"""Positions on a grid, told by how their distances grow from neighbour to neighbour.

A rough arrangement gives the usual distance at each displacement.  A new one is grown from its best spot, always where
the fit is closest, as Gallagher puts jigsaws together ("Jigsaw puzzles with pieces of unknown orientation", CVPR 2012),
and then every position is matched with all places at once, again and again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter
from scipy.optimize import linear_sum_assignment

Floats = NDArray[np.float64]
Places = NDArray[np.int64]
REACH = 3  # rows and columns around a place by which it is filled
SMALLEST = 3  # rows and columns of which something can grow
_LEAST = 1e-9
_ROUNDS = 12
_EMPTY = -1


def profile(distance: Floats, guess: Places, shape: tuple[int, int], reach: int = REACH) -> Floats:
    """The median distance at so many rows and columns apart: (reach + 1, reach + 1).

    Infinite for a position and itself, and beyond a circle of radius ``reach``.
    """
    grid = np.argsort(guess).reshape(shape)
    found = np.full((reach + 1, reach + 1), np.inf)
    for down, across in np.argwhere(np.hypot(*np.indices(found.shape)) <= reach)[1:]:
        if down >= shape[0] or across >= shape[1]:
            continue
        upper, lower = grid[: shape[0] - down], grid[down:]
        left, right = slice(0, shape[1] - across), slice(across, None)
        pairs = [distance[upper[:, left], lower[:, right]], distance[upper[:, right], lower[:, left]]]
        found[down, across] = max(float(np.median(pairs)), _LEAST)
    return found


def expected(usual: Floats, shape: tuple[int, int]) -> Floats:
    """The usual distance of every two places, (p, p), by :func:`profile`; infinite beyond its reach."""
    rows, columns = np.divmod(np.arange(shape[0] * shape[1]), shape[1])
    down, across = (np.minimum(np.abs(one[:, None] - one), len(usual)) for one in (rows, columns))
    return np.pad(usual, (0, 1), constant_values=np.inf)[down, across]


def misfits(there: Floats, usual: Floats) -> Floats:
    """Sum of squared relative differences to the usual distances, if a position stood at a place: (m, p).

    Args:
        there: (m, p), distance of each position to what stands at each place.
        usual: (p, p), of every two places, as :func:`expected` gives it.
    """
    weights = 1 / usual
    return np.asarray(there**2 @ weights**2 - 2 * there @ weights + (weights > 0).sum(axis=0))


def refine(distance: Floats, guess: Places, usual_of: Callable[[Places], Floats]) -> Places:
    """Match positions with places by their distances to what lies around, until the fit gets no better.

    Args:
        distance: (p, p).
        guess: int64 (p,), the place of each position.
        usual_of: the usual distance of every two places, (p, p), as a guess shows them; infinite for those that tell
            nothing of each other, and for a place and itself.
    """
    best, least = guess, np.inf
    for _ in range(_ROUNDS):
        usual = usual_of(guess)
        near = np.isfinite(usual)
        own = near[guess]  # a position and itself, in the cost of the places around its own
        cost = (misfits(distance[:, np.argsort(guess)], usual) - own) / np.maximum(near.sum(axis=0) - own, 1)
        misfit = float(cost[np.arange(len(guess)), guess].mean())
        if misfit >= least:
            break
        best, least = guess, misfit
        guess = np.asarray(linear_sum_assignment(cost)[1], np.int64)
    return best


def refine_grid(distance: Floats, guess: Places, shape: tuple[int, int]) -> Places:
    """:func:`refine` on a grid of that shape, one position a place."""
    return refine(distance, guess, lambda one: expected(profile(distance, one, shape), shape))


def roughness(distance: Floats, guess: Places, shape: tuple[int, int]) -> float:
    """The mean distance of neighbours in a row or column: least in the true arrangement."""
    grid = np.argsort(guess).reshape(shape)
    pairs = ((grid[1:], grid[:-1]), (grid[:, 1:], grid[:, :-1]))
    return float(np.concatenate([distance[one, other].ravel() for one, other in pairs]).mean())


@dataclass(eq=False)
class _Growth:
    """A canvas of cells, larger than the grid, on which positions are placed one after the other."""

    distance: Floats
    width: int
    steps: Places
    usual: Floats
    canvas: Places
    allowed: NDArray[np.bool_]
    free: NDArray[np.bool_]
    offers: dict[int, tuple[float, int]] = field(default_factory=dict)

    def offer(self, cell: int) -> None:
        """Note the free position that fits best in a cell, and how well."""
        around = self.canvas[cell + self.steps]
        filled = around != _EMPTY
        misfit = np.abs(self.distance[around[filled]] / self.usual[filled, None] - 1).mean(axis=0)
        misfit[~self.free] = np.inf
        best = int(misfit.argmin())
        self.offers[cell] = float(misfit[best]) / filled.sum() ** 0.5, best

    def borders(self, cell: int) -> bool:
        """Whether a cell is to be filled next to one that is."""
        if not self.allowed[cell] or self.canvas[cell] != _EMPTY:
            return False
        return bool((self.canvas[[cell - 1, cell + 1, cell - self.width, cell + self.width]] != _EMPTY).any())

    def place(self, cell: int, position: int) -> None:
        """Put a position into a cell."""
        self.canvas[cell], self.free[position] = position, False
        self.offers.pop(cell, None)

    def renew(self, cells: Places) -> None:
        """Offers of the cells around those that were filled."""
        for cell in np.unique(cells[:, None] + self.steps):
            if self.borders(int(cell)):
                self.offer(int(cell))

    def fill(self) -> None:
        """Go on until every position is placed."""
        self.offers.clear()
        self.renew(np.flatnonzero(self.canvas != _EMPTY))
        while self.free.any():
            cell = min(self.offers, key=lambda one: self.offers[one][0])
            position = self.offers[cell][1]
            self.place(cell, position)
            for other in [one for one, (_, wanted) in self.offers.items() if wanted == position]:
                self.offer(other)
            self.renew(np.array([cell]))


def grow(distance: Floats, guess: Places, shape: tuple[int, int], reach: int = REACH) -> Places:
    """An arrangement grown from the best spot of a rough one.

    First without borders; then what lies outside of the fullest rectangle of that shape is placed again inside.
    Arguments as of :func:`refine`; the shape has at least ``SMALLEST`` rows and columns.
    """
    usual = profile(distance, guess, shape, reach)
    around = np.array([(a, b) for a in range(-reach, reach + 1) for b in range(-reach, reach + 1)])
    expected = usual[np.abs(around[:, 0]), np.abs(around[:, 1])]
    around, expected = around[np.isfinite(expected)], expected[np.isfinite(expected)]
    height, width = (3 * side + 2 * reach for side in shape)
    allowed = np.zeros((height, width), bool)
    allowed[reach:-reach, reach:-reach] = True
    growth = _Growth(
        distance,
        width,
        around @ np.array([width, 1]),
        expected,
        np.full(height * width, _EMPTY, np.int64),
        allowed.ravel(),
        np.ones(len(guess), bool),
    )
    middle = height // 2 * width + width // 2
    for (down, across), position in np.ndenumerate(_best_spot(distance, guess, shape, usual[0, 1])):
        growth.place(middle + down * width + across, int(position))
    growth.fill()
    _crop(growth, (height, width), shape)
    growth.fill()
    cells = growth.canvas[growth.allowed]
    return np.argsort(cells).astype(np.int64)


def _best_spot(distance: Floats, guess: Places, shape: tuple[int, int], step: float) -> Places:
    """The 3 x 3 positions whose neighbours' distances are nearest to ``step``."""
    grid = np.argsort(guess).reshape(shape)
    misfit = np.zeros(shape)
    for axis in (0, 1):
        for turn in (1, -1):
            misfit += np.abs(distance[grid, np.roll(grid, turn, axis)] / step - 1)
    inner = uniform_filter(misfit, 3)[1:-1, 1:-1]
    row, column = np.unravel_index(inner.argmin(), inner.shape)
    return np.asarray(grid[row : row + 3, column : column + 3], np.int64)


def _crop(growth: _Growth, size: tuple[int, int], shape: tuple[int, int]) -> None:
    """Allow only the rectangle in which most is placed, and take out what lies elsewhere."""
    placed = np.pad((growth.canvas != _EMPTY).reshape(size).cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    rows, columns = shape
    inside = placed[rows:, columns:] - placed[:-rows, columns:] - placed[rows:, :-columns] + placed[:-rows, :-columns]
    row, column = np.unravel_index(inside.argmax(), inside.shape)
    window = np.zeros(size, bool)
    window[row : row + rows, column : column + columns] = True
    growth.allowed = window.ravel() & growth.allowed
    out = growth.canvas[~growth.allowed]
    growth.free[out[out != _EMPTY]] = True
    growth.canvas[~growth.allowed] = _EMPTY
