"""Packings: samples of a mosaic as bytes under the names of V4L2, PFNC and DNG (docs/spec/frame_files.md)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from adc_firmware import _packing_kernels as kernels
from keyvault.errors import InputError, PolicyError
from keyvault.policy import MIN_BITS, Cfa

_MOSAICS = (Cfa.RGGB, Cfa.GRBG, Cfa.GBRG, Cfa.BGGR)
_GROUPS = {10: 4, 12: 2, 14: 4}  # samples


class Order(Enum):
    """How the bits of samples follow one another."""

    BYTES = "bytes"
    WORDS = "words"
    MIPI = "MIPI"
    LSB = "lsb"
    MSB = "msb"


@dataclass(frozen=True, slots=True)
class Packing:
    """What a packing's name stands for.

    Attributes:
        name: of V4L2, PFNC or DNG.
        cfa: the mosaic, ``Cfa.NONE`` for monochrome, or None if the name leaves it open.
        bits: that a sample has room for.
        least: the fewest bits of a sample for which the name may stand.
        order: of the bits.
    """

    name: str
    cfa: Cfa | None
    bits: int
    least: int
    order: Order

    @property
    def group(self) -> int:
        """The width must be a multiple of this."""
        return _GROUPS[self.bits] if self.order is Order.MIPI else 1

    def line_bytes(self, width: int) -> int:
        """Bytes of a line that begins with a byte of its own."""
        if self.order is Order.BYTES:
            return width
        return 2 * width if self.order is Order.WORDS else -(-width * self.bits // 8)

    def size(self, width: int, height: int) -> int:
        """Bytes of an image; PolicyError if its width is not a multiple of the group."""
        if width % self.group:
            raise PolicyError(
                f"{self.name} packs {self.group} samples together, which a width of {width} is no multiple of",
                hint=f"use a width that is a multiple of {self.group}",
            )
        if self.order is Order.LSB:
            return -(-width * height * self.bits // 8)
        return self.line_bytes(width) * height


def named(name: str) -> Packing:
    """The packing of that exact name; InputError if there is none."""
    try:
        return PACKINGS[name]
    except KeyError:
        near = [known for known in PACKINGS if known.lower() == name.lower()]
        hint = f"names are exact: {near[0]}" if near else "names are such as SRGGB12P, BayerRG12p, Y16 or DNG12"
        raise InputError(f"there is no packing {name!r:.40}", hint=hint) from None


def pack(samples: NDArray[np.uint16], name: str) -> bytes:
    """Pack samples without any padding between lines.

    Args:
        samples: uint16 (h, w), each less than 2**bits of the packing.
        name: of the packing.

    Raises:
        InputError: there is no such packing.
        PolicyError: the width is not a multiple of its group, or a sample does not fit.
    """
    how = named(name)
    height, width = samples.shape
    size = how.size(width, height)
    if samples.max() >> how.bits:
        raise PolicyError(f"a sample of {samples.max()} does not fit the {how.bits} bits of {name}")
    if how.order is Order.BYTES:
        return samples.astype(np.uint8).tobytes()
    if how.order is Order.WORDS:
        return samples.astype("<u2", copy=False).tobytes()
    out = np.empty(size, np.uint8)
    lines = np.ascontiguousarray(samples)
    if how.order is Order.MIPI:
        kernels.pack_mipi(lines.reshape(-1, how.group), how.bits, out.reshape(-1, how.group * how.bits // 8))
    elif how.order is Order.LSB:
        kernels.pack_lsb(lines.reshape(1, -1), how.bits, out.reshape(1, -1))
    else:
        kernels.pack_msb(lines, how.bits, out.reshape(height, -1))
    return out.tobytes()


def unpack(
    data: bytes | memoryview, name: str, width: int, height: int, *, stride: int | None = None
) -> NDArray[np.uint16]:
    """The inverse of :func:`pack`.

    Args:
        data: the whole image, nothing before and nothing behind it.
        name: of the packing.
        width, height: photosites.
        stride: bytes from the beginning of a line to that of the next (V4L2's bytesperline, GenICam's
            LinePitch), if lines are padded; each then begins with a byte of its own, the last is padded too.

    Returns:
        uint16 (h, w).  Unused bits behind samples are not looked at; those above them are part of the values.

    Raises:
        InputError: there is no such packing, or ``data`` has another length.
        PolicyError: the width is not a multiple of the packing's group.
    """
    how = named(name)
    size = how.size(width, height)
    if stride is not None:
        size = stride * height
        if stride < how.line_bytes(width):
            raise InputError(f"{width} samples as {name} have {how.line_bytes(width)} bytes a line, more than {stride}")
    if len(data) != size:
        pitch = "" if stride is None else f" in lines of {stride} bytes"
        raise InputError(f"{len(data)} bytes are not {width}x{height} samples as {name}{pitch}, which are {size}")
    lines = 1 if stride is None and how.order is Order.LSB else height
    octets = np.frombuffer(data, np.uint8).reshape(lines, -1)
    if stride is not None:
        octets = np.ascontiguousarray(octets[:, : how.line_bytes(width)])
    return _unpack(octets, how, width * height // lines).reshape(height, width)


def _unpack(octets: NDArray[np.uint8], how: Packing, count: int) -> NDArray[np.uint16]:
    """``count`` samples of each line."""
    if how.order is Order.BYTES:
        return octets.astype(np.uint16)
    if how.order is Order.WORDS:
        return octets.view("<u2").astype(np.uint16, copy=False)
    out = np.empty((len(octets), count), np.uint16)
    if how.order is Order.MIPI:
        kernels.unpack_mipi(octets.reshape(-1, how.group * how.bits // 8), how.bits, out.reshape(-1, how.group))
    elif how.order is Order.LSB:
        kernels.unpack_lsb(octets, how.bits, out)
    else:
        kernels.unpack_msb(octets, how.bits, out)
    return out


def _packings() -> Iterator[Packing]:
    for cfa in (*_MOSAICS, Cfa.NONE):
        v4l2 = "Y" if cfa is Cfa.NONE else f"S{cfa}"
        pfnc = "Mono" if cfa is Cfa.NONE else f"Bayer{cfa[:2]}"
        yield Packing("GREY" if cfa is Cfa.NONE else f"{v4l2}8", cfa, 8, 8, Order.BYTES)
        yield Packing(f"{v4l2}16", cfa, 16, MIN_BITS, Order.WORDS)
        for bits in (10, 12, 14):
            yield Packing(f"{v4l2}{bits}", cfa, bits, bits, Order.WORDS)
            yield Packing(f"{v4l2}{bits}P", cfa, bits, bits, Order.MIPI)
        yield Packing(f"{pfnc}8", cfa, 8, 8, Order.BYTES)
        yield Packing(f"{pfnc}16", cfa, 16, 16, Order.WORDS)
        for bits in (10, 12):
            yield Packing(f"{pfnc}{bits}", cfa, bits, bits, Order.WORDS)
            yield Packing(f"{pfnc}{bits}p", cfa, bits, bits, Order.LSB)
    yield Packing("Mono14", Cfa.NONE, 14, 14, Order.WORDS)
    for bits in (10, 12, 14):
        yield Packing(f"DNG{bits}", None, bits, bits, Order.MSB)


PACKINGS = MappingProxyType({packing.name: packing for packing in _packings()})
