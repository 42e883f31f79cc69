"""Readout: what comes out is the source, moved and masked; nothing else depends on anything else."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from chip_factories import EXPOSURE, ArraySource, chip, frame_of, open_grant, random_dn
from hypothesis import given, settings
from hypothesis import strategies as st

from adc_firmware import (
    Converter,
    MaskGenerator,
    PrivateFrame,
    SampleRangeError,
    SourceError,
    addressing,
    frame_permutation,
    readout,
    unmask,
)
from adc_firmware.readout import Addresses, read_rows
from keyvault.errors import PolicyError
from keyvault.grant import OpenGrant
from keyvault.keystream import Keystream
from keyvault.permutation import Permutation
from keyvault.policy import Cfa, FrameKeys, Policy, Protection, Unit


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    """Small policies of every kind, 1 x n and odd sizes among them."""
    cfa = draw(st.sampled_from(Cfa))
    unit = draw(st.sampled_from(Unit))
    samples = draw(st.sampled_from((1, 3))) if cfa is Cfa.NONE else 1
    even = cfa is not Cfa.NONE or unit is Unit.QUAD
    side = st.integers(1, 9).map(lambda n: 2 * n) if even else st.integers(1, 19)
    width, height = draw(side), draw(side)
    step = 2 if unit is Unit.QUAD else 1
    bands = [f"band:{rows}" for rows in range(step, height + 1, step)]
    scope = draw(st.sampled_from(["row", "frame", *bands]))
    protection = draw(st.sampled_from(Protection))
    keys = draw(st.sampled_from(FrameKeys)) if protection is Protection.SHUFFLE else FrameKeys.PER_FRAME
    return Policy(width, height, cfa, samples, draw(st.integers(8, 16)), unit, scope, protection, keys)


def plain_of(frame: PrivateFrame, opened: OpenGrant) -> np.ndarray:
    permutation = frame_permutation(opened, frame.header.frame_id)
    secrets = opened.frame_secrets(frame.header.frame_id)
    return permutation.undo(unmask(frame.samples, permutation, secrets.mask_key, frame.header.policy))


@given(policies(), st.integers(0, 2**32))
def test_a_host_with_the_key_gets_the_source_back(policy: Policy, seed: int) -> None:
    opened = open_grant(policy)
    dn = random_dn(policy, seed)
    frame = frame_of(opened, dn)
    assert frame.samples.max() < 2**policy.bits
    np.testing.assert_array_equal(plain_of(frame, opened), dn)


@given(policies(), st.integers(0, 2**32))
def test_volts_come_out_as_the_converter_says(policy: Policy, seed: int) -> None:
    opened = open_grant(policy)
    converter = Converter(policy.bits, 2**policy.bits // 10, 300.0)
    shape = random_dn(policy).shape
    volts = np.random.default_rng(seed).uniform(-1, 2.0**policy.bits / 250, shape).astype(np.float32)
    frame = chip(opened, converter).read_out(ArraySource(volts), EXPOSURE)
    np.testing.assert_array_equal(plain_of(frame, opened), converter.convert(volts))


@given(policies(), st.integers(0, 2**32))
def test_without_a_mask_the_samples_are_only_moved(policy: Policy, seed: int) -> None:
    opened = open_grant(policy)
    dn = random_dn(policy, seed)
    frame = frame_of(opened, dn)
    moved = frame_permutation(opened, frame.header.frame_id).apply(dn)
    if policy.protection is Protection.SHUFFLE:
        np.testing.assert_array_equal(frame.samples, moved)
    elif moved.size >= 64:
        assert (frame.samples != moved).any()


@given(
    policies(),
    st.integers(1, 64),
    st.integers(1, 40),
    st.sampled_from((np.uint16, np.float32)),
)
@settings(deadline=None, max_examples=60)
def test_strips_parts_and_threads_change_nothing(policy: Policy, strip: int, part: int, dtype: type) -> None:
    opened = open_grant(policy)
    frame = frame_of(opened)
    frame_id = frame.header.frame_id
    secrets = opened.frame_secrets(frame_id)
    addresses = Addresses(frame_permutation(opened, frame_id), MaskGenerator(secrets.mask_key, policy))
    source = ArraySource(random_dn(policy).astype(dtype))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(addressing, "PART_PHOTOSITES", part)
        patch.setattr(readout, "STRIP_SAMPLES", strip)
        samples = read_rows(source, Converter(policy.bits, 0, 1.0), policy, addresses)
        unmasked = unmask(samples, addresses.permutation, secrets.mask_key, policy)
    np.testing.assert_array_equal(samples, frame.samples)
    np.testing.assert_array_equal(addresses.permutation.undo(unmasked), random_dn(policy))


def test_a_large_frame_is_read_in_strips_by_threads() -> None:
    opened = open_grant(Policy(1000, 1500, Cfa.NONE, scope="row"))
    source = ArraySource(random_dn(opened.grant.policy))
    frame = chip(opened).read_out(source, EXPOSURE)
    np.testing.assert_array_equal(plain_of(frame, opened), source.values)
    rows = readout.STRIP_SAMPLES // 1000
    assert sorted(source.asked) == [(first, min(1500, first + rows)) for first in range(0, 1500, rows)]


@pytest.mark.parametrize(
    "policy",
    [
        Policy(1200, 1000),
        Policy(1200, 1000, unit=Unit.QUAD),
        Policy(1200, 1000, scope="band:16"),
        Policy(1200, 1000, Cfa.NONE, 3),
    ],
    ids=lambda policy: f"{policy.unit} {policy.scope} {policy.samples_per_photosite}",
)
def test_a_readout_needs_less_than_three_frames_and_the_table(policy: Policy) -> None:
    adc, source = chip(open_grant(policy)), ArraySource(random_dn(policy))
    adc.read_out(source, EXPOSURE)  # kernels are loaded
    tracemalloc.start()
    try:
        frame = adc.read_out(source, EXPOSURE)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert frame.samples.nbytes < peak < 3 * frame.samples.nbytes + 4 * policy.photosites


@pytest.mark.parametrize("samples", [1, 3])
@pytest.mark.parametrize(("first", "last"), [(0, 1), (0, 40), (1, 2), (7, 8), (8, 24), (3, 39), (5, 5)])
def test_any_range_of_mask_words(samples: int, first: int, last: int) -> None:
    policy = Policy(8, 5, Cfa.NONE, samples)
    key = bytes(range(32))
    whole = np.empty((40, samples), np.uint16)
    Keystream(key).fill(whole, 0, 0)
    np.testing.assert_array_equal(MaskGenerator(key, policy).words(first, last), whole[first:last])


@pytest.mark.parametrize("shape", [(6, 4), (4, 6, 3), (4,), (2, 4, 6)])
def test_unmask_refuses_other_shapes(shape: tuple[int, ...]) -> None:
    policy = Policy(6, 4)
    with pytest.raises(ValueError, match="do not fit"):
        unmask(np.zeros(shape, np.uint16), Permutation.identity((4, 6)), bytes(32), policy)
    with pytest.raises(ValueError, match="do not fit"):
        unmask(np.zeros((4, 6), np.uint16), Permutation.identity((6, 4)), bytes(32), policy)


@pytest.mark.parametrize("part", [1 << 18, 5])
def test_the_first_dn_beyond_the_depth_is_named(part: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(addressing, "PART_PHOTOSITES", part)
    monkeypatch.setattr(readout, "STRIP_SAMPLES", 16)
    dn = random_dn(Policy(8, 6))
    dn[3, 5], dn[3, 7], dn[5, 0] = 4096, 5000, 65535
    with pytest.raises(SampleRangeError, match="column 5, row 3 is 4096 DN; 12 bits hold 0 to 4095"):
        frame_of(open_grant(Policy(8, 6)), dn)


def test_a_bad_sample_of_a_stacked_sensor_is_named_with_its_channel() -> None:
    policy = Policy(5, 3, Cfa.NONE, 3, 8)
    dn = random_dn(policy)
    dn[1, 4, 2] = 256
    with pytest.raises(SampleRangeError, match="column 4, row 1, channel 2 is 256 DN"):
        frame_of(open_grant(policy), dn)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_no_voltage_is_refused(value: float) -> None:
    volts = np.zeros((6, 8), np.float32)
    volts[4, 2] = value
    with pytest.raises(SampleRangeError, match="column 2, row 4"):
        frame_of(open_grant(Policy(8, 6)), volts)


def test_sixteen_bits_have_no_value_beyond() -> None:
    opened = open_grant(Policy(8, 6, bits=16))
    dn = np.full((6, 8), 65535, np.uint16)
    np.testing.assert_array_equal(plain_of(frame_of(opened, dn), opened), dn)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((8, 6), "6x8 photosites, the key is for 8x6"),
        ((6, 8, 3), "8x6x3 photosites, the key is for 8x6"),
        ((6,), "the key is for 8x6"),
    ],
)
def test_a_source_of_another_size_is_refused(shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(PolicyError, match=message):
        frame_of(open_grant(Policy(8, 6)), np.zeros(shape, np.uint16))


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int32, np.float64, np.float16])
def test_rows_of_another_type_are_refused(dtype: type) -> None:
    with pytest.raises(SourceError, match=np.dtype(dtype).name):
        frame_of(open_grant(Policy(8, 6)), np.zeros((6, 8), dtype))


def test_rows_of_another_shape_are_refused() -> None:
    class Short(ArraySource):
        def rows(self, first: int, last: int) -> np.ndarray:
            return self.values[first : last - 1]

    with pytest.raises(SourceError, match=r"\(5, 8\)"):
        chip(open_grant(Policy(8, 6))).read_out(Short(np.zeros((6, 8), np.uint16)), EXPOSURE)


def test_rows_that_lie_otherwise_in_memory_are_the_same_rows() -> None:
    opened = open_grant(Policy(8, 6))
    dn = random_dn(opened.grant.policy)
    np.testing.assert_array_equal(plain_of(frame_of(opened, np.asfortranarray(dn)), opened), dn)


def test_a_source_keeps_its_array() -> None:
    dn = random_dn(Policy(8, 6))
    before = dn.copy()
    frame_of(open_grant(Policy(8, 6)), dn)
    np.testing.assert_array_equal(dn, before)
    assert dn.flags.writeable
