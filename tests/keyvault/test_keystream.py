"""AES-CTR as an addressable stream."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import permutation_reference as reference
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyvault.keystream import Keystream

KEY = bytes(range(32))


def _octets(stream: int, offset: int, length: int) -> bytes:
    out = np.empty(length, np.uint8)
    Keystream(KEY).fill(out, stream, offset)
    return out.tobytes()


@given(
    key=st.binary(min_size=32, max_size=32),
    stream=st.integers(0, 2**32 - 1),
    block=st.integers(0, 2**64 - 8),
    length=st.integers(1, 100),
)
def test_equals_ciphered_counter_blocks(key: bytes, stream: int, block: int, length: int) -> None:
    out = np.empty(length, np.uint8)
    Keystream(key).fill(out, stream, 16 * block)
    assert out.tobytes() == reference.keystream(key)(stream, 16 * block, length)


@given(st.integers(0, 40), st.integers(1, 300))
def test_any_part_is_a_part_of_the_whole(block: int, length: int) -> None:
    assert _octets(3, 16 * block, length) == _octets(3, 0, 1000)[16 * block : 16 * block + length]


def test_parts_longer_than_the_zero_buffer() -> None:
    length = 600_001
    assert _octets(1, 32, length) == reference.keystream(KEY)(1, 32, length)


@pytest.mark.parametrize("dtype", ["<u1", "<u2", "<u4", "<u8"])
def test_words_are_little_endian(dtype: str) -> None:
    out = np.empty((3, 8), dtype)
    Keystream(KEY).fill(out, 5, 64)
    assert out.ravel().tolist() == np.frombuffer(_octets(5, 64, out.nbytes), dtype).tolist()


def test_words_are_little_endian_on_big_endian_machines(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory read by such a machine as native words must hold the bytes of each word the other way round."""
    monkeypatch.setattr(sys, "byteorder", "big")
    out = np.empty(8, np.uint32)
    Keystream(KEY).fill(out, 5, 0)
    assert out.astype(">u4").tobytes() == _octets(5, 0, 32)


def test_nothing_beyond_the_array_is_written() -> None:
    whole = np.zeros(64, np.uint8)
    Keystream(KEY).fill(whole[10:31], 0, 0)
    assert not whole[:10].any()
    assert not whole[31:].any()
    assert whole[10:31].tobytes() == _octets(0, 0, 21)


def test_an_empty_array_is_left_alone() -> None:
    Keystream(KEY).fill(np.empty(0, np.uint8), 0, 0)


def test_the_last_block_can_be_had_and_nothing_after_it() -> None:
    last = 16 * (2**64 - 1)
    assert _octets(0, last, 16) == reference.keystream(KEY)(0, last, 16)
    with pytest.raises(ValueError, match="offset"):
        _octets(0, last, 17)


@pytest.mark.parametrize("length", [0, 16, 31, 33, 64])
def test_key_length(length: int) -> None:
    with pytest.raises(ValueError, match=f"32 bytes, not {length}"):
        Keystream(bytes(length))


@pytest.mark.parametrize(("stream", "offset"), [(-1, 0), (2**32, 0), (0, -16), (0, 8), (0, 16 * 2**64)])
def test_addresses_outside_the_stream(stream: int, offset: int) -> None:
    with pytest.raises(ValueError, match="stream"):
        _octets(stream, offset, 16)


@pytest.mark.parametrize(
    "out",
    [
        np.empty(4, np.int32),
        np.empty(4, np.float32),
        np.empty(8, np.uint8)[::2],
        np.frombuffer(bytes(8), np.uint8),
    ],
    ids=["signed", "float", "strided", "read-only"],
)
def test_arrays_it_cannot_fill(out: Any) -> None:
    with pytest.raises(ValueError, match="writable contiguous"):
        Keystream(KEY).fill(out, 0, 0)


def test_representation_shows_no_key() -> None:
    stream = Keystream(b"S3cr3t-key-of-exactly-32-bytes!!")
    assert "S3cr3t" not in repr(stream)
    assert b"S3cr3t".hex() not in repr(stream)
