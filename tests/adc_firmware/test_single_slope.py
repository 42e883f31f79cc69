"""The single-slope converters against a model that counts transitions, and what each error does."""

from __future__ import annotations

from dataclasses import replace
from math import erf
from typing import Any

import numpy as np
import pytest
from chip_factories import EXPOSURE, ArraySource, chip, open_grant
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from test_readout import plain_of, policies

from adc_firmware import ColumnConverter, Converter, SampleRangeError, SingleSlope
from adc_firmware.ramp import Ramp, codes, transitions
from keyvault.errors import PolicyError
from keyvault.policy import Policy

IDEAL = Converter(12, 64, 4031.0)
WIDTHS = (0.2, -0.1, 0.1, -0.2)
EVERYTHING = SingleSlope(1.5, WIDTHS, offset=7.3, column_offset=2.5, column_gain=0.004, cds=False, clamp=False, seed=3)

chips = st.builds(
    SingleSlope,
    bow=st.floats(-8, 8),
    code_widths=st.sampled_from([(0.0,), (0.3, -0.3), WIDTHS, tuple(np.tile((0.5, -0.5), 32))]),
    offset=st.floats(-20, 20),
    column_offset=st.floats(0, 5),
    column_gain=st.floats(0, 0.05),
    cds=st.booleans(),
    clamp=st.booleans(),
    seed=st.integers(0, 2**64 - 1),
)


def code_of(level: float, places: NDArray[np.float64]) -> int:
    """How many transitions lie at or below a level; beyond the scale there is one each DN."""
    top = places.size - 1
    if level < 1:
        return int(np.floor(level))
    if level >= places[top]:
        return max(top, int(np.floor(level - (places[top] - top))))
    return int(np.sum(places[1:] <= level))


def model(volts: NDArray[np.float32], converter: ColumnConverter) -> NDArray[np.int64]:
    """The formula of ColumnConverter, sample by sample."""
    out = np.empty(volts.shape, np.int64)
    for position, volt in np.ndenumerate(volts):
        column = position[1]
        level = float(volt) * float(converter.gains[column]) + float(converter.levels[column])
        code = code_of(level, converter.ramp.transitions) - int(converter.zeros[column])
        out[position] = min(max(code, 0), converter.top)
    return out


@given(chips, st.integers(8, 12), st.integers(0, 2**32))
def test_any_voltage_on_any_chip(errors: SingleSlope, bits: int, seed: int) -> None:
    converter = errors.converter(Converter(bits, 2**bits // 64, 2.0**bits), 5)
    volts = np.random.default_rng(seed).uniform(-0.2, 1.2, (6, 5)).astype(np.float32)
    volts[0] = (-1e30, 1e30, 0, 3e38, -3e38)
    np.testing.assert_array_equal(converter.convert(volts), model(volts, converter))


@pytest.mark.parametrize("errors", [EVERYTHING, replace(EVERYTHING, cds=True), replace(EVERYTHING, offset=-900.0)])
@pytest.mark.parametrize("width", [1023, 1024, 1025, 2100])
def test_rows_longer_than_a_run_and_their_ends(errors: SingleSlope, width: int) -> None:
    converter = errors.converter(IDEAL, width)
    volts = np.random.default_rng(width).uniform(-0.5, 1.5, (2, width)).astype(np.float32)
    np.testing.assert_array_equal(converter.convert(volts), model(volts, converter))


@given(chips, policies(), st.integers(0, 2**32))
def test_the_readout_uses_the_converter_of_the_true_column(errors: SingleSlope, policy: Policy, seed: int) -> None:
    opened = open_grant(policy)
    errors = replace(errors, bow=errors.bow / 8)
    converter = errors.converter(Converter(policy.bits, 2**policy.bits // 10, 2.0**policy.bits), policy.width)
    shape = (policy.height, policy.width) + ((3,) if policy.samples_per_photosite == 3 else ())
    volts = np.random.default_rng(seed).uniform(-0.2, 1.2, shape).astype(np.float32)
    frame = chip(opened, converter).read_out(ArraySource(volts), EXPOSURE)
    np.testing.assert_array_equal(plain_of(frame, opened), converter.convert(volts))


def test_parts_that_begin_inside_a_row_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    policy = Policy(14, 10)
    opened, converter = open_grant(policy), EVERYTHING.converter(IDEAL, 14)
    volts = np.random.default_rng(1).uniform(0, 1, (10, 14)).astype(np.float32)
    monkeypatch.setattr("adc_firmware.addressing.PART_PHOTOSITES", 9)
    frame = chip(opened, converter).read_out(ArraySource(volts), EXPOSURE)
    np.testing.assert_array_equal(plain_of(frame, opened), model(volts, converter))


@pytest.mark.parametrize("bits", [8, 12, 16])
@pytest.mark.parametrize("cds", [True, False])
def test_without_errors_it_is_the_ideal_converter(bits: int, cds: bool) -> None:
    ideal = Converter(bits, 2**bits // 64, 2.0**bits / 1.01)
    volts = np.random.default_rng(2).uniform(-0.1, 1.1, (500, 40)).astype(np.float32)
    np.testing.assert_array_equal(SingleSlope(cds=cds).converter(ideal, 40).convert(volts), ideal.convert(volts))


@pytest.mark.parametrize("bits", range(8, 17))
def test_transitions_have_the_bow_and_the_widths(bits: int) -> None:
    top = 2**bits - 1
    places = transitions(bits, 3.0, WIDTHS)
    inl, dnl = places[1:] - np.arange(1, top + 1), np.diff(places[1:]) - 1
    assert inl[0] == 0
    assert abs(inl[-1]) <= 0.4 + 1e-9
    assert inl[top // 2] == pytest.approx(3, abs=0.4)
    slope = 4 * 3.0 * (top - 2 * np.arange(1, top)) / (top - 1) ** 2
    np.testing.assert_allclose(dnl - slope, np.resize(WIDTHS, top)[1:], atol=1e-6)


@given(st.floats(-4, 4), st.floats(0, 0.8), st.integers(8, 12), st.sampled_from([1, 2, 7, 300]))
def test_one_comparison_finds_the_code_of_a_level_in_its_cell(bow: float, width: float, bits: int, margin: int) -> None:
    places = transitions(bits, bow, (width, -width))
    ramp = Ramp.of(places, margin)
    top = places.size - 1
    cells = np.arange(ramp.starts.size) / ramp.fine - margin
    beyond = places[top] + np.arange(margin + 1)
    exact = np.concatenate([places[1:], np.arange(-margin, 1), cells, beyond, ramp.edges[:-1]])
    levels = np.concatenate([exact, np.nextafter(exact, -np.inf), np.nextafter(exact, np.inf)])
    levels = levels[(levels >= -margin) & (levels < places[top] + margin)]
    found = ramp.starts[np.floor(levels * ramp.fine).astype(int) + int(margin * ramp.fine)]
    found = found + (levels >= ramp.edges[found + 1]) - margin
    np.testing.assert_array_equal(found, codes(places, levels))
    sample = levels[:: max(1, levels.size // 500)]
    np.testing.assert_array_equal(codes(places, sample), [code_of(level, places) for level in sample])
    assert ramp.fine <= 16
    assert not any(table.flags.writeable for table in (ramp.transitions, ramp.edges, ramp.starts))


def dark(errors: SingleSlope, width: int = 2000) -> NDArray[np.int64]:
    return errors.converter(IDEAL, width).convert(np.zeros((1, width), np.float32))[0].astype(np.int64)


def test_the_columns_have_the_spread_that_was_asked_for() -> None:
    converter = EVERYTHING.converter(IDEAL, 20_000)
    offsets = converter.levels - IDEAL.offset
    gains = converter.gains / IDEAL.gain - 1
    assert offsets.mean() == pytest.approx(7.3, abs=4 * 2.5 / 20_000**0.5)
    assert offsets.std() == pytest.approx(2.5, rel=0.02)
    assert gains.mean() == pytest.approx(0, abs=4 * 0.004 / 20_000**0.5)
    assert gains.std() == pytest.approx(0.004, rel=0.02)
    assert abs(np.corrcoef(offsets, gains)[0, 1]) < 0.03
    assert abs(np.corrcoef(offsets[1:], offsets[:-1])[0, 1]) < 0.03


def test_a_column_is_the_same_in_a_chip_of_any_width_and_another_with_another_seed() -> None:
    wide, narrow = (EVERYTHING.converter(IDEAL, width) for width in (50, 20))
    np.testing.assert_array_equal(wide.levels[:20], narrow.levels)
    np.testing.assert_array_equal(wide.gains[:20], narrow.gains)
    other = replace(EVERYTHING, seed=4).converter(IDEAL, 20)
    assert not (other.levels == narrow.levels).any()


def test_the_drawn_columns_are_those_of_every_platform() -> None:
    """The inverse of the normal distribution at the first words of Philox4x64-10, by the standard library."""
    words = np.random.Philox(key=3).random_raw(4) >> np.uint64(11)
    shares = (words.astype(np.float64) + 0.5) / 2**53
    converter = EVERYTHING.converter(IDEAL, 2)
    erf_shares = [(converter.levels[x] - IDEAL.offset - 7.3) / 2.5 for x in range(2)]
    np.testing.assert_allclose([(1 + erf(z / 2**0.5)) / 2 for z in erf_shares], shares[::2], atol=1e-12)


def test_without_correction_every_column_shows_its_offset() -> None:
    errors = SingleSlope(offset=7.3, column_offset=2.5, cds=False, clamp=False)
    levels = errors.converter(IDEAL, 2000).levels
    np.testing.assert_array_equal(dark(errors), np.floor(levels))
    assert dark(errors).std() == pytest.approx(2.5, rel=0.05)


def test_the_clamp_brings_the_mean_to_the_black_level_and_leaves_the_columns() -> None:
    free = SingleSlope(offset=7.3, column_offset=2.5, cds=False, clamp=False)
    clamped = dark(replace(free, clamp=True))
    assert abs(clamped.mean() - IDEAL.black_level) <= 0.5
    assert len(set(dark(free) - clamped)) == 1


def test_double_sampling_makes_every_column_black_where_it_is_dark() -> None:
    assert set(dark(replace(EVERYTHING, cds=True))) == {IDEAL.black_level}


def test_double_sampling_leaves_the_rounding_of_two_conversions_and_the_gain() -> None:
    """A column's mean error: uniform over 1 DN from the offset, and its gain error times the signal."""
    signal = np.linspace(0.1, 0.9, 4001, dtype=np.float32)[:, None].repeat(500, axis=1)
    ideal = IDEAL.convert(signal).astype(np.float64)
    errors = SingleSlope(offset=7.3, column_offset=20.0)
    error = (errors.converter(IDEAL, 500).convert(signal) - ideal).mean(0)
    assert np.abs(error).max() <= 1
    assert error.std() == pytest.approx(12**-0.5, rel=0.1)
    uncorrected = replace(errors, cds=False, clamp=False).converter(IDEAL, 500).convert(signal) - ideal
    assert uncorrected.mean(0).std() == pytest.approx(20, rel=0.1)
    with_gain = replace(errors, column_gain=0.01).converter(IDEAL, 500)
    error = (with_gain.convert(signal) - ideal).mean(0)
    expected = (with_gain.gains / IDEAL.gain - 1) * 0.5 * IDEAL.gain
    assert np.corrcoef(error, expected)[0, 1] > 0.999


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_no_voltage_is_refused_with_its_place(value: float) -> None:
    converter = EVERYTHING.converter(IDEAL, 8)
    volts = np.zeros((6, 8), np.float32)
    volts[4, 2] = value
    with pytest.raises(SampleRangeError, match="column 2, row 4"):
        converter.convert(volts)
    with pytest.raises(SampleRangeError, match="column 2, row 4"):
        chip(open_grant(Policy(8, 6)), converter).read_out(ArraySource(volts), EXPOSURE)


def test_dn_pass_unchanged() -> None:
    opened = open_grant(Policy(8, 6))
    dn = np.random.default_rng(0).integers(0, 4096, (6, 8), dtype=np.uint16)
    frame = chip(opened, EVERYTHING.converter(IDEAL, 8)).read_out(ArraySource(dn), EXPOSURE)
    np.testing.assert_array_equal(plain_of(frame, opened), dn)


def test_converters_of_another_width_or_depth_are_refused() -> None:
    with pytest.raises(PolicyError, match="10 columns, the key is for 8"):
        chip(open_grant(Policy(8, 6)), EVERYTHING.converter(IDEAL, 10))  # type: ignore[arg-type]
    with pytest.raises(PolicyError, match="12 bits, the key is for 10"):
        chip(open_grant(Policy(8, 6, bits=10)), EVERYTHING.converter(IDEAL, 8))  # type: ignore[arg-type]
    for shape in ((6, 7), (8,), (1, 6, 8, 1)):
        with pytest.raises(ValueError, match="not rows of 8 columns"):
            EVERYTHING.converter(IDEAL, 8).convert(np.zeros(shape, np.float32))
    with pytest.raises(TypeError, match="float64"):
        EVERYTHING.converter(IDEAL, 8).convert(np.zeros((6, 8)))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"bow": float("nan")}, "bow"),
        ({"offset": float("inf")}, "offset"),
        ({"offset": True}, "offset"),
        ({"column_offset": -1.0}, "column_offset"),
        ({"column_gain": 0.2}, "column_gain"),
        ({"column_gain": -0.1}, "column_gain"),
        ({"cds": 1}, "cds 1 is not"),
        ({"clamp": "on"}, "clamp 'on' is not"),
        ({"seed": -1}, "seed"),
        ({"seed": 2**64}, "seed"),
        ({"code_widths": ()}, "has 0 widths"),
        ({"code_widths": (0.1, -0.1, 0.0)}, "has 3 widths"),
        ({"code_widths": (0.0,) * 512}, "has 512 widths"),
        ({"code_widths": (0.1, 0.1)}, "sum 0.2"),
        ({"code_widths": (1.5, -1.5)}, "above -1 DN"),
        ({"code_widths": ("a",)}, "not a number"),
    ],
)
def test_bad_settings_are_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(PolicyError, match=words):
        SingleSlope(**changes)


@pytest.mark.parametrize(
    ("changes", "width"),
    [
        ({"bow": 2000.0}, 8),
        ({"code_widths": (0.95, -0.95)}, 8),
        ({"offset": 5000.0}, 8),
        ({"column_offset": 300.0}, 8),
        ({}, 0),
        ({}, 65_536),
    ],
)
def test_what_does_not_fit_the_scale_is_refused(changes: dict[str, Any], width: int) -> None:
    with pytest.raises(PolicyError):
        SingleSlope(**changes).converter(IDEAL, width)


def test_the_first_of_several_bad_samples_is_named() -> None:
    converter = EVERYTHING.converter(IDEAL, 8)
    volts = np.zeros((6, 8, 3), np.float32)
    volts[1, 3, 2] = volts[1, 4, 0] = volts[5, 0, 0] = np.nan
    with pytest.raises(SampleRangeError, match="column 3, row 1, channel 2"):
        converter.convert(volts)
