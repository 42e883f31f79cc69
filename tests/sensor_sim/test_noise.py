"""Noise: its generator, its distributions, and that it depends on seed, frame and place alone.

Seeds are fixed.  Bounds are five standard errors of the statistic at hand, so that a right model
fails for one seed in two million and a model that is off by a few parts in a thousand fails.
"""

from __future__ import annotations

import math
from dataclasses import replace
from statistics import NormalDist

import numpy as np
import pytest
from camera_kit import random_light

from keyvault.policy import Cfa, Policy
from sensor_sim import CameraSettings, LightScene, PixelModel, Shot, expose
from sensor_sim import _kernels as kernels
from sensor_sim import _random as random

PIXEL = PixelModel()
SIDE = 600
FLAT = Policy(SIDE, SIDE, Cfa.NONE)
N = SIDE * SIDE


def electrons(level: float, shot: Shot, pixel: PixelModel = PIXEL) -> np.ndarray:
    """Electrons of a flat field whose mean is ``level`` electrons."""
    scene = LightScene(np.full((SIDE, SIDE, 3), level / pixel.full_well_e, np.float32))
    volts = expose(scene, FLAT, CameraSettings(), pixel, shot).rows(0, SIDE)
    return volts.astype(np.float64) / (pixel.conversion_gain_uv * 1e-6)


def counted(pixel: PixelModel, mean: float, frame: int, side: int = SIDE) -> np.ndarray:
    """Electrons without read noise as the float32 numbers that they are: a volt each."""
    pixel = replace(pixel, full_well_e=1e9, nominal_photons=1e9, read_noise_e=0.0, conversion_gain_uv=1e6)
    scene = LightScene(np.full((side, side, 3), mean / 1e9, np.float32))
    return expose(scene, Policy(side, side, Cfa.NONE), CameraSettings(), pixel, Shot(11, frame)).rows(0, side).ravel()


def single(mean: float) -> float:
    """The mean that a scene of float32 radiance really has."""
    return float(np.float32(mean / 1e9)) * 1e9


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
    """The known answers of Random123, the authors' own implementation; first alone, then inside a run."""
    found = np.empty((4, 40), np.uint32)
    random.fill(counter[0], counter[1:], np.uint64(seed), 1, found)
    assert tuple(found[:, 0]) == words
    random.fill(counter[0] - 37 & 0xFFFFFFFF, counter[1:], np.uint64(seed), 40, found)
    assert tuple(found[:, 37]) == words


def evenly(count: int) -> np.ndarray:
    """Words at equal distances: shares among them are probabilities but for 2 / count."""
    return ((np.arange(count, dtype=np.uint64) * 2 + 1) * (2**31 // count)).astype(np.uint32)


def test_normal_numbers_are_quantiles() -> None:
    """Within 2e-5 of the standard library's everywhere, the ends at 6.3 standard deviations included."""
    words = np.concatenate([evenly(4096), np.arange(64), 2**32 - 1 - np.arange(64), 2**31 + np.arange(-64, 64)])
    words = np.sort(words.astype(np.uint32))
    found = np.empty(words.size, np.float32)
    random.normals(words, found)
    exact = np.array([-NormalDist().inv_cdf((int(word) + 0.5) / 2**32) for word in words])
    assert np.abs(found - exact).max() < 2e-5
    assert found.max() == -found.min() > 6.3


def test_the_moments_of_normal_numbers() -> None:
    found = np.empty(2**22, np.float32)
    random.normals(evenly(found.size), found)
    wide = found.astype(np.float64)
    assert abs(wide.mean()) < 1e-6
    assert abs(wide.var() - 1) < 1e-5
    assert abs((wide**4).mean() - 3) < 1e-3


def reference_normal(words: np.ndarray) -> np.ndarray:
    """The same operations one by one in NumPy, which contracts none of them."""
    signed = words.view(np.int32)
    root = (signed ^ (signed >> 31)).astype(np.float32)
    root = np.sqrt(np.sqrt(np.sqrt((root + np.float32(0.5)) * np.float32(2.0**-32))))
    x = root * random._SCALE + random._ORIGIN
    size = polynomial(random._ABOVE, x) / polynomial(random._BELOW, x)
    return np.where(signed >= 0, size, -size)


def reference_poisson(mean: np.ndarray, w: np.ndarray) -> np.ndarray:
    sigma = np.sqrt(mean)
    inverse = np.float32(1) / sigma
    r = w * inverse
    near = polynomial(random._CONSTANT, r) + inverse * inverse * polynomial(random._INVERSE, r)
    return np.maximum(np.floor(mean + (sigma * w + (w * w * polynomial(random._SQUARE, r) + near))), np.float32(0))


def polynomial(coefficients: tuple, x: np.ndarray) -> np.ndarray:
    total = np.full_like(x, coefficients[0])
    for coefficient in coefficients[1:]:
        total = total * x + coefficient
    return total


def shoot(mean: np.ndarray, words: np.ndarray) -> np.ndarray:
    """Electrons by the kernels."""
    normals, out = np.empty((2, words.size), np.float32)
    random.normals(words, normals)
    scratch = (np.empty(words.size, np.int32), np.empty((4, random.TOGETHER)))
    kernels._shoot(mean, words, normals, scratch, out)
    return out


def test_every_machine_rounds_alike() -> None:
    """Bit for bit what IEEE 754 says of each operation: nothing is fused, nothing is reordered."""
    words = np.random.default_rng(0).integers(0, 2**32, 200_000, np.uint32)
    mean = np.random.default_rng(1).uniform(12, 20_000, words.size).astype(np.float32)
    normals = np.empty(words.size, np.float32)
    random.normals(words, normals)
    np.testing.assert_array_equal(normals, reference_normal(words))
    np.testing.assert_array_equal(shoot(mean, words), reference_poisson(mean, normals))


def poisson_shares(mean: float, top: int) -> np.ndarray:
    return np.array([math.exp(k * math.log(mean) - mean - math.lgamma(k + 1)) for k in range(top)])


@pytest.mark.parametrize("mean", [0.001, 0.3, 2.0, 9.9, 10.1, 11.99, 12.0, 12.5, 15.0, 30.0, 100.0, 1_000.0])
def test_the_shares_of_words_are_poissons_probabilities(mean: float) -> None:
    """No chance in this: a chi-square of 10**7 numbers could not tell these probabilities from the exact ones."""
    count = 2**22
    mean = float(np.float32(mean))
    found = shoot(np.full(count, mean, np.float32), evenly(count)).astype(int)
    top = int(mean + 12 * math.sqrt(mean) + 12)
    exact = poisson_shares(mean, top)
    share = np.bincount(found, minlength=top)[:top] / count
    assert np.abs(share - exact).max() < 2e-6 + 2 / count
    seen = exact * 1e7 >= 5
    excess = np.maximum(np.abs(share - exact) - 2 / count, 0)[seen]
    assert 1e7 * (excess**2 / exact[seen]).sum() < 0.1


@pytest.mark.parametrize("mean", [0.0, 0.03, 0.7, 4.0, 9.9, 10.1, 11.9, 12.1, 30.0, 333.0, 1_000.0])
def test_photons_follow_poissons_law(mean: float) -> None:
    """Chi-square of 360,000 samples of frames against the exact probabilities, classes of 20 or more expected."""
    found, count = counted(PIXEL, mean, 3), SIDE * SIDE
    assert np.all(found == np.floor(found))
    assert found.min() >= 0
    if mean == 0:
        assert found.max() == 0
        return
    mean = single(mean)
    top = int(mean + 12 * math.sqrt(mean) + 12)
    share, seen = poisson_shares(mean, top), np.bincount(found.astype(int), minlength=top)[:top]
    big = share * count >= 20
    expected = np.append(share[big], 1 - share[big].sum()) * count
    observed = np.append(seen[big], count - seen[big].sum())
    if expected[-1] < 1:
        expected, observed = expected[:-1], observed[:-1]
    assert_chi_square(observed, expected)


def assert_chi_square(observed: np.ndarray, expected: np.ndarray) -> None:
    """Within five standard deviations of its mean."""
    chi_square, freedom = ((observed - expected) ** 2 / expected).sum(), len(expected) - 1
    assert abs(chi_square - freedom) < 5 * math.sqrt(2 * freedom) + 5


@pytest.mark.parametrize("mean", [1e4, 1e6, 1e8, 1e9 / 2])
def test_many_photons_are_nearly_normal(mean: float) -> None:
    """Chi-square over 80 classes of a normal distribution with Poisson's skewness (Cornish and Fisher)."""
    found = np.concatenate([counted(PIXEL, mean, frame) for frame in range(3)])
    step = np.maximum(np.spacing(found), 1)  # volts are float32
    spread = found + step * np.random.default_rng(2).uniform(-0.5, 0.5, found.size)
    mean, count = single(mean), found.size
    w = np.array([NormalDist().inv_cdf(i / 80) for i in range(1, 80)])
    edges = mean + math.sqrt(mean) * w + (w * w - 1) / 6
    observed = np.diff(np.concatenate([[0], np.searchsorted(np.sort(spread), edges), [count]]))
    assert_chi_square(observed, np.full(80, count / 80))


@pytest.mark.full
@pytest.mark.parametrize("mean", [0.5, 9.9, 10.1, 12.0, 14.0, 30.0, 1_000.0])
def test_ten_million_samples_follow_poissons_law(mean: float) -> None:
    found = np.concatenate([counted(PIXEL, mean, frame, 1000) for frame in range(10)]).astype(int)
    mean = single(mean)
    top = int(mean + 12 * math.sqrt(mean) + 12)
    share, seen = poisson_shares(mean, top), np.bincount(found, minlength=top)[:top]
    big = share * found.size >= 5
    rest = np.array([found.size - seen[big].sum(), (1 - share[big].sum()) * found.size])
    assert abs(rest[0] - rest[1]) < 5 * math.sqrt(rest[1]) + 5
    assert_chi_square(seen[big], share[big] * found.size)


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


def test_read_noise_reaches_five_standard_deviations() -> None:
    """In 3.6 million samples about two lie beyond, and none beyond 6.4."""
    found = np.abs(np.concatenate([electrons(0.0, Shot(6, frame)) for frame in range(10)])) / PIXEL.read_noise_e
    assert 5 < found.max() < 6.4
    assert abs((found > 4).sum() - 6.334e-5 * found.size) < 5 * math.sqrt(6.334e-5 * found.size)


@pytest.mark.parametrize("level", [0.0, 5.0, 1_000.0])
def test_samples_are_independent(level: float) -> None:
    """Of neighbours; of those that share a block of words, 512 apart; of other frames, rows, seeds and channels."""
    first, frame, seed, high = (
        electrons(level, shot) - level for shot in (Shot(7, 0), Shot(7, 1), Shot(8, 0), Shot(7, 2**32))
    )
    pairs = [
        *((first[:, distance:], first[:, :-distance]) for distance in (1, 2, 256, 512)),
        *((first[distance:], first[:-distance]) for distance in (1, 2, 256)),
        (first, frame),
        (first, seed),
        (first, high),
        (first, first.T),
    ]
    for a, b in pairs:
        assert abs((a * b).mean()) < 5.1 * first.var() / math.sqrt(a.size)
        assert abs(np.corrcoef(a.ravel() ** 2, b.ravel() ** 2)[0, 1]) < 5.1 / math.sqrt(a.size)


def test_shot_noise_and_read_noise_are_independent() -> None:
    """Both with the same words, alone and together."""
    loud = replace(PIXEL, read_noise_e=math.sqrt(1_000))
    read = electrons(0.0, Shot(7, 0), loud)
    both = electrons(1_000.0, Shot(7, 0), loud)
    shot = both - read - 1_000
    assert shot.var() == pytest.approx(1_000, rel=0.015)
    assert abs((shot * read).mean()) < 5 * 1_000 / math.sqrt(N)


def test_channels_of_a_stacked_sensor_are_independent() -> None:
    scene = LightScene(np.full((SIDE, SIDE, 3), 0.1, np.float32))
    volts = expose(scene, Policy(SIDE, SIDE, Cfa.NONE, 3), CameraSettings(), PIXEL, Shot(3, 0)).rows(0, SIDE)
    red, green, blue = ((volts[:, :, c] - volts.mean()).astype(np.float64) for c in range(3))
    for a, b in [(red, green), (green, blue), (red, blue), (red[1:], green[:-1])]:
        assert abs((a * b).mean()) < 5 * volts.astype(np.float64).var() / math.sqrt(a.size)


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


@pytest.mark.parametrize("policy", [Policy(70, 46), Policy(71, 45, Cfa.NONE, 3), Policy(2_201, 9, Cfa.NONE)])
@pytest.mark.parametrize("block", [1, 2, 7, 45])
def test_blocks_of_any_size_give_the_same_frame(policy: Policy, block: int) -> None:
    source = expose(random_light(policy.width, policy.height), policy, CameraSettings(), PIXEL, Shot(1, 2))
    whole = source.rows(0, policy.height)
    starts = range(0, policy.height, block)
    parts = [source.rows(first, min(policy.height, first + block)) for first in reversed(starts)]
    assert np.array_equal(np.concatenate(parts[::-1]), whole)
    assert np.array_equal(source.rows(3, 4), whole[3:4])


def test_threads_give_the_same_frame_as_rows_one_by_one() -> None:
    policy = Policy(1_300, 300)  # more than one thread's part
    source = expose(random_light(1_300, 300), policy, CameraSettings(), PIXEL, Shot(1, 2))
    rows = [source.rows(row, row + 1) for row in range(300)]
    assert np.array_equal(source.rows(0, 300), np.concatenate(rows))


def test_noise_follows_seed_and_frame_and_nothing_else() -> None:
    policy, scene = Policy(64, 64), random_light(64, 64)
    cut = LightScene(scene.radiance[:, :40])

    def frame(seed: int, number: int) -> np.ndarray:
        return expose(scene, policy, CameraSettings(), PIXEL, Shot(seed, number)).rows(0, 64)

    assert np.array_equal(frame(5, 9), frame(5, 9))
    assert np.array_equal(
        frame(5, 9)[:, :40], expose(cut, Policy(40, 64), CameraSettings(), PIXEL, Shot(5, 9)).rows(0, 64)
    )
    others = [frame(5, 10), frame(6, 9), frame(5 + 2**32, 9), frame(5, 9 + 2**32), frame(2**64 - 1, 2**48 - 1)]
    for other in others:
        assert (other == frame(5, 9)).mean() < 0.01
