"""What a sensor has for good: fixed patterns, dark current, colour; against the equations of docs/sensor.md.

Seeds are fixed; bounds are five standard errors of the statistic at hand.
"""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from camera_kit import QUIET, random_light
from hypothesis import given
from hypothesis import strategies as st

from keyvault.errors import PolicyError
from keyvault.policy import Cfa, Policy
from sensor_sim import CameraSettings, LightScene, PixelModel, Shot, expose, load_profile, serial_number
from sensor_sim.pixel import white_balance

SIDE = 400
FLAT = Policy(SIDE, SIDE, Cfa.NONE)
N = SIDE * SIDE
PHONE = load_profile("phone-rolling").pixel
PATTERNED = PixelModel(prnu=0.02, dsnu_pixel_e=3.0, dsnu_row_e=2.0, dsnu_column_e=1.5)
SHOT = Shot(5, 9, serial=77)


def electrons(
    pixel: PixelModel, level: float, settings: CameraSettings = QUIET, shot: Shot = SHOT, policy: Policy = FLAT
) -> np.ndarray:
    """Electrons of a flat field of ``level`` photons a photosite, at nominal exposure."""
    size = (policy.height, policy.width, 3)
    scene = LightScene(np.full(size, level / pixel.nominal_photons, np.float32))
    volts = expose(scene, policy, settings, pixel, shot).rows(0, policy.height)
    return volts.astype(np.float64) / (pixel.conversion_gain_uv * 1e-6)


def frame(
    pixel: PixelModel = PATTERNED, seed: int = 5, number: int = 9, serial: int = 77, *, noise: bool = False
) -> np.ndarray:
    return electrons(pixel, 1_000, CameraSettings(noise=noise), Shot(seed, number, serial))


def test_the_pattern_is_the_sensors_and_in_every_frame() -> None:
    assert np.array_equal(frame(seed=5, number=9), frame(seed=6, number=2**40))
    for serial in (76, 78, 77 + 2**32, 2**64 - 1):
        assert (frame(serial=serial) == frame()).mean() < 0.01


def test_noise_comes_on_top_of_the_pattern_and_is_independent_of_it() -> None:
    """The same key for both on purpose: their counters differ."""
    pattern = frame(serial=5) - 1_000
    noise = [frame(seed=5, number=number, serial=5, noise=True) - frame(serial=5) for number in range(2)]
    for one, other in ((pattern, noise[0]), (pattern, noise[1]), (noise[0], noise[1])):
        assert abs((one * other).mean()) < 5 * one.std() * other.std() / math.sqrt(N)


def test_photosites_rows_and_columns_have_their_own_spread() -> None:
    none = PixelModel()
    for parameter, sigma, axis in (("dsnu_row_e", 2.0, 0), ("dsnu_column_e", 1.5, 1)):
        found = electrons(replace(none, **{parameter: sigma}), 0)
        line = found[:, 0] if axis == 0 else found[0]
        assert np.allclose(found, line[:, None] if axis == 0 else line, atol=1e-3)
        assert abs(line.mean()) < 5 * sigma / math.sqrt(SIDE)
        assert abs(line.std() / sigma - 1) < 5 / math.sqrt(2 * SIDE)
    found = electrons(replace(none, dsnu_pixel_e=3.0), 0)
    assert abs(found.mean()) < 5 * 3 / math.sqrt(N)
    assert abs(found.std() / 3 - 1) < 5 / math.sqrt(2 * N)
    assert abs((found[:, 1:] * found[:, :-1]).mean()) < 5 * 9 / math.sqrt(N)
    assert abs((found[1:] * found[:-1]).mean()) < 5 * 9 / math.sqrt(N)


def test_response_differs_in_proportion_to_the_light_alone() -> None:
    pixel = PixelModel(prnu=0.02, dark_current_e_s=50_000)
    dark = 500.0
    assert np.allclose(electrons(pixel, 0), dark, rtol=1e-6)
    one, two = ((electrons(pixel, level) - dark) / level - 1 for level in (1_000, 2_000))
    assert np.allclose(one, two, atol=1e-6)
    assert abs(one.mean()) < 5 * 0.02 / math.sqrt(N)
    assert abs(one.std() / 0.02 - 1) < 5 / math.sqrt(2 * N)


def test_all_parts_add_up() -> None:
    found = electrons(PATTERNED, 1_000)
    variance = (0.02 * 1_000) ** 2 + 3.0**2
    rest = found - found.mean(0) - found.mean(1)[:, None] + found.mean()
    assert abs(rest.var() / variance - 1) < 5 * math.sqrt(2 / N)


def test_the_full_well_holds_for_every_photosite_and_offsets_come_after_it() -> None:
    pixel = PixelModel(prnu=0.05)
    assert electrons(pixel, 20_000).max() == pytest.approx(pixel.full_well_e, rel=1e-6)
    assert electrons(replace(pixel, dsnu_pixel_e=5.0), 20_000).std() == pytest.approx(5, rel=0.02)


def test_offsets_of_photosites_are_normal_and_responses_are_independent_of_them() -> None:
    pixel = PixelModel(dsnu_pixel_e=1.0)
    offset = electrons(pixel, 0)
    for limit, share in [(1, 0.682689), (2, 0.954500), (3, 0.997300)]:
        assert abs((np.abs(offset) < limit).mean() - share) < 5 * math.sqrt(share * (1 - share) / N)
    assert len(np.unique(offset.astype(np.float32))) > 40_000  # of 65,536 values
    response = electrons(PixelModel(prnu=0.02), 1_000) / 1_000 - 1
    assert abs((offset * response).mean()) < 5 * 0.02 / math.sqrt(N)
    for distance in (1, 64, 256):  # four that are 256 apart share a block of words
        assert abs((offset[:, distance:] * offset[:, :-distance]).mean()) < 5 / math.sqrt(offset[:, distance:].size)
        assert abs((offset[:, distance:] * response[:, :-distance]).mean()) < 5 * 0.02 / math.sqrt(N / 4)


@pytest.mark.parametrize("kelvin", [-12.0, 0.0, 6.0, 24.0])
def test_the_dark_current_doubles(kelvin: float) -> None:
    pixel = PixelModel(dark_current_e_s=30.0, dark_reference_c=20.0, dark_doubling_c=6.0)
    settings = CameraSettings(shutter_us=2_000_000, noise=False, temperature_c=20.0 + kelvin)
    assert electrons(pixel, 0, settings) == pytest.approx(60 * 2 ** (kelvin / 6), rel=1e-6)


def test_dark_charge_has_shot_noise() -> None:
    pixel = PixelModel(dark_current_e_s=40.0)
    found = electrons(pixel, 0, CameraSettings(shutter_us=1_000_000))
    variance = 40 + pixel.read_noise_e**2
    assert abs(found.mean() - 40) < 5 * math.sqrt(variance / N)
    assert abs(found.var() - variance) < 5 * math.sqrt((2 * variance**2 + 40) / N)


@pytest.mark.parametrize("level", [500.0, 6_000.0])
def test_mean_and_variance_in_time_are_those_of_the_electrons(level: float) -> None:
    """Half the variance of a difference of two frames, which have the pattern in common."""
    pixel = replace(PATTERNED, qe_mono=0.5)
    one, two = (electrons(pixel, level, CameraSettings(), Shot(1, number, 2)) for number in (0, 1))
    mean = 0.5 * level
    variance = mean + pixel.read_noise_e**2
    pattern = (0.02 * mean) ** 2 / N + 9 / N + (2.0**2 + 1.5**2) / SIDE
    assert abs((one + two).mean() / 2 - mean) < 5 * math.sqrt(pattern + variance / (2 * N))
    assert abs((one - two).var() / 2 / variance - 1) < 5 * math.sqrt(2 / N)


@pytest.mark.parametrize("cfa", [Cfa.RGGB, Cfa.GBRG])
def test_each_colour_has_its_quantum_efficiency(cfa: Cfa) -> None:
    pixel = PixelModel(qe_red=0.3, qe_green=0.6, qe_blue=0.45)
    found = electrons(pixel, 1_000, policy=Policy(4, 4, cfa))
    expected = {"R": 300, "G": 600, "B": 450}
    for place, colour in enumerate(cfa):
        assert found[place // 2 :: 2, place % 2 :: 2] == pytest.approx(expected[colour], rel=1e-6)
    gains = white_balance(random_light(4, 4), Policy(4, 4, cfa), pixel)
    assert gains == (2048, 1024, round(1024 * 0.6 / 0.45))


def test_monochrome_and_stacked_sensors_have_theirs() -> None:
    pixel = PixelModel(qe_red=0.3, qe_green=0.6, qe_blue=0.45, qe_mono=0.7)
    mono, stacked = Policy(4, 4, Cfa.NONE), Policy(4, 4, Cfa.NONE, 3)
    assert electrons(pixel, 1_000, policy=mono) == pytest.approx(700, rel=1e-6)
    assert np.allclose(electrons(pixel, 1_000, policy=stacked), (300, 600, 450))
    assert white_balance(random_light(4, 4), mono, pixel) == (1024, 1024, 1024)
    assert white_balance(random_light(4, 4), stacked, pixel)[0] == 2048


@pytest.mark.parametrize(
    ("pixel", "policy"),
    [
        (PHONE, Policy(4, 4, Cfa.NONE)),
        (PixelModel(qe_red=None, qe_green=None, qe_blue=None), Policy(4, 4)),
        (PixelModel(qe_red=None, qe_green=None, qe_blue=None), Policy(4, 4, Cfa.NONE, 3)),
    ],
)
def test_a_sensor_that_is_not_made_is_refused(pixel: PixelModel, policy: Policy) -> None:
    with pytest.raises(PolicyError, match="not made"):
        expose(random_light(4, 4), policy, QUIET, pixel, SHOT)


@given(
    width=st.one_of(st.integers(1, 40), st.integers(1_000, 1_100)),
    height=st.integers(1, 40),
    samples=st.sampled_from([1, 3]),
    cuts=st.lists(st.integers(0, 40), max_size=6),
    noise=st.booleans(),
)
def test_any_blocks_of_rows_give_the_same_frame(
    width: int, height: int, samples: int, cuts: list[int], noise: bool
) -> None:
    policy = Policy(width, height, Cfa.NONE, samples)
    pixel = replace(PATTERNED, dark_current_e_s=100.0)
    source = expose(random_light(width, height), policy, CameraSettings(noise=noise), pixel, SHOT)
    edges = sorted({0, height, *(cut for cut in cuts if cut < height)})
    parts = [source.rows(first, last) for first, last in pairwise(edges)]
    assert np.array_equal(np.concatenate(parts), source.rows(0, height))


def test_a_smaller_array_has_the_same_corner() -> None:
    large, small = (electrons(PATTERNED, 1_000, policy=Policy(width, 40, Cfa.NONE)) for width in (1_500, 700))
    assert np.array_equal(large[:, :700], small)


def test_threads_give_the_same_frame_as_rows_one_by_one() -> None:
    policy = Policy(512, 300)  # more than one thread's part
    source = expose(random_light(512, 300), policy, CameraSettings(), PATTERNED, SHOT)
    rows = [source.rows(row, row + 1) for row in range(300)]
    assert np.array_equal(source.rows(0, 300), np.concatenate(rows))


def test_serial_numbers_follow_from_names() -> None:
    assert serial_number("cam") == serial_number("cam") < 2**64
    assert len({serial_number(f"cam{number}") for number in range(100)}) == 100
