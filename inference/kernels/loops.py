"""The loops around the micro-kernels, compiled by Numba: parts of the output, chunks of rows, blocks.

``arrays`` are values (N, n, C), taps (flat), weight, bias, residual and out; ``numbers`` is what all
blocks have in common of what a micro-kernel takes; a part is int64 (4,): first output row and the one
behind the last, first block and the one behind the last.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

from inference.kernels import blocks as table
from inference.kernels import micro_kernels as micro
from inference.kernels.blocks import DEPTHWISE, PRODUCT, WEIGHTED
from inference.kernels.vector_code import ROWS
from keyvault.compiled import compiled

#: What ``shape`` holds: output positions; bytes of a sample and of a row of the input; what the next sample's taps and
#: weights are away, 0 if all samples have the same; the address of what padding reads.
SHAPE = range(6)
POSITIONS, SAMPLE, ROW, TAP_STEP, SCALE_STEP, PADDING = SHAPE

#: Digest of what the kernels of this file are compiled from beside it.  Numba keeps compiled kernels until this file
#: changes, so it has to change with the others; a test tells what to write here.
SOURCES = "9b79467fbe96a141"

ROWS_TOGETHER = 24  # a multiple of all numbers of rows that micro-kernels compute together
_READS = 1024  # addresses found at a time, so that they stay in the first-level cache
_FETCHED = 2_000_000  # bytes; a larger sample would not stay in the second-level cache
_LANEWISE_ROWS = 2
_ROWS_1, _ROWS_2, _ROWS_3, _ROWS_4 = (ROWS[vectors] for vectors in (1, 2, 3, 4))

_Array = NDArray[Any]
_parallel: Callable[..., Any] = njit(cache=True, nogil=True, parallel=True)


@_parallel
def all_parts(kind: int, arrays: Any, blocks: _Array, numbers: _Array, shape: _Array, parts: _Array) -> None:
    """Compute all parts, each in a thread."""
    for part in prange(len(parts)):
        one_part(kind, arrays, blocks, numbers, shape, parts[part])


@compiled
def one_part(kind: int, arrays: Any, blocks: _Array, numbers: _Array, shape: _Array, part: _Array) -> None:
    """Compute a part of the output."""
    first, last, first_block, last_block = part
    of_block = numbers.copy()
    step = max(1, _READS // (numbers[micro.TAPS] * ROWS_TOGETHER)) * ROWS_TOGETHER
    reads, scales = np.empty(step * numbers[micro.TAPS], np.int64), np.empty(step, np.int64)
    for chunk in range(first, last, step):
        end = min(last, chunk + step)
        _fetch(chunk, end, chunk == first, arrays[0], shape)
        of_block[micro.FIRST], of_block[micro.END] = chunk, end
        _find(reads, scales, chunk, end, arrays, numbers[micro.TAPS], shape)
        for block in range(first_block, last_block):
            vectors = blocks[block, table.VECTORS]
            of_block[micro.WEIGHT] = blocks[block, table.FIRST_WEIGHT]
            of_block[micro.STEP] = blocks[block, table.WEIGHT_STEP]
            of_block[micro.OUTPUTS] = blocks[block, table.OUTPUTS]
            of_block[micro.FIRST_OUTPUT] = blocks[block, table.FIRST_OUTPUT]
            of_block[micro.FIRST_CHANNEL] = blocks[block, table.FIRST_CHANNEL]
            if kind == PRODUCT:
                _product(vectors, reads, scales, of_block, arrays)
            elif kind == DEPTHWISE:
                _depthwise(vectors, reads, scales, of_block, arrays)
            elif kind == WEIGHTED:
                _weighted(vectors, reads, scales, of_block, arrays)
            else:
                _largest(vectors, reads, scales, of_block, arrays)


@compiled
def _fetch(first: int, last: int, always: bool, values: _Array, shape: _Array) -> None:
    """Have the samples fetched that rows from ``first`` to ``last`` are the first to read."""
    if shape[SAMPLE] > _FETCHED:
        return
    count = shape[SAMPLE] // values.itemsize
    begin = first // shape[POSITIONS] if always else -(-first // shape[POSITIONS])
    for sample in range(begin, -(-last // shape[POSITIONS])):
        micro.fetch(values, sample * count, count)


@compiled
def _find(reads: _Array, scales: _Array, first: int, last: int, arrays: Any, taps: int, shape: _Array) -> None:
    """Fill ``reads`` and ``scales`` for some output rows."""
    values, index = arrays[0], arrays[1]
    begin = first
    while begin < last:
        sample = begin // shape[POSITIONS]
        position = begin - sample * shape[POSITIONS]
        end = min(last, (sample + 1) * shape[POSITIONS])
        place, tap, count = (begin - first) * taps, sample * shape[TAP_STEP] + position * taps, (end - begin) * taps
        base = values.ctypes.data + sample * shape[SAMPLE]
        micro.find(reads, place, index, tap, count, base, shape[ROW], shape[PADDING])
        for row in range(begin, end):
            scales[row - first] = sample * shape[SCALE_STEP] + (row - begin + position) * taps
        begin = end


@compiled
def _product(vectors: int, reads: _Array, scales: _Array, numbers: _Array, arrays: Any) -> None:
    _, _, weight, bias, residual, out = arrays
    if vectors == 4:
        micro.product(_ROWS_4, 4, reads, scales, numbers, weight, bias, residual, out)
    elif vectors == 3:
        micro.product(_ROWS_3, 3, reads, scales, numbers, weight, bias, residual, out)
    elif vectors == 2:
        micro.product(_ROWS_2, 2, reads, scales, numbers, weight, bias, residual, out)
    else:
        micro.product(_ROWS_1, 1, reads, scales, numbers, weight, bias, residual, out)


def _by_width(kernel: Any) -> Any:
    """A lanewise micro-kernel for every number of vectors."""

    @compiled
    def choose(vectors: int, reads: _Array, scales: _Array, numbers: _Array, arrays: Any) -> None:
        _, _, weight, bias, residual, out = arrays
        if vectors == 4:
            kernel(_LANEWISE_ROWS, 4, reads, scales, numbers, weight, bias, residual, out)
        elif vectors == 3:
            kernel(_LANEWISE_ROWS, 3, reads, scales, numbers, weight, bias, residual, out)
        elif vectors == 2:
            kernel(_LANEWISE_ROWS, 2, reads, scales, numbers, weight, bias, residual, out)
        else:
            kernel(_LANEWISE_ROWS, 1, reads, scales, numbers, weight, bias, residual, out)

    return choose


_depthwise, _weighted, _largest = map(_by_width, (micro.depthwise, micro.weighted, micro.largest))
