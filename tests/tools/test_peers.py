"""The peers' transformations: what they keep, what they undo, and what their papers say of them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from keyvault.errors import InputError
from peers import block_cipher, ele, etc_, keynets, le, optics, pixel_shuffle, privconv
from peers.registry import PEERS

KEYED = sorted(name for name, peer in PEERS.items() if not name.startswith("defocus") and peer.side == 32)
BLOCKWISE = {"le": le.draw, "ele": ele.draw, "etc": etc_.draw, "etc-grey": etc_.draw_grey, "privconv": privconv.draw}


def random_images(seed: int, height: int = 32, width: int = 32, count: int = 3) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (count, height, width, 3), np.uint8)


@pytest.mark.parametrize("name", KEYED)
@given(seed=st.integers(0, 2**32 - 1), rows=st.integers(1, 4), columns=st.integers(1, 4))
def test_the_inverse_gives_the_image_back(name: str, seed: int, rows: int, columns: int) -> None:
    height, width = 8 * rows, 8 * columns
    protection = PEERS[name].protect(seed, height, width)
    images = random_images(seed, height, width)
    protected = protection.transform(images)
    assert protected.shape == images.shape
    assert protected.dtype == np.uint8
    assert protection.inverse is not None
    error = np.abs(protection.inverse(protected).astype(int) - images)
    assert error.max() <= (0 if protection.exact else 1)


@pytest.mark.parametrize("name", KEYED)
def test_another_key_does_not_give_it_back(name: str) -> None:
    images = random_images(0)
    protected = PEERS[name].protect(1, 32, 32).transform(images)
    assert np.mean(protected == images) < 0.2
    inverse = PEERS[name].protect(2, 32, 32).inverse
    assert inverse is not None
    assert np.mean(inverse(protected) == images) < 0.2


@pytest.mark.parametrize("name", sorted(PEERS))
def test_an_image_is_protected_alike_alone_and_among_others(name: str) -> None:
    images = PEERS[name].scale(random_images(3))
    transform = PEERS[name].protection(1).transform
    for image, protected in zip(images, transform(images), strict=True):
        np.testing.assert_array_equal(transform(image[None])[0], protected)
    assert transform(images[:0]).shape == (0, *images.shape[1:])


def changed_blocks(name: str, block: int) -> NDArray[np.int64]:
    """Numbers of the blocks of the protected image that a change in the first block reaches."""
    images = random_images(5, count=1)
    other = images.copy()
    other[:, :block, :block] ^= 255
    transform = PEERS[name].protect(1, 32, 32).transform
    differs = np.any(transform(images)[0] != transform(other)[0], axis=2)
    side = 32 // block
    return np.flatnonzero(np.any(differs.reshape(side, block, side, block), axis=(1, 3)))


@pytest.mark.parametrize("name", ["le", "ele", "etc", "privconv"])
def test_a_block_goes_to_one_block(name: str) -> None:
    assert BLOCKWISE[name](np.random.default_rng(1), 32, 32).block == 4
    assert len(changed_blocks(name, 4)) == 1


def test_le_leaves_blocks_where_they_are() -> None:
    np.testing.assert_array_equal(changed_blocks("le", 4), [0])


@pytest.mark.parametrize(("name", "alike"), [("le", True), ("privconv", True), ("ele", False), ("etc", False)])
def test_equal_blocks_stay_equal_only_under_a_shared_key(name: str, alike: bool) -> None:
    images = np.tile(random_images(7, 4, 4, count=1), (1, 8, 8, 1))
    protected = PEERS[name].protect(1, 32, 32).transform(images)
    blocks = protected.reshape(8, 4, 8, 4, 3).transpose(0, 2, 1, 3, 4).reshape(64, -1)
    assert (len(np.unique(blocks, axis=0)) == 1) == alike


def test_learnable_encryption_moves_halves_of_bytes() -> None:
    images = np.full((1, 32, 32, 3), 0x2D, np.uint8)
    for name in ("le", "ele"):
        halves = set(np.unique(PEERS[name].protect(1, 32, 32).transform(images)).tolist())
        assert halves <= {16 * high + low for high in (2, 13) for low in (2, 13)}
        assert len(halves) > 1


def test_half_of_the_blocks_of_etc_are_negative_as_a_whole() -> None:
    protected = PEERS["etc"].protect(1, 32, 32).transform(np.full((1, 32, 32, 3), 10, np.uint8))
    blocks = protected.reshape(8, 4, 8, 4, 3).transpose(0, 2, 1, 3, 4).reshape(64, -1)
    assert sorted(blocks.min(1).tolist()) == [10] * 32 + [245] * 32
    np.testing.assert_array_equal(blocks.min(1), blocks.max(1))


def test_grey_based_etc_moves_blocks_between_planes() -> None:
    images = np.zeros((1, 32, 32, 3), np.uint8)
    images[..., 0] = 100  # red only: 16 of 48 grey blocks
    protected = PEERS["etc-grey"].protect(1, 32, 32).transform(images)
    bright = np.all(((protected == 100) | (protected == 155)).reshape(4, 8, 4, 8, 3), axis=(1, 3))
    assert bright.sum() == 16
    assert bright.reshape(16, 3).any(axis=0).all()


def test_every_turn_of_a_block_occurs() -> None:
    key = etc_.draw_grey(np.random.default_rng(0), 128, 128)
    assert len(np.unique(key.order, axis=0)) == 8  # the symmetries of a square


def test_a_shuffle_keeps_the_colours_of_a_pixel_together_and_key_nets_does_not() -> None:
    red = np.zeros((1, 32, 32, 3), np.uint8)
    red[..., 0] = 200
    shuffled, parted = (PEERS[name].protect(1, 32, 32).transform(red) for name in ("pixel-shuffle", "key-nets"))
    np.testing.assert_array_equal(shuffled, red)
    assert (parted > 0).sum() == 32 * 32
    assert [300 < found < 380 for found in (parted > 0).sum(axis=(0, 1, 2))] == [True] * 3


def test_a_shuffle_keeps_the_histogram() -> None:
    images = random_images(11)
    protected = PEERS["pixel-shuffle"].protect(1, 32, 32).transform(images)
    np.testing.assert_array_equal(np.sort(protected.reshape(3, -1, 3), 1), np.sort(images.reshape(3, -1, 3), 1))


def test_gains_darken_each_value_by_its_own_factor() -> None:
    bright = np.full((1, 32, 32, 3), 200, np.uint8)
    darkened = PEERS["key-nets"].protect(1, 32, 32).transform(bright)
    assert darkened.min() >= 200 * keynets.LEAST_GAIN
    assert darkened.max() <= 200
    assert len(np.unique(darkened)) > 50


@pytest.mark.parametrize("radius", [0.3, 1.0, 2.5, 4.0])
def test_a_disc_is_what_a_lens_out_of_focus_makes_of_a_point(radius: float) -> None:
    kernel = optics.disc(radius)
    reach = len(kernel) // 2
    assert kernel.sum() == pytest.approx(1, abs=1e-5)
    np.testing.assert_array_equal(kernel, kernel.T)
    np.testing.assert_array_equal(kernel, kernel[::-1])
    distance = np.hypot(*np.mgrid[-reach : reach + 1, -reach : reach + 1])
    assert (kernel[distance > radius + 0.75] == 0).all()
    if radius >= 1:  # a pixel in the middle is a unit of the disc's area
        assert 1 / kernel[reach, reach] == pytest.approx(np.pi * radius**2, rel=0.05)


def test_blur_keeps_flat_images_and_loses_more_detail_the_stronger_it_is() -> None:
    flat = np.full((2, 32, 32, 3), 77, np.uint8)
    detail = []
    for radius in optics.STRENGTHS:
        np.testing.assert_array_equal(optics.transform(flat, radius), flat)
        detail.append(optics.transform(random_images(13), radius).std())
    assert detail == sorted(detail, reverse=True)


@pytest.mark.parametrize("radius", [0.0, -1.0, 0.01, float("nan"), float("inf")])
def test_what_is_no_blur_is_refused(radius: float) -> None:
    with pytest.raises(InputError, match="no radius of a blur"):
        optics.disc(radius)


@pytest.mark.parametrize("name", sorted(BLOCKWISE))
def test_images_that_are_not_made_of_blocks_are_refused(name: str) -> None:
    with pytest.raises(InputError, match="not made of"):
        PEERS[name].protect(1, 30, 32)


@pytest.mark.parametrize("name", KEYED)
def test_a_key_of_another_size_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="the key is for"):
        PEERS[name].protect(1, 32, 32).transform(random_images(1, 16, 16))


def test_images_are_scaled_to_the_published_size() -> None:
    peer = PEERS["privconv-224"]
    images = peer.scale(np.stack([np.full((32, 32, 3), value, np.uint8) for value in (3, 200)]))
    assert images.shape == (2, 224, 224, 3)
    assert (images == np.array([3, 200]).reshape(2, 1, 1, 1)).all()
    images = random_images(1, 224, 224, count=1)
    assert peer.scale(images) is images
    protection = peer.protection(1)
    assert protection.inverse is not None
    np.testing.assert_array_equal(protection.inverse(protection.transform(images)), images)
    key = privconv.draw(np.random.default_rng(1), 224, 224, privconv.PUBLISHED_BLOCK)
    assert len(key.places) == 196
    np.testing.assert_array_equal(protection.transform(images), block_cipher.transform(images, key))


def test_a_permutation_key_has_each_position_once() -> None:
    key = pixel_shuffle.draw(np.random.default_rng(1), 6, 7)
    np.testing.assert_array_equal(np.sort(key), np.arange(42))
