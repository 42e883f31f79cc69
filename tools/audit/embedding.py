"""Positions laid out in the plane by how alike they are, and a grid laid over them.

After Le Roux, Bengio, Lamblin, Joliveau and Kegl, "Learning the 2-D Topology of Images", NIPS 2007.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh
from scipy.optimize import linear_sum_assignment
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import shortest_path
from scipy.spatial.distance import cdist

Floats = NDArray[np.float64]
Places = NDArray[np.int64]


def distances(frames: Floats) -> Floats:
    """Mean absolute difference of every two positions, divided by how busy the places are: (p, p).

    Args:
        frames: float64 (n, p, c) in stored order: n frames, p positions, c samples each.
    """
    scaled = frames / (frames.std(axis=(1, 2), keepdims=True) + 5)
    series = np.ascontiguousarray(scaled.transpose(1, 0, 2)).reshape(frames.shape[1], -1)
    found = cdist(series, series, "cityblock") / series.shape[1]
    busy = np.maximum(np.sort(found, axis=1)[:, 1:7].mean(axis=1), 1e-9)
    return found / np.sqrt(busy[:, None] * busy)


def steps(distance: Floats) -> Floats:
    """Length of the shortest path between every two positions in the graph of mutual neighbours: (p, p)."""
    rank = np.argsort(np.argsort(distance, axis=1), axis=1)
    mutual, either = np.maximum(rank, rank.T), np.minimum(rank, rank.T)
    edges = np.where(mutual <= 4, 1.0, np.where(mutual <= 8, np.sqrt(2), 0.0))
    edges = np.where((edges == 0) & (either <= 2), 1.0, edges)
    np.fill_diagonal(edges, 0)
    length = shortest_path(csr_matrix(edges), directed=False)
    return np.where(np.isinf(length), length[np.isfinite(length)].max(), length)


def embed(length: Floats, rounds: int = 60) -> Floats:
    """Points in the plane at those distances: classical scaling, then SMACOF (de Leeuw 1977): (p, 2)."""
    count = len(length)
    squares = length**2
    centred = squares - squares.mean(0) - squares.mean(1)[:, None] + squares.mean()
    values, vectors = eigh(-centred / 2)  # all of them: a part may be missing where many are equal
    points: Floats = vectors[:, -2:] * np.sqrt(np.maximum(values[-2:], 0))
    weights = 1 / np.maximum(length, 0.5) ** 2
    np.fill_diagonal(weights, 0)
    inverse = np.linalg.inv(np.diag(weights.sum(axis=1)) - weights + 1 / count)
    for _ in range(rounds):
        pull = -weights * length / np.maximum(cdist(points, points), 1e-6)
        points = inverse @ ((pull - np.diag(pull.sum(axis=1))) @ points)
    return points


def to_grid(points: Floats, shape: tuple[int, int]) -> Places:
    """The raster position of each point on a grid: turned until it is most square, then matched one to one."""
    points = (points - points.mean(0)) / points.std(0)
    angles = np.linspace(0, np.pi / 2, 90, endpoint=False)
    turned = [points @ np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]]) for a in angles]
    best = min(turned, key=lambda one: float((one**4).mean()))
    grid = np.indices(shape).reshape(2, -1).T - (np.array(shape) - 1) / 2
    best = best / best.std(0) * grid.std(0)
    return np.asarray(linear_sum_assignment(cdist(best, grid, "sqeuclidean"))[1], np.int64)


def turned(guess: Places, shape: tuple[int, int]) -> Iterator[Places]:
    """The guess under every turn and mirror image that the shape allows; first as it is."""
    grid = np.arange(shape[0] * shape[1]).reshape(shape)
    for side in (grid, grid[:, ::-1]):
        for quarters in range(4):
            view = np.rot90(side, quarters)
            if view.shape == shape:
                yield view.ravel()[guess]
