"""Loops of bit packing, compiled by Numba on first use; none checks its arguments."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from keyvault.compiled import compiled


@compiled
def pack_mipi(samples: NDArray[np.uint16], bits: int, out: NDArray[np.uint8]) -> None:
    """CSI-2 groups: ``samples`` (groups, n), ``out`` (groups, n * bits / 8)."""
    low = bits - 8
    mask = (1 << low) - 1
    count = samples.shape[1]
    for g in range(samples.shape[0]):
        rest = np.int64(0)
        for i in range(count):
            sample = np.int64(samples[g, i])
            out[g, i] = sample >> low
            rest |= (sample & mask) << (low * i)
        for i in range(count, out.shape[1]):
            out[g, i] = rest & 255
            rest >>= 8


@compiled
def unpack_mipi(data: NDArray[np.uint8], bits: int, out: NDArray[np.uint16]) -> None:
    """The inverse of pack_mipi."""
    low = bits - 8
    mask = (1 << low) - 1
    count = out.shape[1]
    for g in range(out.shape[0]):
        rest = np.int64(0)
        for i in range(data.shape[1] - 1, count - 1, -1):
            rest = (rest << 8) | np.int64(data[g, i])
        for i in range(count):
            out[g, i] = (np.int64(data[g, i]) << low) | ((rest >> (low * i)) & mask)


@compiled
def pack_lsb(samples: NDArray[np.uint16], bits: int, out: NDArray[np.uint8]) -> None:
    """One bit string a line, least significant bit first: ``samples`` (lines, n), ``out`` (lines, bytes)."""
    for line in range(samples.shape[0]):
        held, fill, place = np.int64(0), 0, 0
        for i in range(samples.shape[1]):
            held |= np.int64(samples[line, i]) << fill
            fill += bits
            while fill >= 8:
                out[line, place] = held & 255
                held >>= 8
                fill -= 8
                place += 1
        if fill:
            out[line, place] = held


@compiled
def unpack_lsb(data: NDArray[np.uint8], bits: int, out: NDArray[np.uint16]) -> None:
    """The inverse of pack_lsb."""
    mask = (1 << bits) - 1
    for line in range(out.shape[0]):
        held, fill, place = np.int64(0), 0, 0
        for i in range(out.shape[1]):
            while fill < bits:
                held |= np.int64(data[line, place]) << fill
                fill += 8
                place += 1
            out[line, i] = held & mask
            held >>= bits
            fill -= bits


@compiled
def pack_msb(samples: NDArray[np.uint16], bits: int, out: NDArray[np.uint8]) -> None:
    """One bit string a line, most significant bit first: ``samples`` (lines, n), ``out`` (lines, bytes)."""
    for line in range(samples.shape[0]):
        held, fill, place = np.int64(0), 0, 0
        for i in range(samples.shape[1]):
            held = ((held << bits) | np.int64(samples[line, i])) & 0xFFFFFF
            fill += bits
            while fill >= 8:
                fill -= 8
                out[line, place] = (held >> fill) & 255
                place += 1
        if fill:
            out[line, place] = (held << (8 - fill)) & 255


@compiled
def unpack_msb(data: NDArray[np.uint8], bits: int, out: NDArray[np.uint16]) -> None:
    """The inverse of pack_msb."""
    mask = (1 << bits) - 1
    for line in range(out.shape[0]):
        held, fill, place = np.int64(0), 0, 0
        for i in range(out.shape[1]):
            while fill < bits:
                held = ((held << 8) | np.int64(data[line, place])) & 0xFFFFFF
                fill += 8
                place += 1
            fill -= bits
            out[line, i] = (held >> fill) & mask
