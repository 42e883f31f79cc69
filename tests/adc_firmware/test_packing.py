"""Packings against byte tables, a second implementation by single bits, and decoders of others."""

from __future__ import annotations

import imagecodecs
import numpy as np
import pytest
from bit_packing import packed, parsed
from harvesters.util import pfnc
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from adc_firmware.packing import PACKINGS, named, pack, unpack
from keyvault.errors import InputError, PolicyError

NAMES = list(PACKINGS)
PFNC = [name for name in NAMES if name.startswith(("Bayer", "Mono"))]
MIPI = [name for name in NAMES if PACKINGS[name].group > 1]


def random_samples(name: str, height: int, width: int, seed: int = 0) -> NDArray[np.uint16]:
    top = 2 ** PACKINGS[name].bits
    return np.random.default_rng(seed).integers(0, top, (height, width), dtype=np.uint16)


@st.composite
def images(draw: st.DrawFn) -> tuple[str, NDArray[np.uint16]]:
    name = draw(st.sampled_from(NAMES))
    width = draw(st.integers(1, 9)) * PACKINGS[name].group
    samples = random_samples(name, draw(st.integers(1, 6)), width, draw(st.integers(0, 2**32)))
    return name, samples


@given(images())
def test_a_second_implementation_packs_the_same(image: tuple[str, NDArray[np.uint16]]) -> None:
    name, samples = image
    data = pack(samples, name)
    assert data == packed(samples, name)
    height, width = samples.shape
    assert len(data) == PACKINGS[name].size(width, height)
    again = unpack(data, name, width, height)
    assert again.dtype == np.uint16
    np.testing.assert_array_equal(again, samples)


@given(images(), st.integers(0, 9), st.integers(0, 255))
def test_padded_lines_are_unpacked(image: tuple[str, NDArray[np.uint16]], padding: int, fill: int) -> None:
    name, samples = image
    height, width = samples.shape
    lines = [
        pack(samples[y : y + 1], name).ljust(PACKINGS[name].line_bytes(width) + padding, b"%c" % fill)
        for y in range(height)
    ]
    again = unpack(b"".join(lines), name, width, height, stride=len(lines[0]))
    np.testing.assert_array_equal(again, samples)


@pytest.mark.parametrize("name", NAMES)
def test_the_extremes_survive(name: str) -> None:
    top = 2 ** PACKINGS[name].bits - 1
    samples = np.array([[0, top, 0, top], [top, 0, 0, 1]], np.uint16)
    np.testing.assert_array_equal(unpack(pack(samples, name), name, 4, 2), samples)


def test_every_name_says_what_the_table_says() -> None:
    for name, packing in PACKINGS.items():
        cfa, bits, _ = parsed(name)
        assert (packing.name, packing.cfa, packing.bits) == (name, cfa, bits)
        assert packing.least == (8 if name in ("Y16", "SRGGB16", "SGRBG16", "SGBRG16", "SBGGR16") else bits)


# The tables of the Linux kernel's documentation (pixfmt-srggb10p, -12p, -14p; -yuv-luma): samples whose
# bits can be told apart, and what the bytes of the first group must be.
A, B, C, D = 0b11_0000_0001, 0b10_0000_0000, 0b00_1111_1110, 0b01_0101_0111
TABLES = {
    "10P": ([A, B, C, D], [A >> 2, B >> 2, C >> 2, D >> 2, (D & 3) << 6 | (C & 3) << 4 | (B & 3) << 2 | (A & 3)]),
    "12P": ([0xABC, 0x123], [0xAB, 0x12, 0x3C]),
    "14P": (
        [0x3FC1, 0x0022, 0x1235, 0x2A8A],
        [
            *(0xFF, 0x00, 0x48, 0xAA),
            (0x22 & 3) << 6 | 0x01,
            (0x35 & 15) << 4 | 0x22 >> 2,
            0x0A << 2 | 0x35 >> 4,
        ],
    ),
}


@pytest.mark.parametrize("name", MIPI)
def test_v4l2_bytes_are_those_of_the_kernels_tables(name: str) -> None:
    samples, table = TABLES[name[-3:]]
    assert list(pack(np.array([samples], np.uint16), name)) == table


@pytest.mark.parametrize("name", PFNC)
@pytest.mark.parametrize("size", [(1, 4), (3, 8), (5, 20), (7, 12)])
def test_harvesters_expands_what_we_pack(name: str, size: tuple[int, int]) -> None:
    samples = random_samples(name, *size)
    expanded = getattr(pfnc, name)().expand(np.frombuffer(pack(samples, name), np.uint8))
    np.testing.assert_array_equal(expanded.reshape(size), samples)


@pytest.mark.parametrize(("name", "group"), [("BayerGB10p", 5), ("Mono10p", 5), ("BayerBG12p", 3), ("Mono12p", 3)])
def test_lines_of_pfnc_follow_without_a_gap(name: str, group: int) -> None:
    samples = random_samples(name, 5, 7)
    data = pack(samples, name)
    filled = data.ljust(-(-len(data) // group) * group, b"\0")  # harvesters expands whole groups
    expanded = getattr(pfnc, name)().expand(np.frombuffer(filled, np.uint8))
    np.testing.assert_array_equal(expanded[: samples.size].reshape(samples.shape), samples)


@pytest.mark.parametrize("bits", [10, 12, 14])
@pytest.mark.parametrize("size", [(1, 1), (3, 7), (4, 9), (6, 16)])
def test_imagecodecs_decodes_the_order_of_dng(bits: int, size: tuple[int, int]) -> None:
    samples = random_samples(f"DNG{bits}", *size)
    data = pack(samples, f"DNG{bits}")
    decoded = imagecodecs.packints_decode(data, np.uint16, bits, runlen=size[1])
    np.testing.assert_array_equal(decoded.reshape(size), samples)
    if size[1] * bits % 8 == 0:
        assert imagecodecs.packints_encode(samples, bits) == data


def test_the_three_packings_of_12_bits_differ() -> None:
    samples = random_samples("DNG12", 2, 8)
    assert len({pack(samples, name) for name in ("SRGGB12P", "BayerRG12p", "DNG12")}) == 3


@pytest.mark.parametrize("name", MIPI)
def test_a_width_that_splits_a_group_is_refused(name: str) -> None:
    group = PACKINGS[name].group
    for width in range(1, 3 * group):
        if width % group:
            with pytest.raises(PolicyError, match=f"packs {group} samples"):
                pack(np.zeros((2, width), np.uint16), name)
            with pytest.raises(PolicyError, match=f"width of {width}"):
                unpack(b"", name, width, 2)


@pytest.mark.parametrize("name", [name for name in NAMES if PACKINGS[name].bits < 16])
def test_a_sample_that_is_too_large_is_refused(name: str) -> None:
    samples = np.zeros((1, 4), np.uint16)
    samples[0, 2] = 2 ** PACKINGS[name].bits
    with pytest.raises(PolicyError, match="does not fit"):
        pack(samples, name)


@pytest.mark.parametrize("name", NAMES)
def test_another_length_is_refused(name: str) -> None:
    size = PACKINGS[name].size(8, 3)
    for length in (0, size - 1, size + 1, 2 * size):
        with pytest.raises(InputError, match=f"which are {size}"):
            unpack(bytes(length), name, 8, 3)
    line = PACKINGS[name].line_bytes(8)
    with pytest.raises(InputError, match=f"more than {line - 1}"):
        unpack(bytes(3 * (line - 1)), name, 8, 3, stride=line - 1)
    with pytest.raises(InputError, match=f"lines of {line + 2} bytes"):
        unpack(bytes(3 * line + 4), name, 8, 3, stride=line + 2)


def test_names_are_exact() -> None:
    with pytest.raises(InputError, match="SRGGB12p") as caught:
        named("SRGGB12p")
    assert "SRGGB12P" in caught.value.hint
    with pytest.raises(InputError):
        named("RAW12")


def test_samples_need_not_be_contiguous() -> None:
    samples = random_samples("DNG12", 12, 16)
    for part in (samples[::2], samples[:, ::2], samples.T[:8], samples[::-1]):
        for name in ("SRGGB12P", "BayerRG12p", "DNG12", "SRGGB12"):
            assert pack(part, name) == pack(part.copy(), name)
