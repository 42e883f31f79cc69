"""Pieces of one frame that moved as a whole: their edges tell which of them were neighbours.

After Pomeranz, Shemesh and Ben-Shahar, "A fully automated greedy square jigsaw puzzle solver", CVPR 2011 (edges
extrapolated), and Gallagher, "Jigsaw Puzzles with Pieces of Unknown Orientation", CVPR 2012 (costs divided by those
of the next best matches, the surest match first).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

Floats = NDArray[np.float64]
Places = NDArray[np.int64]
_STEPS = ((0, 1), (1, 0), (0, -1), (-1, 0))  # to the right, down, to the left, up


def beside(pieces: Floats) -> Floats:
    """How badly each piece continues another to its right: (k, k), row: left piece, column: right piece.

    Args:
        pieces: float64 (k, side, side, c).
    """
    count = len(pieces)
    inner = min(1, pieces.shape[2] - 1)
    right = pieces[:, :, -1] + (pieces[:, :, -1] - pieces[:, :, -1 - inner]) / 2
    left = pieces[:, :, 0] + (pieces[:, :, 0] - pieces[:, :, inner]) / 2
    cost = cdist(right.reshape(count, -1), left.reshape(count, -1), "cityblock")
    nearest = np.sort(cost + np.diag(np.full(count, np.inf)), axis=1)[:, min(2, max(0, count - 2)), None]
    found = cost / np.where(np.isfinite(nearest), np.maximum(nearest, 1e-9), 1.0)
    np.fill_diagonal(found, np.inf)
    return np.asarray(found, np.float64)


def assemble(pieces: Floats, shape: tuple[int, int]) -> Places:
    """Put pieces on a grid, the surest next: int64 (k,), ``result[place]`` is the piece at a raster place.

    Args:
        pieces: float64 (k, side, side, c) in any order.
        shape: pieces down and across; k in all.
    """
    across, down = beside(pieces), beside(pieces.swapaxes(1, 2))
    costs = (across, down, across.T, down.T)  # of a piece (row) that was placed and its neighbour by _STEPS
    board = np.full((2 * shape[0] - 1, 2 * shape[1] - 1), -1)
    board[shape[0] - 1, shape[1] - 1] = int(across.min(axis=1).argmin())
    free = np.ones(len(pieces), np.bool_)
    free[board.max()] = False
    while free.any():
        cell, piece = _surest(board, costs, free, shape)
        board[cell] = piece
        free[piece] = False
    rows, columns = np.nonzero(board >= 0)
    return board[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1].ravel()


def _surest(
    board: Places, costs: tuple[Floats, ...], free: NDArray[np.bool_], shape: tuple[int, int]
) -> tuple[tuple[int, int], int]:
    """The cell next to what is placed, and the piece for it, at the least mean cost."""
    rows, columns = np.nonzero(board >= 0)
    top, left = max(0, rows.max() - shape[0] + 1), max(0, columns.max() - shape[1] + 1)
    window = board[top : rows.min() + shape[0], left : columns.min() + shape[1]]
    edged = np.pad(window, 1, constant_values=-1)
    around = [edged[1 - row :, 1 - column :][: window.shape[0], : window.shape[1]] for row, column in _STEPS]
    sides = np.sum([one >= 0 for one in around], axis=0)
    cells = np.nonzero((window < 0) & (sides > 0))
    total = np.zeros((len(cells[0]), len(free)))
    for placed, cost in zip(around, costs, strict=True):
        beside_it = placed[cells]
        total[beside_it >= 0] += cost[beside_it[beside_it >= 0]]
    mean = np.where(free, total / sides[cells][:, None], np.inf)
    best, piece = np.unravel_index(int(mean.argmin()), mean.shape)
    return (int(cells[0][best]) + top, int(cells[1][best]) + left), int(piece)
