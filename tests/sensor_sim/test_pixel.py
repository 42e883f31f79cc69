"""The pixel model without noise: mosaics, exposure, saturation, and which settings it takes."""

from __future__ import annotations

import numpy as np
import pytest
from camera_kit import QUIET, plain, random_light

from adc_firmware import AnalogSource
from keyvault.errors import PolicyError
from keyvault.policy import Cfa, Policy
from sensor_sim import CameraSettings, DnScene, LightScene, PixelModel, SettingsError, Shot, expose

WIDTH, HEIGHT = 22, 14
BAYER = [Cfa.RGGB, Cfa.BGGR, Cfa.GRBG, Cfa.GBRG]
PIXEL = PixelModel()


def expected_dn(light: np.ndarray, bits: int) -> np.ndarray:
    """The equations of docs/sensor.md in exact steps, for one value a sample and no noise."""
    black = 64 * 2**bits // 4096
    electrons = np.minimum(light.astype(np.float64) * 10_000, 10_000)
    return np.floor(electrons / 10_000 * (2**bits - 1 - black) + black + 0.5)


def sliced_mosaic(light: np.ndarray, cfa: Cfa) -> np.ndarray:
    """A mosaic put together from four strided planes."""
    names = {"R": light[:, :, 0], "G": light[:, :, 1], "B": light[:, :, 2]}
    mosaic = np.zeros(light.shape[:2], light.dtype)
    mosaic[0::2, 0::2] = names[cfa[0]][0::2, 0::2]
    mosaic[0::2, 1::2] = names[cfa[1]][0::2, 1::2]
    mosaic[1::2, 0::2] = names[cfa[2]][1::2, 0::2]
    mosaic[1::2, 1::2] = names[cfa[3]][1::2, 1::2]
    return mosaic


def assert_same_dn(found: np.ndarray, expected: np.ndarray, light: np.ndarray, bits: int) -> None:
    """Equal, but where float32 volts and exact arithmetic fall on two sides of a half."""
    differ = found != expected
    exact = np.minimum(light.astype(np.float64), 1) * (2**bits - 1 - 2**bits // 64) + 2**bits // 64 + 0.5
    assert np.abs(exact[differ] - np.round(exact[differ])).max(initial=0) < 2**bits * 2**-22


@pytest.mark.parametrize("bits", [8, 12, 16])
@pytest.mark.parametrize("cfa", BAYER)
def test_a_bayer_sensor_sees_each_photosite_through_its_filter(cfa: Cfa, bits: int) -> None:
    scene = random_light(WIDTH, HEIGHT)
    mosaic = sliced_mosaic(scene.radiance, cfa)
    found = plain(scene, Policy(WIDTH, HEIGHT, cfa, bits=bits))
    assert found.shape == (HEIGHT, WIDTH)
    assert_same_dn(found, expected_dn(mosaic, bits), mosaic, bits)


def test_a_monochrome_sensor_sees_luminance() -> None:
    scene = random_light(WIDTH + 1, HEIGHT + 1)
    luminance = scene.radiance.astype(np.float64) @ np.array([0.2126, 0.7152, 0.0722])
    found = plain(scene, Policy(WIDTH + 1, HEIGHT + 1, Cfa.NONE))
    assert_same_dn(found, expected_dn(luminance, 12), luminance, 12)


def test_a_stacked_sensor_sees_all_three() -> None:
    scene = random_light(WIDTH + 1, HEIGHT)
    found = plain(scene, Policy(WIDTH + 1, HEIGHT, Cfa.NONE, 3))
    assert found.shape == (HEIGHT, WIDTH + 1, 3)
    assert_same_dn(found, expected_dn(scene.radiance, 12), scene.radiance, 12)


@pytest.mark.parametrize("bits", range(8, 17))
def test_the_scale_goes_from_black_level_to_the_highest_dn(bits: int) -> None:
    policy = Policy(2, 2, Cfa.NONE, bits=bits)
    converter = PIXEL.converter(bits)
    assert converter.black_level == 2 ** (bits - 6)
    assert np.all(plain(LightScene(np.zeros((2, 2, 3))), policy) == converter.black_level)
    assert np.all(plain(LightScene(np.ones((2, 2, 3))), policy) == 2**bits - 1)
    assert np.all(plain(LightScene(np.full((2, 2, 3), 7.0)), policy) == 2**bits - 1)
    source = expose(LightScene(np.ones((2, 2, 3))), policy, QUIET, PIXEL, Shot(0, 0))
    assert (source.black_level, source.white_level) == (converter.black_level, 2**bits - 1)


@pytest.mark.parametrize(
    ("settings", "factor"),
    [
        (CameraSettings(noise=False), 1.0),
        (CameraSettings(shutter_us=2_500, noise=False), 0.25),
        (CameraSettings(shutter_us=20_000, noise=False), 2.0),
        (CameraSettings(gain=4.0, noise=False), 4.0),
        (CameraSettings(gain=0.5, noise=False), 0.5),
        (CameraSettings(illumination=0.125, noise=False), 0.125),
        (CameraSettings(shutter_us=5_000, gain=8.0, illumination=0.5, noise=False), 2.0),
    ],
)
def test_volts_follow_shutter_gain_and_illumination(settings: CameraSettings, factor: float) -> None:
    scene = LightScene(np.full((4, 4, 3), 0.2))
    volts = expose(scene, Policy(4, 4), settings, PIXEL, Shot(0, 0)).rows(0, 4)
    assert volts.dtype == np.float32
    assert np.allclose(volts, 0.2 * factor, rtol=1e-6)  # 10,000 e- at 100 uV are 1 V


def test_the_well_is_full_before_the_gain() -> None:
    scene = LightScene(np.full((4, 4, 3), 3.0))
    volts = expose(scene, Policy(4, 4), CameraSettings(gain=2.0, noise=False), PIXEL, Shot(0, 0)).rows(0, 4)
    assert np.allclose(volts, 2.0)


def test_gain_takes_effect_as_the_header_states_it() -> None:
    scene = LightScene(np.full((4, 4, 3), 0.5))
    settings = CameraSettings(gain=1.2344, noise=False)
    assert settings.gain_milli == 1234
    assert np.allclose(expose(scene, Policy(4, 4), settings, PIXEL, Shot(0, 0)).rows(0, 4), 0.5 * 1.234)


def test_dn_pass_unchanged_whatever_the_settings() -> None:
    dn = np.random.default_rng(0).integers(0, 4096, (6, 8), np.uint16)
    source: AnalogSource = expose(
        DnScene(dn, 7, 3000), Policy(8, 6), CameraSettings(gain=9.0, shutter_us=1), PIXEL, Shot(3, 4)
    )
    assert np.array_equal(source.rows(1, 5), dn[1:5])
    assert (source.shape, source.black_level, source.white_level) == ((6, 8), 7, 3000)


def test_a_scene_of_another_size_is_refused() -> None:
    with pytest.raises(PolicyError, match="6x4"):
        expose(LightScene(np.zeros((4, 6, 3))), Policy(4, 6), QUIET, PIXEL, Shot(0, 0))


@pytest.mark.parametrize(("first", "last"), [(-1, 2), (3, 2), (0, 15)])
def test_rows_that_are_not_there_are_refused(first: int, last: int) -> None:
    source = expose(random_light(WIDTH, HEIGHT), Policy(WIDTH, HEIGHT), QUIET, PIXEL, Shot(0, 0))
    with pytest.raises(IndexError):
        source.rows(first, last)


@pytest.mark.parametrize(
    "values",
    [
        {"shutter_us": 0},
        {"shutter_us": 2**32},
        {"shutter_us": 1.5},
        {"shutter_us": True},
        {"gain": 0.0},
        {"gain": 1000.1},
        {"gain": float("nan")},
        {"gain": "2"},
        {"seed": -1},
        {"seed": 2**64},
        {"illumination": -1.0},
        {"illumination": float("inf")},
    ],
)
def test_settings_out_of_range_are_refused(values: dict) -> None:
    with pytest.raises(SettingsError):
        CameraSettings(**values)


@pytest.mark.parametrize(
    "values",
    [
        {"full_well_e": 0.5},
        {"read_noise_e": -1.0},
        {"conversion_gain_uv": 0.0},
        {"nominal_shutter_us": 0},
        {"full_well_e": float("nan")},
    ],
)
def test_pixels_out_of_range_are_refused(values: dict) -> None:
    with pytest.raises(SettingsError):
        PixelModel(**values)


@pytest.mark.parametrize("values", [(-1, 0), (2**64, 0), (0, -1), (0, 2**63)])
def test_shots_out_of_range_are_refused(values: tuple[int, int]) -> None:
    with pytest.raises(SettingsError):
        Shot(*values)
