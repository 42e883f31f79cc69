"""Noise: its generator, its distributions, and that it depends on seed, frame and place alone.

Seeds are fixed.  Bounds are five standard errors of the statistic at hand, so that a right model
fails for one seed in two million and a model that is off by a few parts in a thousand fails.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from camera_kit import random_light
from numba import njit

from keyvault.policy import Cfa, Policy
from sensor_sim import CameraSettings, LightScene, PixelModel, Shot, expose
from sensor_sim import _kernels as kernels

PIXEL = PixelModel()
SIDE = 600
FLAT = Policy(SIDE, SIDE, Cfa.NONE)
N = SIDE * SIDE


def electrons(level: float, shot: Shot, pixel: PixelModel = PIXEL) -> np.ndarray:
    """Electrons of a flat field whose mean is ``level`` electrons."""
    scene = LightScene(np.full((SIDE, SIDE, 3), level / pixel.full_well_e, np.float32))
    volts = expose(scene, FLAT, CameraSettings(), pixel, shot).rows(0, SIDE)
    return volts.astype(np.float64) / (pixel.conversion_gain_uv * 1e-6)


@pytest.mark.parametrize(
    ("counter", "seed", "words"),
    [
        ((0, 0, 0, 0), 0, (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
        ((0xFFFFFFFF,) * 4, 0xFFFFFFFFFFFFFFFF, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
        (
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
            0x299F31D0A4093822,
            (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
        ),
    ],
)
def test_philox_gives_the_published_answers(counter: tuple, seed: int, words: tuple) -> None:
    """The known answers of Random123, the authors' own implementation."""
    assert tuple(int(word) for word in kernels.philox(*counter, np.uint64(seed))) == words


@njit
def many_poisson(mean: float, count: int, seed: np.uint64) -> np.ndarray:
    out = np.empty(count)
    for i in range(count):
        out[i] = kernels.poisson(mean, i, 3, seed, kernels.philox(i, 0, 3, 0, seed))
    return out


@pytest.mark.parametrize("mean", [0.03, 0.7, 4.0, 9.99, 10.0, 12.5, 40.0, 333.0])
def test_photons_follow_poissons_law(mean: float) -> None:
    """Chi-square of 200,000 numbers against the exact probabilities, classes of 20 or more expected."""
    count = 200_000
    found = many_poisson(mean, count, np.uint64(11))
    assert np.all(found == np.floor(found))
    assert found.min() >= 0
    top = int(mean + 12 * math.sqrt(mean) + 12)
    share = np.array([math.exp(k * math.log(mean) - mean - math.lgamma(k + 1)) for k in range(top)])
    seen = np.bincount(found.astype(int), minlength=top)[:top]
    big = share * count >= 20
    expected = np.append(share[big], 1 - share[big].sum()) * count
    observed = np.append(seen[big], count - seen[big].sum())
    if expected[-1] < 1:
        expected, observed = expected[:-1], observed[:-1]
    chi_square, freedom = ((observed - expected) ** 2 / expected).sum(), len(expected) - 1
    assert abs(chi_square - freedom) < 5 * math.sqrt(2 * freedom) + 5


@pytest.mark.parametrize("level", [0.0, 2.0, 30.0, 1_000.0, 8_000.0])
def test_mean_and_variance_are_those_of_light_and_read_noise(level: float) -> None:
    found = electrons(level, Shot(5, 0))
    variance = level + PIXEL.read_noise_e**2
    assert abs(found.mean() - level) < 5 * math.sqrt(variance / N)
    assert abs(found.var() - variance) < 5 * math.sqrt((2 * variance**2 + level) / N)


def test_read_noise_is_normal() -> None:
    found = electrons(0.0, Shot(6, 0)) / PIXEL.read_noise_e
    for limit, share in [(1, 0.682689), (2, 0.954500), (3, 0.997300)]:
        inside = (np.abs(found) < limit).mean()
        assert abs(inside - share) < 5 * math.sqrt(share * (1 - share) / N)
    assert abs((found**3).mean()) < 5 * math.sqrt(15 / N)


def test_neighbours_and_frames_are_independent() -> None:
    first, second = (electrons(1_000.0, Shot(7, frame)) - 1_000 for frame in (0, 1))
    bound = 5 * first.var() / math.sqrt(N)
    for a, b in [(first[:, 1:], first[:, :-1]), (first[1:], first[:-1]), (first, second)]:
        assert abs((a * b).mean()) < bound * 1.01


def test_the_photon_transfer_curve_has_the_slope_of_the_gain() -> None:
    """Variance in DN over mean in DN rises by DN per electron (EMVA 1288, section 2.2)."""
    gain = 2.0
    converter = PIXEL.converter(12)
    scene = LightScene(np.full((SIDE, SIDE, 3), 0.5, np.float32))
    means, variances = [], []
    for step in range(9):
        settings = CameraSettings(illumination=0.1 * step, gain=gain)
        pair = [
            converter.convert(expose(scene, FLAT, settings, PIXEL, Shot(8, 2 * step + i)).rows(0, SIDE)).astype(float)
            for i in range(2)
        ]
        means.append((pair[0].mean() + pair[1].mean()) / 2 - converter.black_level)
        variances.append(((pair[0] - pair[1]) ** 2).mean() / 2)
    slope, offset = np.polyfit(means, variances, 1, w=1 / np.array(variances))
    dn_per_electron = gain / PIXEL.electrons_per_dn(12)
    assert slope == pytest.approx(dn_per_electron, rel=0.005)
    assert offset == pytest.approx((PIXEL.read_noise_e * dn_per_electron) ** 2 + 1 / 12, rel=0.015)


def test_a_full_well_ends_shot_noise_but_not_read_noise() -> None:
    for factor in (1.5, 3.0):
        found = electrons(factor * PIXEL.full_well_e, Shot(9, 0))
        assert found.mean() == pytest.approx(PIXEL.full_well_e, abs=0.05)
        assert found.std() == pytest.approx(PIXEL.read_noise_e, rel=0.02)


@pytest.mark.parametrize("policy", [Policy(70, 46), Policy(71, 45, Cfa.NONE, 3)])
@pytest.mark.parametrize("block", [1, 2, 7, 45])
def test_blocks_of_any_size_give_the_same_frame(policy: Policy, block: int) -> None:
    source = expose(random_light(policy.width, policy.height), policy, CameraSettings(), PIXEL, Shot(1, 2))
    whole = source.rows(0, policy.height)
    starts = range(0, policy.height, block)
    parts = [source.rows(first, min(policy.height, first + block)) for first in reversed(starts)]
    assert np.array_equal(np.concatenate(parts[::-1]), whole)
    assert np.array_equal(source.rows(3, 4), whole[3:4])


def test_threads_give_the_same_frame_as_rows_one_by_one() -> None:
    policy = Policy(512, 300)  # more than one thread's part
    source = expose(random_light(512, 300), policy, CameraSettings(), PIXEL, Shot(1, 2))
    rows = [source.rows(row, row + 1) for row in range(300)]
    assert np.array_equal(source.rows(0, 300), np.concatenate(rows))


def test_noise_follows_seed_and_frame_and_nothing_else() -> None:
    policy, scene = Policy(64, 64), random_light(64, 64)

    def frame(seed: int, number: int) -> np.ndarray:
        return expose(scene, policy, CameraSettings(), PIXEL, Shot(seed, number)).rows(0, 64)

    assert np.array_equal(frame(5, 9), frame(5, 9))
    others = [frame(5, 10), frame(6, 9), frame(5 + 2**32, 9), frame(5, 9 + 2**32), frame(2**64 - 1, 2**48 - 1)]
    for other in others:
        assert (other == frame(5, 9)).mean() < 0.01
