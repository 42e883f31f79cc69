"""Which stored feature is whose neighbour, and the picture that follows from it.

How features of neighbours go together is learned from scenes of the attacker's own, which a public
network turns into feature maps.  The picture is put together from who is right of whom and who is
below whom, as in Yu, Russell and Agapito, "Solving jigsaw puzzles with linear programming", BMVC 2016,
with reweighted least squares in place of linear programmes; pairs that choose each other count most
(Pomeranz, Shemesh and Ben-Shahar, CVPR 2011).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.sparse import csr_matrix, diags, identity
from scipy.sparse.linalg import spsolve
from scipy.spatial.distance import cdist

Floats = NDArray[np.float64]
Places = NDArray[np.int64]
_RIDGE = 1e-3  # of a feature's mean variance
_ROUNDS = 30
_MARGIN = 5.0  # nats by which a choice can be surer than the next; more make no difference
_ONE_SIDED = 0.02  # weight of a choice that is not returned
_OUTSIDE = 4.0  # positions by which a point may lie outside the grid before it is pulled back


@dataclass(frozen=True, eq=False)
class Bond:
    """The joint normal distribution of a feature and its neighbour in one direction.

    Attributes:
        here, there: (c,) means of the two.
        forward: (c, c), the regression of the neighbour on the feature.
        given, alone: (c, c) factors of the inverse covariances of the neighbour, given the feature and not.
        gain: half the logarithm of the ratio of their determinants, nats.
    """

    here: Floats
    there: Floats
    forward: Floats
    given: Floats
    alone: Floats
    gain: float

    def evidence(self, maps: NDArray[np.float32]) -> Floats:
        """How much likelier it is that j is i's neighbour than that it is not, nats: (p, p).

        Args:
            maps: (n, p, c) of frames under one layout, which are taken to be independent.
        """
        count = maps.shape[1]
        total = np.full((count, count), len(maps) * self.gain)
        for one in maps.astype(np.float64):
            near, far = (one - self.here) @ self.forward @ self.given, (one - self.there) @ self.given
            total += (((one - self.there) @ self.alone) ** 2).sum(1) / 2 - cdist(near, far, "sqeuclidean") / 2
        np.fill_diagonal(total, -np.inf)
        return total


@dataclass(frozen=True, eq=False)
class Bonds:
    """Of a feature with the one right of it, and with the one below it."""

    right: Bond
    below: Bond


def learn(plain: NDArray[np.float32], side: int) -> Bonds:
    """Bonds of square maps (n, side * side, c) in true order."""
    maps = plain.reshape(len(plain), side, side, -1).astype(np.float64)
    return Bonds(_bond(maps[:, :, :-1], maps[:, :, 1:]), _bond(maps[:, :-1], maps[:, 1:]))


def _bond(first: Floats, second: Floats) -> Bond:
    a, b = (one.reshape(-1, one.shape[-1]) for one in (first, second))
    here, there = a.mean(0), b.mean(0)
    a, b = a - here, b - there
    ridge = _RIDGE * np.mean(b**2) * np.eye(len(here))
    forward = np.linalg.solve(a.T @ a / len(a) + ridge, a.T @ b / len(a))
    rest = b - a @ forward
    given, alone = rest.T @ rest / len(a) + ridge, b.T @ b / len(a) + ridge
    gain = float(np.linalg.slogdet(alone)[1] - np.linalg.slogdet(given)[1]) / 2
    return Bond(here, there, forward, _root_of_inverse(given), _root_of_inverse(alone), gain)


def _root_of_inverse(covariance: Floats) -> Floats:
    return np.asarray(np.linalg.cholesky(np.linalg.inv(covariance)))


@dataclass(frozen=True, eq=False)
class _Edges:
    """Choices: ``second`` lies one step from ``first``; step (m, 2) in rows and columns, weight (m,)."""

    first: Places
    second: Places
    step: Floats
    weight: Floats


def _edges(right: Floats, below: Floats) -> _Edges:
    parts = [(*_choices(right), (0, 1)), (*_choices(below), (1, 0))]
    first = np.concatenate([np.arange(len(right))] * 2)
    second, weight = (np.concatenate([part[k] for part in parts]) for k in (0, 1))
    return _Edges(first, second, np.repeat([part[2] for part in parts], len(right), axis=0).astype(float), weight)


def _choices(evidence: Floats) -> tuple[Places, Floats]:
    """The likeliest neighbour of every position, and how sure that is."""
    best, back = evidence.argmax(1), evidence.argmax(0)
    rows, columns = (np.partition(evidence, -2, axis=axis).take([-2, -1], axis) for axis in (1, 0))
    margin = np.minimum(rows[:, 1] - rows[:, 0], (columns[1] - columns[0])[best])
    returned = back[best] == np.arange(len(best))
    return best, np.where(returned, 1.0, _ONE_SIDED) * np.minimum(margin, _MARGIN) + 1e-3


def _points(edges: _Edges, count: int) -> Floats:
    """Coordinates (p, 2) at which most edges have the length they should: least squares, reweighted."""
    rows = np.arange(len(edges.first))
    signs = np.concatenate([np.ones(len(rows)), -np.ones(len(rows))])
    places = (np.concatenate([rows, rows]), np.concatenate([edges.second, edges.first]))
    apart = csr_matrix((signs, places), shape=(len(rows), count))
    points, weight = np.zeros((count, 2)), edges.weight
    for _ in range(_ROUNDS):
        normal = (apart.T @ diags(weight) @ apart + 1e-6 * identity(count)).tocsc()
        points = np.asarray(spsolve(normal, apart.T @ (weight[:, None] * edges.step)))
        wrong = np.abs(apart @ points - edges.step).sum(1)
        weight = edges.weight / np.maximum(wrong, 0.05) ** 1.5
    return points


def assemble(bonds: Bonds, maps: NDArray[np.float32], side: int) -> Places:
    """The true raster position guessed for each stored position: (p,).  Which way is up follows from the bonds.

    Args:
        bonds: learned from other scenes.
        maps: (n, p, c) of frames under one layout.
        side: rows, and columns; their product is p.
    """
    points = _points(_edges(bonds.right.evidence(maps), bonds.below.evidence(maps)), maps.shape[1])
    centred = points - np.median(points, axis=0) + (side - 1) / 2
    grid = np.indices((side, side)).reshape(2, -1).T
    cost = cdist(np.clip(centred, -_OUTSIDE, side - 1 + _OUTSIDE), grid, "sqeuclidean")
    return np.asarray(linear_sum_assignment(cost)[1], np.int64)


def joined(guess: Places, truth: Places, side: int) -> float:
    """Of the pairs that the guess makes neighbours, the share that are neighbours in truth."""
    stored = np.argsort(guess)
    where = np.stack(np.divmod(truth[stored], side), axis=1).reshape(side, side, 2)
    apart = [np.abs(np.diff(where, axis=axis)).sum(2).ravel() for axis in (0, 1)]
    return float((np.concatenate(apart) == 1).mean())
