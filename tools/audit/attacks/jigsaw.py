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


def cut(frame: Floats, side: int) -> Floats:
    """The pieces of a frame in raster order: (h, w, c) to (k, side, side, c)."""
    height, width, channels = frame.shape
    parts = frame.reshape(height // side, side, width // side, side, channels)
    return parts.swapaxes(1, 2).reshape(-1, side, side, channels)


def join(pieces: Floats, shape: tuple[int, int]) -> Floats:
    """The inverse of :func:`cut`; ``shape`` counts pieces down and across."""
    side, channels = pieces.shape[2], pieces.shape[3]
    parts = pieces.reshape(*shape, side, side, channels).swapaxes(1, 2)
    return parts.reshape(shape[0] * side, shape[1] * side, channels)


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
    total = np.zeros((*window.shape, len(free)))
    sides = np.zeros(window.shape)
    edged = np.pad(window, 1, constant_values=-1)
    for (row, column), cost in zip(_STEPS, costs, strict=True):
        shifted = edged[1 - row :, 1 - column :][: window.shape[0], : window.shape[1]]
        there = shifted >= 0
        total[there] += cost[shifted[there]]
        sides += there
    open_cells = (window < 0) & (sides > 0)
    mean = np.where(free, total / np.maximum(sides, 1)[:, :, None], np.inf)
    mean[~open_cells] = np.inf
    best = np.unravel_index(int(mean.argmin()), mean.shape)
    return (int(best[0]) + top, int(best[1]) + left), int(best[2])
