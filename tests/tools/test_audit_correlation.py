"""The correlation attack breaks the fixed key, and is at chance on the default policy, through the real pipeline."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from audit.attacks.correlation import arrange, shares, upright
from audit.material import Material, make_material
from keyvault.policy import Cfa, FrameKeys, Policy, Protection

SIDE = 16


def scenes(count: int) -> np.ndarray:
    noise = np.random.default_rng(1).normal(size=(count, 3 * SIDE, 3 * SIDE, 3))
    smooth = gaussian_filter(noise, (0, 3, 3, 0))[:, SIDE : 2 * SIDE, SIDE : 2 * SIDE]
    return np.clip(128 + 40 * smooth / smooth.std(), 0, 255).astype(np.uint8)


def attacked(material: Material) -> tuple[float, float]:
    frames = material.file.reshape(len(material.file), SIDE * SIDE, 3).astype(np.float64)
    truth = np.argsort(material.tables[0])
    guess = upright(arrange(frames, (SIDE, SIDE)), truth, (SIDE, SIDE))
    return shares(guess, truth, (SIDE, SIDE))


@pytest.mark.parametrize("fixed", [True, False])
def test_only_the_fixed_key_gives_the_positions_away(fixed: bool) -> None:
    policy = Policy(SIDE, SIDE, Cfa.NONE, 3, bits=8)
    if fixed:
        policy = Policy(SIDE, SIDE, Cfa.NONE, 3, bits=8, protection=Protection.SHUFFLE, frame_keys=FrameKeys.FIXED)
    images = scenes(200)
    material = make_material(images, policy)
    assert np.array_equal(material.plain, images)
    exact, near = attacked(material)
    if fixed:
        assert exact > 0.6
        assert near > 0.95
    else:
        assert exact < 0.05
        assert near < 0.15
