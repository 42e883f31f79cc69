"""A second implementation of the packings of docs/spec/frame_files.md, section 2: one bit after the other."""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

GROUPS = {10: 4, 12: 2, 14: 4}
NAME = re.compile(
    r"S(?P<v4l2>RGGB|GRBG|GBRG|BGGR)(8|(1[024])P?|16)|Y((1[024])P?|16)"
    r"|Bayer(?P<pfnc>RG|GR|GB|BG)(8|1[02]p?|16)|Mono(8|1[02]p?|14|16)|(?P<dng>DNG)1[024]"
)
PFNC = {"RG": "RGGB", "GR": "GRBG", "GB": "GBRG", "BG": "BGGR", None: "none"}


def parsed(name: str) -> tuple[str | None, int, str]:
    """cfa (None: any), bits and order of a name."""
    if name == "GREY":
        return "none", 8, "words"
    found = NAME.fullmatch(name)
    assert found, name
    bits = int("".join(filter(str.isdigit, name)))
    if found["dng"]:
        return None, bits, "msb"
    return found["v4l2"] or PFNC[found["pfnc"]], bits, {"P": "mipi", "p": "lsb"}.get(name[-1], "words")


def packed(samples: NDArray[np.uint16], name: str) -> bytes:
    """``samples`` (h, w)."""
    _, bits, order = parsed(name)
    lines = [[int(sample) for sample in line] for line in samples]
    if order == "words":
        return b"".join(sample.to_bytes(1 if bits == 8 else 2, "little") for line in lines for sample in line)
    if order == "lsb":
        return from_bits([sample >> k & 1 for line in lines for sample in line for k in range(bits)], msb=False)
    if order == "msb":
        return b"".join(
            from_bits([sample >> k & 1 for sample in line for k in reversed(range(bits))], msb=True) for line in lines
        )
    flat, count, low = [sample for line in lines for sample in line], GROUPS[bits], bits - 8
    out = b""
    for first in range(0, len(flat), count):
        group = flat[first : first + count]
        out += bytes(sample >> low for sample in group)
        out += from_bits([sample >> k & 1 for sample in group for k in range(low)], msb=False)
    return out


def from_bits(bits: list[int], *, msb: bool) -> bytes:
    bits = bits + [0] * (-len(bits) % 8)
    places = range(7, -1, -1) if msb else range(8)
    return bytes(
        sum(bit << place for bit, place in zip(bits[i : i + 8], places, strict=True)) for i in range(0, len(bits), 8)
    )
