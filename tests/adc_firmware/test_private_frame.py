"""The private frame: how it cannot come about, and that no change of it passes."""

from __future__ import annotations

import copy
import json
import pickle
from collections import Counter
from dataclasses import FrozenInstanceError, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chip_factories import EXPOSURE, ArraySource, by_key_id, chip, frame_of, open_grant, random_dn, signer
from hypothesis import given, settings
from hypothesis import strategies as st

from adc_firmware import (
    ForeignFrameError,
    FrameError,
    FrameHeader,
    FrameTamperedError,
    PrivateFrame,
    decode,
    encode,
    read,
    write,
)
from adc_firmware.frame import sign
from keyvault.errors import InputError, OutputError, PrivcamError
from keyvault.policy import Cfa, Policy, Protection, Unit

POLICY = Policy(4, 2)
OPENED = open_grant(POLICY)
GRANTS = by_key_id(OPENED)
FRAME = frame_of(OPENED)
FILE = encode(FRAME)


def test_what_is_written_is_read() -> None:
    again = decode(FILE, GRANTS)
    assert again.header == FRAME.header
    assert again.signature == FRAME.signature
    np.testing.assert_array_equal(again.samples, FRAME.samples)
    assert encode(again) == FILE


def test_every_flipped_bit_of_the_file_is_refused() -> None:
    refusals: Counter[str] = Counter()
    for position in range(8 * len(FILE)):
        changed = bytearray(FILE)
        changed[position // 8] ^= 1 << position % 8
        with pytest.raises(PrivcamError) as caught:
            decode(bytes(changed), GRANTS)
        refusals[type(caught.value).__name__] += 1
    assert set(refusals) == {"FrameError", "FrameTamperedError", "ForeignFrameError"}
    assert refusals["FrameTamperedError"] > 8 * 600


def test_every_truncation_is_refused() -> None:
    for length in range(len(FILE)):
        with pytest.raises(FrameError):
            decode(FILE[:length], GRANTS)


@given(st.data())
@settings(max_examples=300)
def test_no_splice_raises_anything_else(data: st.DataObject) -> None:
    first = data.draw(st.integers(0, len(FILE)))
    last = data.draw(st.integers(first, len(FILE)))
    changed = FILE[:first] + data.draw(st.binary(max_size=40)) + FILE[last:]
    if changed != FILE:
        with pytest.raises(PrivcamError):
            decode(changed, GRANTS)


@given(st.binary(max_size=300))
def test_noise_is_no_private_frame(noise: bytes) -> None:
    with pytest.raises(FrameError, match="not a private frame"):
        decode(noise, GRANTS)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)
    )
)
def test_any_json_in_a_member_is_refused_or_the_same(value: Any) -> None:
    members = json.loads(FRAME.header.to_bytes())
    for name in members:
        text = json.dumps(members | {name: value}, sort_keys=True, separators=(",", ":")).encode()
        try:
            header = FrameHeader.from_bytes(text)
        except FrameError:
            continue
        assert header.to_bytes() == text


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("version", 2),
        ("version", True),
        ("sensor", ""),
        ("sensor", "a b"),
        ("sensor", "a" * 65),
        ("sensor", 5),
        ("key_id", "0" * 15),
        ("key_id", "A" * 16),
        ("key_id", 5),
        ("epoch", 0),
        ("epoch", 2**32),
        ("session", bytes(15)),
        ("session", "0" * 16),
        ("counter", -1),
        ("counter", 2**48),
        ("counter", 1.0),
        ("policy", None),
        ("white_level", 4096),
        ("black_level", 255),
        ("black_level", -1),
        ("exposure_us", -1),
        ("exposure_us", 2**32),
        ("gain_milli", 0),
        ("gain_milli", 2**32),
        ("white_balance", (1024, 1024)),
        ("white_balance", [1024, 1024, 1024]),
        ("white_balance", (1024, 0, 1024)),
        ("white_balance", (1024, 65536, 1024)),
        ("timestamp_ns", -1),
        ("timestamp_ns", 2**63),
    ],
)
def test_header_values_out_of_range_are_refused(name: str, value: Any) -> None:
    with pytest.raises(FrameError):
        replace(FRAME.header, **{name: value})


def test_header_of_the_greatest_values_is_read_back() -> None:
    header = replace(
        FRAME.header,
        sensor="s" * 64,
        epoch=2**32 - 1,
        counter=2**48 - 1,
        white_level=4095,
        black_level=4094,
        exposure_us=2**32 - 1,
        gain_milli=2**32 - 1,
        white_balance=(65535, 65535, 65535),
        timestamp_ns=2**63 - 1,
    )
    assert FrameHeader.from_bytes(header.to_bytes()) == header


def test_a_header_that_is_too_long_is_not_parsed() -> None:
    with pytest.raises(FrameError, match="16385 bytes"):
        FrameHeader.from_bytes(b" " * 16385)


def test_a_frame_cannot_be_made_or_changed_by_hand() -> None:
    with pytest.raises(TypeError, match=r"SecureAdc\.read_out"):
        PrivateFrame()
    with pytest.raises(TypeError):
        replace(FRAME, header=FRAME.header)
    with pytest.raises(FrozenInstanceError):
        FRAME.header = FRAME.header  # type: ignore[misc]
    for duplicate in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError, match=r"dng\.encode"):
            duplicate(FRAME)


@pytest.mark.parametrize("frame", [FRAME, decode(FILE, GRANTS), decode(bytearray(FILE), GRANTS)])  # type: ignore[arg-type]
def test_samples_are_read_only(frame: PrivateFrame) -> None:
    with pytest.raises(ValueError, match="read-only"):
        frame.samples[0, 0] = 1


def test_samples_do_not_follow_a_buffer_that_changes() -> None:
    buffer = bytearray(FILE)
    frame = decode(buffer, GRANTS)  # type: ignore[arg-type]
    buffer[:] = bytes(len(buffer))
    np.testing.assert_array_equal(frame.samples, FRAME.samples)


def test_a_frame_of_an_unknown_key_names_it_and_those_at_hand() -> None:
    other = open_grant(POLICY, key=41)
    with pytest.raises(ForeignFrameError, match=FRAME.header.key_id) as caught:
        decode(FILE, by_key_id(other))
    assert other.grant.key_id in str(caught.value)
    assert "front-door" in caught.value.hint
    with pytest.raises(ForeignFrameError, match="at hand: none"):
        decode(FILE, {})


def test_many_grants_are_not_all_named() -> None:
    grants = by_key_id(*(open_grant(POLICY, key=key) for key in range(100, 120)))
    with pytest.raises(ForeignFrameError) as caught:
        decode(FILE, grants)
    assert str(caught.value).endswith(" ...")
    assert len(str(caught.value)) < 300


def test_a_grant_under_a_wrong_name_does_not_serve() -> None:
    with pytest.raises(ForeignFrameError):
        decode(FILE, {FRAME.header.key_id: open_grant(POLICY, key=41).grant})


@pytest.mark.parametrize(
    "other",
    [
        open_grant(POLICY, sensor="back-door"),
        open_grant(POLICY, epoch=8),
        open_grant(POLICY, sign=2),
        open_grant(replace(POLICY, bits=13)),
        open_grant(replace(POLICY, cfa=Cfa.BGGR)),
        open_grant(replace(POLICY, unit=Unit.QUAD)),
        open_grant(replace(POLICY, scope="row")),
        open_grant(replace(POLICY, protection=Protection.SHUFFLE)),
        open_grant(Policy(2, 4)),
    ],
    ids=["sensor", "epoch", "signer", "bits", "cfa", "unit", "scope", "protection", "size"],
)
def test_a_frame_made_under_another_grant_of_the_same_key_is_refused(other: Any) -> None:
    with pytest.raises(FrameTamperedError):
        decode(FILE, by_key_id(other))


def test_another_sensor_cannot_sign_for_this_one() -> None:
    forged = encode(sign(FRAME.header, FRAME.samples.copy(), signer(2)))
    with pytest.raises(FrameTamperedError, match="not what sensor 'front-door' signed"):
        decode(forged, GRANTS)


def test_samples_of_one_frame_do_not_fit_another() -> None:
    adc = chip(OPENED)
    first, second = (encode(adc.read_out(ArraySource(random_dn(POLICY)), EXPOSURE)) for _ in range(2))
    size = 2 * POLICY.photosites
    with pytest.raises(FrameTamperedError):
        decode(first[:-size] + second[-size:], GRANTS)


def test_sign_takes_only_samples_that_fit_the_header() -> None:
    for samples in (np.zeros((4, 2), np.uint16), np.zeros((2, 4), np.int16), np.zeros((4, 2), np.uint16).T):
        if samples.shape == (2, 4) and samples.dtype == np.uint16:
            assert not samples.flags.c_contiguous
        with pytest.raises(ValueError, match="do not fit"):
            sign(FRAME.header, samples, signer())  # type: ignore[arg-type]


def test_files(tmp_path: Path) -> None:
    path = tmp_path / "frame.dng"
    write(FRAME, path)
    assert path.read_bytes() == FILE
    assert path.stat().st_mode & 0o777 == 0o644
    assert [p.name for p in tmp_path.iterdir()] == ["frame.dng"]
    np.testing.assert_array_equal(read(str(path), GRANTS).samples, FRAME.samples)


def test_a_file_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(OutputError):
        write(FRAME, tmp_path / "missing" / "frame.dng")
    assert not list(tmp_path.iterdir())


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    for place in (tmp_path / "missing.dng", tmp_path):
        with pytest.raises(InputError, match="cannot read private frame"):
            read(place, GRANTS)
    for device in ("/dev/zero", "/dev/stdin"):
        if Path(device).is_char_device():
            with pytest.raises(FrameError, match="not a regular file"):
                read(device, GRANTS)
