"""Photographs turned back into what a sensor may have given."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensor_sim.colour import srgb_to_filters
from sensor_sim.errors import SettingsError
from sensor_sim.photograph import srgb_to_linear
from sensor_sim.unprocess import Tone, undo_gains, undo_tone, unprocess

GALAXY_S7 = (0.9927, -0.3704, -0.1024, -0.3935, 1.2758, 0.1257, -0.0389, 0.1512, 0.4993)  # LibRaw, D65
GAINS = (2.1, 1.0, 1.6)


def test_the_contrast_curve_is_undone() -> None:
    linear = np.linspace(0, 1, 2001)
    encoded = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    np.testing.assert_allclose(undo_tone(3 * encoded**2 - 2 * encoded**3, Tone.CONTRAST), linear, atol=2e-7)
    np.testing.assert_array_equal(undo_tone(encoded), srgb_to_linear(encoded))
    ends = np.array([0.0, 0.5, 1.0])
    np.testing.assert_allclose(undo_tone(ends, Tone.CONTRAST), srgb_to_linear(ends), atol=1e-15)


def test_a_pixel_by_hand() -> None:
    # 0.5 is 0.214041 linear.  Row of green: -0.3935 * 0.4124 + 1.2758 * 0.2126 + 0.1257 * 0.0193 = 0.111382 of red,
    # -0.3935 * 0.3576 + 1.2758 * 0.7152 + 0.1257 * 0.1192 = 0.786721 of green,
    # -0.3935 * 0.1805 + 1.2758 * 0.0722 + 0.1257 * 0.9505 = 0.140564 of blue; sum 1.038667
    red = unprocess(np.array([32_768, 0, 0], np.uint16), GALAXY_S7, GAINS)
    assert red[1] == pytest.approx(0.214041 * 0.111382 / 1.038667, rel=1e-4)
    grey = unprocess(np.full(3, 32_768, np.uint16), GALAXY_S7, GAINS)
    np.testing.assert_allclose(grey, 0.214041 / np.array(GAINS), rtol=1e-4)


def test_saturated_white_stays_saturated() -> None:
    np.testing.assert_allclose(undo_gains(np.ones(3), GAINS), 1)
    np.testing.assert_allclose(undo_gains(np.full(3, 0.9), GAINS), 0.9 / np.array(GAINS))
    # halfway up: a quarter of the way from the factor to 1
    np.testing.assert_allclose(undo_gains(np.full(3, 0.95), (2, 1, 1)), (0.95 * (0.25 + 0.75 / 2), 0.95, 0.95))
    np.testing.assert_allclose(
        undo_gains(np.full(3, 0.99), (0.5, 1, 1))[0], 1.98
    )  # a gain below 1 is undone throughout


channels = st.tuples(*[st.integers(0, 255)] * 3)
gains = st.tuples(st.floats(1, 8), st.just(1.0), st.floats(1, 8))


@given(channels, gains, st.sampled_from(Tone))
def test_processing_again_gives_the_photograph_back(pixel: tuple[int, int, int], gain: tuple, tone: Tone) -> None:
    image = np.array([[pixel]], np.uint8)
    raw = unprocess(image, GALAXY_S7, gain, tone)
    assert raw.shape == image.shape
    assert raw.min() >= 0
    assert raw.max() <= 1 + 1e-6
    light = undo_tone(image / 255, tone)
    seen = light @ srgb_to_filters(GALAXY_S7).T
    if seen.mean() > 0.9:  # highlights keep less of their colour
        assert (raw >= seen / np.array(gain) - 1e-6).all()
    else:
        again = (raw * np.array(gain)) @ np.linalg.inv(srgb_to_filters(GALAXY_S7)).T
        np.testing.assert_allclose(again, light, atol=1e-5)


@given(st.integers(0, 254), gains, st.sampled_from(Tone))
def test_brighter_grey_is_brighter_in_every_channel(code: int, gain: tuple, tone: Tone) -> None:
    darker, brighter = unprocess(np.array([[code] * 3, [code + 1] * 3], np.uint8), None, gain, tone)
    assert (brighter > darker).all()


@pytest.mark.parametrize(
    ("image", "matrix", "gain", "tone", "words"),
    [
        (np.zeros((2, 2, 3)), None, GAINS, "srgb", "uint8 or uint16"),
        (np.zeros((2, 2), np.uint8), None, GAINS, "srgb", "uint8 or uint16"),
        (np.uint8(3), None, GAINS, "srgb", "uint8 or uint16"),
        (np.zeros(3, np.uint8), (1,) * 8, GAINS, "srgb", "nine numbers"),
        (np.zeros(3, np.uint8), None, (1, 1), "srgb", "three gains"),
        (np.zeros(3, np.uint8), None, (1, 1, 0), "srgb", "three gains"),
        (np.zeros(3, np.uint8), None, (1, 1, float("inf")), "srgb", "three gains"),
        (np.zeros(3, np.uint8), None, GAINS, "gamma", "srgb or srgb\\+smoothstep"),
    ],
)
def test_what_cannot_be_unprocessed_is_refused(image, matrix, gain, tone, words) -> None:
    with pytest.raises(SettingsError, match=words):
        unprocess(image, matrix, gain, tone)
