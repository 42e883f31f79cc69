"""Pairs of scene and private frame under one permutation: equal series of values are the same position.

After Li, Li, Chen, Bourbakis and Lo, "A general quantitative cryptanalysis of permutation-only
multimedia ciphers", Signal Processing: Image Communication 23(3), 2008.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist


def match(plain: NDArray[np.uint16], private: NDArray[np.uint16]) -> NDArray[np.int64]:
    """The true position of each stored one, by the one-to-one match with the least difference of values.

    Args:
        plain: uint16 (k, p, c), true order; may be noisy.
        private: uint16 (k, p, c), stored order, of the same scenes.

    Returns int64 (p,).  Ties are broken arbitrarily.
    """
    known, seen = (one.transpose(1, 0, 2).reshape(one.shape[1], -1).astype(np.float64) for one in (plain, private))
    return np.asarray(linear_sum_assignment(cdist(seen, known, "cityblock"))[1], np.int64)
