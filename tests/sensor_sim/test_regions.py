"""The part of a scene that the sensor sees."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyvault.errors import PolicyError
from keyvault.policy import Cfa, Policy
from sensor_sim import DnScene, LightScene, load_scene
from sensor_sim.errors import SettingsError
from sensor_sim.photograph import from_image, srgb_to_linear
from sensor_sim.region import Region

sides = st.integers(1, 60)
shares = st.floats(0, 1)


@given(sides, sides, shares, shares, shares, shares, st.booleans())
def test_shares_lie_inside_and_keep_the_colours(
    height: int, width: int, x: float, y: float, w: float, h: float, quads: bool
) -> None:
    w, h = max(1e-3, w * (1 - x)), max(1e-3, h * (1 - y))
    if x + w > 1 or y + h > 1:
        return
    rows, columns = np.indices((height, width))
    part = Region(x, y, w, h).cut(np.stack([rows, columns], -1), "scene", quads=quads)
    top, left = part[0, 0]
    assert part.shape[0] >= 1
    assert part.shape[1] >= 1
    np.testing.assert_array_equal(part[-1, -1] - part[0, 0], (part.shape[0] - 1, part.shape[1] - 1))
    if quads:
        assert top % 2 == left % 2 == 0
    else:
        assert abs(left - x * width) <= 1
        assert abs(part.shape[1] - w * width) <= 1


def test_whole_pixels_are_taken_as_they_are() -> None:
    image = np.arange(48).reshape(6, 8)
    np.testing.assert_array_equal(Region.parse("2,1,4,3").cut(image, "scene"), image[1:4, 2:6])
    np.testing.assert_array_equal(Region.parse("2,4,4,2").cut(image, "scene", quads=True), image[4:6, 2:6])
    np.testing.assert_array_equal(Region.parse("0,0,1,1").cut(image, "scene"), image)
    np.testing.assert_array_equal(Region.parse("0.25,0.5,0.5,0.5").cut(image, "scene"), image[3:6, 2:6])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is not X,Y,W,H"),
        ("1,2,3", "is not X,Y,W,H"),
        ("a,b,c,d", "is not X,Y,W,H"),
        ("0,0,0,1", "W and H above 0"),
        ("-1,0,4,4", "from 0 on"),
        ("nan,0,1,1", "is not X,Y,W,H"),
        ("0.5,0,0.6,1", "beyond the scene"),
        ("0.5,0,8,8", "parts of pixels"),
    ],
)
def test_other_texts_are_refused(text: str, words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        Region.parse(text)


def test_a_region_beyond_the_image_or_inside_a_quad_is_refused() -> None:
    image = np.zeros((6, 8))
    with pytest.raises(SettingsError, match="beyond photo, which is 8x6"):
        Region.parse("4,0,5,6").cut(image, "photo")
    with pytest.raises(SettingsError, match="inside a quad"):
        Region.parse("1,0,4,4").cut(image, "photo", quads=True)


def test_dn_are_cut_and_never_resampled() -> None:
    dn = np.arange(12 * 16, dtype=np.uint16).reshape(12, 16)
    scene = DnScene(dn, 0, 4095, cfa=Cfa.RGGB, name="raw")
    cut = load_scene(scene, Policy(8, 6), Region.parse("4,2,8,6"))
    assert isinstance(cut, DnScene)
    np.testing.assert_array_equal(cut.dn, dn[2:8, 4:12])
    assert cut.cfa is Cfa.RGGB
    with pytest.raises(PolicyError, match=r"raw is 4x4.*the key is for 8x6"):
        load_scene(scene, Policy(8, 6), Region.parse("4,2,4,4"))


def test_light_of_a_region_fills_the_sensor() -> None:
    light = np.zeros((8, 8, 3), np.float32)
    light[:4, 4:] = 0.5
    seen = load_scene(LightScene(light), Policy(8, 8), Region.parse("0.5,0,0.5,0.5"))
    assert isinstance(seen, LightScene)
    np.testing.assert_array_equal(seen.radiance, np.full((8, 8, 3), 0.5, np.float32))


def test_a_photograph_is_cut_before_it_is_fitted() -> None:
    image = np.zeros((40, 40, 3), np.uint8)
    image[10:20, 20:40] = 200
    seen = from_image(image, 10, 5, region=Region.parse("20,10,20,10"))
    np.testing.assert_allclose(seen.radiance, np.float32(srgb_to_linear(np.array(200 / 255))), rtol=1e-6)


def test_a_sensor_without_filters_takes_any_corner() -> None:
    dn = np.arange(12 * 16, dtype=np.uint16).reshape(12, 16)
    cut = load_scene(DnScene(dn, 0, 4095, cfa=Cfa.NONE), Policy(7, 5, Cfa.NONE), Region.parse("3,1,7,5"))
    assert isinstance(cut, DnScene)
    np.testing.assert_array_equal(cut.dn, dn[1:6, 3:10])
    with pytest.raises(SettingsError, match="inside a quad"):  # an unknown mosaic may have colours
        load_scene(DnScene(dn, 0, 4095), Policy(8, 6), Region.parse("3,1,8,6"))


def test_light_is_not_stretched_by_a_region_of_another_shape() -> None:
    light = np.zeros((8, 16, 3), np.float32)
    light[:, 4:12] = 1  # the middle square
    seen = load_scene(LightScene(light), Policy(4, 4), Region.parse("0,0,1,1"))
    assert isinstance(seen, LightScene)
    assert seen.radiance.min() == 1
