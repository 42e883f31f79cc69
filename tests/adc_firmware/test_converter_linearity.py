"""INL, DNL and ENOB as adctoolbox measures them, against what was configured."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from adctoolbox import analyze_inl_from_ramp, analyze_spectrum
from numpy.typing import NDArray

from adc_firmware import Converter, SingleSlope

STEPS = 64  # of the ramp, each DN
SAMPLES = 2**16
CYCLES = 1021  # prime: every sample has a phase of its own
WIDTHS = (0.25, -0.1, 0.05, -0.2)
CASES = [
    (8, 0.0, (0.0,)),
    (10, 1.5, (0.0,)),
    (12, 0.0, (0.3, -0.3)),
    (12, 2.0, WIDTHS),
    (12, -4.0, WIDTHS),
    (14, 3.0, (0.125, 0.0, -0.125, 0.0, 0.25, 0.0, -0.25, 0.0)),
]

cases = pytest.mark.parametrize(("bits", "bow", "widths"), CASES)


def codes(bits: int, bow: float, widths: tuple[float, ...], levels: NDArray[np.float64]) -> NDArray[np.uint16]:
    """Codes of levels in DN, by a converter of one column with black at 0 and 1 V full scale."""
    errors = SingleSlope(bow, widths, cds=False, clamp=False)
    converter = errors.converter(Converter(bits, 0, 2.0**bits), 1)
    volts = ((levels - 0.5) / 2**bits).astype(np.float32)
    return converter.convert(volts[:, None])[:, 0]


def ramp(bits: int, bow: float, widths: tuple[float, ...]) -> dict[str, Any]:
    levels = (np.arange(STEPS * 2**bits) + 0.5) / STEPS
    return analyze_inl_from_ramp(codes(bits, bow, widths, levels), num_bits=bits, create_plot=False)


@cases
def test_dnl_and_inl_on_a_ramp(bits: int, bow: float, widths: tuple[float, ...]) -> None:
    """Counts resolve 1/STEPS DN; INL is measured from the line through its ends."""
    found = ramp(bits, bow, widths)
    k = np.arange(1, 2**bits)
    share = (k - 1) / (2**bits - 2)
    wider = np.array(widths)[k % len(widths)]
    inl = 4 * bow * share * (1 - share) + np.concatenate(([0.0], np.cumsum(wider)[:-1]))
    assert found["missing_codes"].size == 0
    np.testing.assert_allclose(found["dnl"], np.diff(inl), atol=1.5 / STEPS)
    np.testing.assert_allclose(found["inl"], inl - np.linspace(inl[0], inl[-1], inl.size), atol=1.5 / STEPS)
    if bow:
        assert max(found["inl_max"], -found["inl_min"]) == pytest.approx(abs(bow), abs=max(map(abs, widths)) + 0.1)


def expected_enob(bow: float, widths: tuple[float, ...], amplitude: float, share: float) -> float:
    """Of a sine of that amplitude (DN; ``share`` of half the scale) from the configured errors alone.

    The bow makes a second harmonic of amplitude bow * share**2 / 2.  Within a code d wider than 1 DN
    whose beginning is off by r, the error is uniform over 1 + d around r + d / 2.
    """
    d = np.array(widths)
    r = np.concatenate(([0.0], np.cumsum(d)[:-1]))
    middle = r + d / 2
    middle = middle - np.sum((1 + d) * middle) / np.sum(1 + d)
    noise = np.mean((1 + d) * (middle**2 + (1 + d) ** 2 / 12))
    sndr = (amplitude**2 / 2) / (noise + (bow * share**2 / 2) ** 2 / 2)
    return float((10 * np.log10(sndr) - 1.76) / 6.02)


@cases
def test_enob_on_a_sine(bits: int, bow: float, widths: tuple[float, ...]) -> None:
    middle, share = 2 ** (bits - 1), 0.98
    amplitude = share * middle
    levels = middle + amplitude * np.sin(2 * np.pi * CYCLES * np.arange(SAMPLES) / SAMPLES)
    sine = codes(bits, bow, widths, levels).astype(float)
    found = analyze_spectrum(sine, win_type="boxcar", create_plot=False)
    assert found["enob"] == pytest.approx(expected_enob(bow, widths, amplitude, share), abs=0.05)


def test_the_errors_cost_effective_bits() -> None:
    """What the other tests compare is not all the same."""
    enob = [expected_enob(bow, widths, 2007.0, 0.98) for bits, bow, widths in CASES if bits == 12]
    assert enob[0] > enob[1] + 0.3 > enob[2] + 0.6
