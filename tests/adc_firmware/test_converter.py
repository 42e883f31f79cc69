"""The ideal converter against a binary64 model."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from adc_firmware import Converter, SampleRangeError
from keyvault.errors import PolicyError

finite = st.floats(allow_nan=False, allow_infinity=False, width=32)
converters = st.integers(8, 16).flatmap(
    lambda bits: st.builds(
        Converter, st.just(bits), st.integers(0, 2**bits - 1), st.floats(1e-3, 1e6, allow_subnormal=False)
    )
)


def model(volts: np.ndarray, converter: Converter) -> np.ndarray:
    level = np.floor(volts.astype(np.float64) * converter.gain + (converter.black_level + 0.5))
    return np.clip(level, 0, 2**converter.bits - 1).astype(np.uint16)


@given(converters, hnp.arrays(np.float32, hnp.array_shapes(max_dims=3, max_side=9), elements=finite))
def test_any_voltage(converter: Converter, volts: np.ndarray) -> None:
    np.testing.assert_array_equal(converter.convert(volts), model(volts, converter))


@given(converters, hnp.arrays(np.float64, 50, elements=st.floats(-0.2, 1.2)))
def test_voltages_around_full_scale(converter: Converter, share: np.ndarray) -> None:
    volts = ((share * 2**converter.bits - converter.black_level) / converter.gain).astype(np.float32)
    np.testing.assert_array_equal(converter.convert(volts), model(volts, converter))


def test_halves_round_up_and_ends_clip() -> None:
    converter = Converter(bits=8, black_level=10, gain=1.0)
    volts = np.array([-11, -10.5, -0.5, 0, 0.49, 0.5, 1.5, 244.4, 244.5, 245, 1e30, -1e30], np.float32)
    assert converter.convert(volts).tolist() == [0, 0, 10, 10, 10, 11, 12, 254, 255, 255, 255, 0]


def test_every_dn_comes_from_its_own_voltage() -> None:
    converter = Converter(bits=16, black_level=0, gain=65536.0)
    dn = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    np.testing.assert_array_equal(converter.convert((dn / 65536).astype(np.float32)), dn)


def test_rounding_is_that_of_double_precision() -> None:
    converter = Converter(bits=16, black_level=300, gain=61234.5)
    volts = np.random.default_rng(5).uniform(0, 1.08, 200_000).astype(np.float32)
    np.testing.assert_array_equal(converter.convert(volts), model(volts, converter))


def test_a_strided_view_converts_like_its_copy() -> None:
    converter = Converter(bits=12, black_level=5, gain=100.0)
    volts = np.linspace(-1, 50, 96, dtype=np.float32).reshape(8, 12)
    np.testing.assert_array_equal(converter.convert(volts[::2, ::3]), converter.convert(volts)[::2, ::3])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_no_voltage_is_refused_with_its_place(value: float) -> None:
    volts = np.zeros((3, 4), np.float32)
    volts[2, 1] = value
    with pytest.raises(SampleRangeError, match=r"column 1, row 2 is -?(nan|inf) V"):
        Converter(bits=8, black_level=0, gain=1.0).convert(volts)


@pytest.mark.parametrize(
    "changes",
    [
        {"bits": 7},
        {"bits": 17},
        {"bits": 8.0},
        {"black_level": -1},
        {"black_level": 256},
        {"black_level": 1.5},
        {"gain": 0.0},
        {"gain": -1.0},
        {"gain": float("nan")},
        {"gain": float("inf")},
        {"gain": "2"},
    ],
)
def test_bad_settings_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(PolicyError):
        Converter(**{"bits": 8, "black_level": 0, "gain": 1.0} | changes)


def test_only_single_precision_volts() -> None:
    with pytest.raises(TypeError, match="float64"):
        Converter(bits=8, black_level=0, gain=1.0).convert(np.zeros(3))  # type: ignore[arg-type]
