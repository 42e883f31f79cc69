"""A guess where the positions of a grid belong, held against the truth."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from audit.embedding import turned

Places = NDArray[np.int64]


def upright(guess: Places, truth: Places, shape: tuple[int, int]) -> Places:
    """The guess as a person would turn it: of its turns and mirror images, the one with most positions right."""
    return max(turned(guess, shape), key=lambda one: int((one == truth).sum()))


def shares(guess: Places, truth: Places, shape: tuple[int, int]) -> tuple[float, float]:
    """Shares of positions that are exact, and that are at most one row and one column off."""
    return float((guess == truth).mean()), float(near(guess, truth, shape).mean())


def near(guess: Places, truth: Places, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Which raster places are at most one row and one column off the true ones: of any shape both."""
    (rows, columns), (true_rows, true_columns) = (np.divmod(one, shape[1]) for one in (guess, truth))
    return np.asarray((np.abs(rows - true_rows) <= 1) & (np.abs(columns - true_columns) <= 1))
