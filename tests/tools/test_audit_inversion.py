"""The learned inversion undoes an order that stays, and no other."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from audit.attacks.inversion import Budget, Pairs, invert, peak_ratio, similarity, train

SIDE = 8
SHAPE = (SIDE, SIDE)


def scenes(count: int, seed: int) -> np.ndarray:
    smooth = gaussian_filter(np.random.default_rng(seed).normal(size=(count, SIDE, SIDE, 3)), (0, 1, 1, 0))
    return np.clip(0.5 + smooth, 0, 1).astype(np.float32).reshape(count, -1, 3)


def tables(count: int) -> np.ndarray:
    rng = np.random.default_rng(7)
    return np.stack([rng.permutation(SIDE**2) for _ in range(count)]).astype(np.int32)


@pytest.mark.parametrize("fixed", [True, False])
def test_only_an_order_that_stays_is_undone(fixed: bool) -> None:
    orders = tables(1 if fixed else 50)
    network = train(Pairs(scenes(300, 0), orders, SHAPE), Budget(20, 16, 8), np.random.default_rng(0))
    held = Pairs(scenes(20, 1), orders, SHAPE)
    stored = held.stored(np.arange(20), np.arange(20) % len(orders))
    ratio = peak_ratio(invert(network, stored, SHAPE), held.plain).mean()
    mean = peak_ratio(np.broadcast_to(np.float32(0.5), held.plain.shape), held.plain).mean()
    assert ratio > mean + 6 if fixed else ratio < mean + 1


def test_similarity_of_equal_and_of_unlike_pictures() -> None:
    a = scenes(4, 0).reshape(4, SIDE, SIDE, 3)
    assert similarity(a, a) == pytest.approx(np.ones(4))
    assert (similarity(a, 1 - a) < 0).all()
