"""Colour matrices of profiles, and light in lux."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from keyvault.policy import Cfa, Policy
from sensor_sim import CameraSettings, LightScene, PixelModel, Shot, load_profile
from sensor_sim.colour import srgb_to_filters
from sensor_sim.errors import SettingsError
from sensor_sim.photometry import (
    illumination,
    illumination_of_photons,
    parse_illumination,
    photons_per_lux_second,
    sensor_lux,
)
from sensor_sim.pixel import ExposedArray, response

IMX477 = (0.5603, -0.1351, -0.0600, -0.2872, 1.1180, 0.2132, 0.0600, 0.0453, 0.5821)
COLOUR = Policy(4, 4, Cfa.RGGB)


def test_the_matrix_of_srgb_itself_changes_nothing() -> None:
    xyz_to_srgb = (3.2406, -1.5372, -0.4986, -0.9689, 1.8758, 0.0415, 0.0557, -0.2040, 1.0570)  # IEC 61966-2-1
    np.testing.assert_allclose(srgb_to_filters(xyz_to_srgb), np.eye(3), atol=2e-4)
    np.testing.assert_array_equal(srgb_to_filters(None), np.eye(3))


def test_a_matrix_against_figures_by_hand() -> None:
    # red row: 0.5603 * (0.4124, 0.3576, 0.1805) - 0.1351 * (0.2126, 0.7152, 0.0722) - 0.06 * (0.0193, 0.1192, 0.9505)
    # = (0.201187, 0.096589, 0.034353), sum 0.332130
    seen = srgb_to_filters(IMX477)
    np.testing.assert_allclose(seen[0], (0.60575, 0.29082, 0.10343), atol=2e-5)
    np.testing.assert_allclose(seen.sum(1), 1, rtol=1e-12)
    np.testing.assert_allclose(srgb_to_filters(tuple(7 * entry for entry in IMX477)), seen, rtol=1e-12)
    assert (seen.argmax(1) == [0, 1, 2]).all()


def test_a_sensor_with_a_matrix_sees_white_as_before_and_colours_paler() -> None:
    plain = PixelModel(qe_red=0.4, qe_green=0.5, qe_blue=0.3)
    mixed = replace(plain, xyz_to_camera=IMX477)
    white, red = np.ones(3), np.array([1.0, 0, 0])
    np.testing.assert_allclose(response(COLOUR, mixed) @ white, response(COLOUR, plain) @ white, rtol=1e-12)
    seen = (response(COLOUR, mixed) @ red)[..., 0]
    assert seen[0, 0] < (response(COLOUR, plain) @ red)[0, 0, 0]
    assert seen[0, 1] > 0
    mono = Policy(4, 4, Cfa.NONE)
    np.testing.assert_array_equal(response(mono, mixed), response(mono, plain))


def test_light_that_a_filter_would_see_negatively_is_dark() -> None:
    pixel = PixelModel(xyz_to_camera=(3.2406, -1.5372, -0.4986, -2, 1, 2, 0.0557, -0.2040, 1.0570))
    light = np.zeros((4, 4, 3), np.float32)
    light[..., 0] = 1
    for noise in (False, True):
        shot = CameraSettings(noise=noise, seed=1)
        volts = ExposedArray(LightScene(light), COLOUR, shot, replace(pixel, read_noise_e=0), Shot(1, 0)).rows(0, 4)
        assert volts[0, 1] == 0
        assert volts.min() == 0


@pytest.mark.parametrize("matrix", [(1,) * 8, (float("nan"),) * 9, (11,) * 9, (0,) * 9, ("1",) * 9, "123456789", 5])
def test_other_matrices_are_refused(matrix: object) -> None:
    with pytest.raises(SettingsError, match=r"xyz_to_camera .* is not nine numbers"):
        PixelModel(xyz_to_camera=matrix)  # type: ignore[arg-type]


def test_the_phone_has_a_matrix_and_a_list_is_taken() -> None:
    assert load_profile("phone-rolling").pixel.xyz_to_camera == IMX477
    assert PixelModel(xyz_to_camera=list(IMX477)).xyz_to_camera == IMX477  # type: ignore[arg-type]


def test_photons_of_a_lux_second() -> None:
    # at 555 nm alone it would be 1 / 683 J/m2 over 3.58e-19 J, 4,090 photons; white has more that the eye hardly sees.
    # With CIE's table for every 5 nm it is 10,855.
    assert photons_per_lux_second() == pytest.approx(10_855, rel=1e-3)


def test_lux_behind_a_lens_and_on_a_photosite() -> None:
    assert sensor_lux(1000, 2) == pytest.approx(62.5)
    assert sensor_lux(1000, 2, reflectance=0.18, transmission=0.9) == pytest.approx(10.125)
    pixel = load_profile("phone-rolling").pixel
    factor = illumination(100, pixel)
    photons = 100 * 0.01 * 1.4**2 * photons_per_lux_second() / 3
    assert factor * pixel.nominal_photons == pytest.approx(photons)
    assert illumination(200, pixel) == pytest.approx(2 * factor)
    assert illumination(0, pixel) == 0
    assert illumination(100, pixel, monochrome=True) == pytest.approx(3 * factor)


def test_the_example_of_the_documentation() -> None:
    pixel = load_profile("phone-rolling").pixel
    factor = parse_illumination("500lx@f1.8", pixel, 10_000)
    assert factor == pytest.approx(0.251, abs=5e-4)
    assert factor * pixel.nominal_photons == pytest.approx(2_735, abs=3)


def test_texts_say_what_is_meant() -> None:
    pixel = load_profile("phone-rolling").pixel
    assert parse_illumination("0.5", pixel, 10_000) == 0.5
    assert parse_illumination(" 2 lx", pixel, 20_000) == illumination(2, pixel)
    assert parse_illumination("3e2LX@f/2", pixel, 1) == illumination(sensor_lux(300, 2), pixel)
    assert parse_illumination("10900photons", pixel, 10_000) == 1
    assert parse_illumination("10900photons", pixel, 20_000) == 0.5  # L = 1 has them in either time
    assert illumination_of_photons(0, pixel, 1) == 0


@pytest.mark.parametrize("text", ["", "bright", "-1", "1lux", "lx", "5lx@", "5@f2", "3photons@f2", "1e", "5lx@f1.8.8"])
def test_texts_that_say_nothing_are_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="neither a factor nor lux nor photons"):
        parse_illumination(text, PixelModel(), 10_000)


def test_lux_that_mean_nothing_are_refused() -> None:
    with pytest.raises(SettingsError, match="pitch_um"):
        illumination(100, PixelModel())
    with pytest.raises(SettingsError, match="-1 lux"):
        illumination(-1, load_profile("industrial-global").pixel)
    with pytest.raises(SettingsError, match="-1 photons"):
        illumination_of_photons(-1, PixelModel(), 10)
    for f_number, reflectance in ((0, 1), (2, 0), (2, 1.5), (float("inf"), 1)):
        with pytest.raises(SettingsError, match="is none"):
            sensor_lux(100, f_number, reflectance=reflectance)
