"""Which stored samples are the colours of one pixel, where a key moves them apart."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from audit.mosaic import classes, standardised
from peers.block_cipher import CHANNELS

Floats = NDArray[np.float64]
Places = NDArray[np.int64]


def colours_together(series: Floats) -> Floats:
    """Series (n, 3 p, 1) of single samples as those of p pixels: (n, p, 3), the order of colours left open.

    Colours are told apart as those of a mosaic; then each sample of the first is given those of the others that vary
    most like it.
    """
    lines = standardised(series[:, :, 0])
    alike = lines @ lines.T / lines.shape[1]
    colours = classes(lines, alike, thirds, np.random.default_rng(0))
    first, *others = (np.flatnonzero(colours == colour) for colour in range(CHANNELS))
    beside = [other[linear_sum_assignment(-alike[np.ix_(first, other)])[1]] for other in others]
    return np.asarray(series[:, np.stack([first, *beside], axis=1), 0], np.float64)


def thirds(fits: Floats) -> Places:
    """The best colours of which each has a third of the samples, the surest first: fits (3 p, 3) to int64 (3 p,)."""
    ranked = np.sort(fits, axis=1)
    room = np.full(CHANNELS, len(fits) // CHANNELS)
    found = np.empty(len(fits), np.int64)
    for at in np.argsort(ranked[:, -2] - ranked[:, -1], kind="stable"):
        found[at] = np.where(room > 0, fits[at], -np.inf).argmax()
        room[found[at]] -= 1
    return found
