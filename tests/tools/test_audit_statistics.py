"""Attacks on what a shuffle keeps: values, and whatever comes back from frame to frame."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from audit.attacks import fixed_pattern, histogram_classifier, reidentification, weak_seed
from audit.material import white
from audit.positions import Sensor
from audit.views import known, picture
from keyvault.policy import Cfa, Policy

SIDE = 16
STACKED = Policy(SIDE, SIDE, Cfa.NONE, 3, bits=8)


def scenes(count: int, seed: int = 1) -> np.ndarray:
    """Smooth colour pictures of different brightness: uint8 (count, 16, 16, 3)."""
    rng = np.random.default_rng(seed)
    smooth = gaussian_filter(rng.normal(size=(count, SIDE, SIDE, 3)), (0, 3, 3, 0), mode="wrap")
    level = rng.uniform(60, 190, (count, 1, 1, 3))
    return np.clip(level + 25 * smooth / smooth.std(), 0, 255).astype(np.uint8)


def shuffled(frames: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Each frame (n, p, c) under a permutation of its own."""
    return np.stack([frame[rng.permutation(len(frame))] for frame in frames])


@pytest.mark.parametrize("feature", [reidentification.quantiles, reidentification.means])
@pytest.mark.parametrize("policy", [STACKED, Policy(2 * SIDE, 2 * SIDE, Cfa.GRBG)], ids=["stacked", "mosaic"])
def test_a_shuffle_keeps_what_finds_a_scene_and_a_mask_does_not(feature, policy: Policy) -> None:
    rng = np.random.default_rng(0)
    plain = known(scenes(300), policy)
    moved = shuffled(plain[:50], rng)
    masked = rng.integers(0, 2**policy.bits, moved.shape).astype(np.uint16)
    assert (reidentification.nearest(feature(moved), feature(plain)) == np.arange(50)).mean() > 0.98
    assert (reidentification.nearest(feature(masked), feature(plain)) == np.arange(50)).mean() < 0.1


@pytest.mark.parametrize("policy", [STACKED, Policy(SIDE, SIDE, Cfa.BGGR), Policy(2 * SIDE, 2 * SIDE, Cfa.GRBG)])
def test_scenes_are_as_bright_on_a_sensor_of_any_depth(policy: Policy) -> None:
    images = scenes(2)
    images[0, 0, 0] = 255
    eight = known(images, replace(policy, bits=8))
    for bits in (8, 10, 12, 16):
        deep = replace(policy, bits=bits)
        dn = known(images, deep)
        assert dn.max() == white(deep)
        assert np.abs(dn / white(deep) - eight / 255).max() < 0.5 / 255


def test_quantiles_know_no_order() -> None:
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 4096, (3, 100, 2)).astype(np.uint16)
    assert np.array_equal(reidentification.quantiles(frames), reidentification.quantiles(shuffled(frames, rng)))
    assert np.array_equal(reidentification.quantiles(frames, 100)[1, :100], np.sort(frames[1, :, 0]))


def test_a_class_that_shows_in_the_colours_is_told_from_shuffled_frames() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 4, 400)
    images = scenes(400) // 2
    images[..., 0] += (20 * labels)[:, None, None].astype(np.uint8)
    frames = shuffled(known(images, STACKED), rng)
    seen = histogram_classifier.features(frames, 256)
    assert np.array_equal(seen, histogram_classifier.features(shuffled(frames, rng), 256))
    one = histogram_classifier.train(seen[:300], labels[:300], np.random.default_rng(1))
    same = histogram_classifier.train(seen[:300], labels[:300], np.random.default_rng(1))
    found = one.classes(seen[300:])
    assert (found == labels[300:]).mean() > 0.4
    assert np.array_equal(found, same.classes(seen[300:]))
    noise = histogram_classifier.features(rng.integers(0, 256, frames[300:].shape).astype(np.uint16), 256)
    assert (one.classes(noise) == labels[300:]).mean() < 0.4


def test_joint_histograms_count_colours() -> None:
    frames = np.array([[[0, 0, 0], [255, 255, 255]]], np.uint16)
    found = histogram_classifier.joint_histograms(frames, 256)
    assert found.shape == (1, 512)
    assert (found[0, 0], found[0, 511], found.sum()) == (0.5, 0.5, 1)
    assert histogram_classifier.joint_histograms(frames[..., :1], 256).shape == (1, 64)


@pytest.mark.parametrize("policy", [STACKED, Policy(2 * SIDE, 2 * SIDE)], ids=["stacked", "mosaic"])
def test_the_seed_of_a_weak_generator_is_found_from_one_frame(policy: Policy) -> None:
    plain, seeds = known(scenes(3), policy), [0, 77, 199]
    orders = [weak_seed.order(seed, Sensor(policy)) for seed in seeds]
    frames = np.stack([scene[order] for scene, order in zip(plain, orders, strict=True)])
    assert weak_seed.search(frames, policy, range(200)) == seeds
    assert np.array_equal(weak_seed.restored(frames[1:2], orders[1])[0], plain[1])
    tables = np.argsort(orders, axis=1).astype(np.int32)
    assert (weak_seed.exact(seeds, tables, Sensor(policy)) == 1).all()
    assert weak_seed.exact([1, 2, 3], tables, Sensor(policy)).max() < 0.03
    assert weak_seed.years(2**256, 1e18) > 1e50


def test_equal_averages_are_equal_columns() -> None:
    rng = np.random.default_rng(0)
    offsets, columns = 10 * np.arange(8.0), np.tile(np.arange(8), 16)
    frames = (100 + offsets[columns] + rng.normal(0, 3, (200, 128)))[..., None].astype(np.uint16)
    order = rng.permutation(128)
    fixed, fresh = frames[:, order], shuffled(frames, rng)

    def together(shown: NDArray[np.uint16]) -> float:
        """Share of pairs of one true column."""
        pairs = fixed_pattern.alike(fixed_pattern.average(shown), 4)
        return float((columns[order][pairs] == columns[order][:, None]).mean())

    assert together(fixed) > 0.95
    assert together(fresh) < 0.3


def test_no_position_is_its_own_neighbour_even_among_equals() -> None:
    found = fixed_pattern.alike(np.zeros((20, 1)), 3)
    assert found.shape == (20, 3)
    assert not (found == np.arange(20)[:, None]).any()


def test_pictures_of_frames() -> None:
    assert picture(known(scenes(1), STACKED)[0], STACKED).tolist() == scenes(1)[0].tolist()
    mosaic = Policy(2 * SIDE, 2 * SIDE)
    assert picture(np.full((mosaic.photosites, 1), 4095, np.uint16), mosaic).tolist() == [[255] * 32] * 32
