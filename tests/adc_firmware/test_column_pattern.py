"""Where the fixed pattern of the columns goes when their samples are shuffled."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from chip_factories import EXPOSURE, ArraySource, chip, open_grant
from numpy.typing import NDArray
from test_readout import plain_of

from adc_firmware import Converter, SingleSlope, frame_permutation
from keyvault.grant import OpenGrant
from keyvault.policy import Cfa, FrameKeys, Policy, Protection

WIDTH, HEIGHT, FRAMES = 48, 32, 60
MASKED = Policy(WIDTH, HEIGHT, Cfa.NONE)
FRESH = replace(MASKED, protection=Protection.SHUFFLE)
FIXED = replace(FRESH, frame_keys=FrameKeys.FIXED)
IDEAL = Converter(12, 64, 4031.0)
PATTERN = SingleSlope(column_offset=8.0, cds=False, clamp=False, seed=11)
NOISE = 6 / 4031  # volts, rms


@pytest.fixture(autouse=True)
def _one_session(monkeypatch: pytest.MonkeyPatch) -> None:
    """Frame keys that are the same in every run."""
    monkeypatch.setattr("adc_firmware.chip.os.urandom", lambda size: bytes(range(size)))


def shots(opened: OpenGrant, errors: SingleSlope) -> list[NDArray[np.uint16]]:
    """Stored samples of many frames of one flat scene with noise."""
    adc, rng = chip(opened, errors.converter(IDEAL, WIDTH)), np.random.default_rng(5)  # type: ignore[arg-type]
    volts = (0.4 + NOISE * rng.standard_normal((FRAMES, HEIGHT, WIDTH))).astype(np.float32)
    return [adc.read_out(ArraySource(frame), EXPOSURE).samples for frame in volts]


def average(policy: Policy, errors: SingleSlope) -> NDArray[np.float64]:
    return np.mean(shots(open_grant(policy), errors), axis=0)


def stored_offsets(policy: Policy) -> NDArray[np.float64]:
    """The offset of the column that each stored sample came from, under the fixed key."""
    opened = open_grant(policy)
    offsets = PATTERN.converter(IDEAL, WIDTH).levels
    header = chip(opened).read_out(ArraySource(np.zeros((HEIGHT, WIDTH), np.uint16)), EXPOSURE).header
    return frame_permutation(opened, header.frame_id).apply(np.tile(offsets, (HEIGHT, 1)))


def correlation(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    return float(np.corrcoef(a.ravel(), b.ravel())[0, 1])


@pytest.mark.parametrize("policy", [MASKED, FRESH, FIXED], ids=["masked", "fresh", "fixed"])
def test_a_host_finds_the_pattern_in_the_true_columns(policy: Policy) -> None:
    opened = open_grant(policy)
    adc = chip(opened, PATTERN.converter(IDEAL, WIDTH))  # type: ignore[arg-type]
    frame = adc.read_out(ArraySource(np.full((HEIGHT, WIDTH), 0.4, np.float32)), EXPOSURE)
    plain = plain_of(frame, opened).astype(float)
    offsets = PATTERN.converter(IDEAL, WIDTH).levels
    assert np.ptp(plain, axis=0).max() == 0
    assert correlation(plain[0], offsets) > 0.99


def test_under_one_key_an_average_betrays_the_columns() -> None:
    """The reason why a fixed key needs no other attack: equal averages are equal columns."""
    mean = average(FIXED, PATTERN)
    truth = stored_offsets(FIXED)
    assert correlation(mean, truth) > 0.99
    near = np.abs(mean.ravel()[:, None] - mean.ravel()) < 0.5
    same = np.abs(truth.ravel()[:, None] - truth.ravel()) < 1e-9
    others = ~np.eye(near.shape[0], dtype=bool)
    assert same[near & others].mean() > 8 * same[others].mean()


def test_double_sampling_takes_most_of_that_away() -> None:
    before, after = average(FIXED, PATTERN).std(), average(FIXED, replace(PATTERN, cds=True)).std()
    noise = 6 / FRAMES**0.5
    assert before == pytest.approx(np.hypot(PATTERN.converter(IDEAL, WIDTH).levels.std(), noise), rel=0.05)
    assert after < np.hypot(0.5, noise) * 1.05


@pytest.mark.parametrize(
    "policy", [FRESH, replace(FRESH, scope="row"), MASKED], ids=["shuffled", "shuffled in rows", "masked"]
)
def test_under_fresh_keys_an_average_says_nothing_of_columns(policy: Policy) -> None:
    mean = average(policy, PATTERN)
    chance = 4 / (WIDTH * HEIGHT) ** 0.5
    assert abs(correlation(mean, np.tile(PATTERN.converter(IDEAL, WIDTH).levels, (HEIGHT, 1)))) < chance
    across = mean - mean.mean()
    assert across.mean(0).std() < 2 * mean.std() / HEIGHT**0.5


def test_a_mask_hides_the_pattern_in_a_single_frame_and_a_shuffle_keeps_its_values() -> None:
    masked, shuffled = (shots(open_grant(policy), PATTERN)[0].astype(float) for policy in (MASKED, FRESH))
    assert masked.std() == pytest.approx(4096 / 12**0.5, rel=0.05)
    assert shuffled.std() == pytest.approx(np.hypot(6, PATTERN.converter(IDEAL, WIDTH).levels.std()), rel=0.1)
