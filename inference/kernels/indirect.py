"""Compiled kernels for the CPU: no row is copied before it is multiplied."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import torch
from numba import config, get_num_threads, set_num_threads
from numpy.typing import NDArray
from torch import Tensor

from inference.errors import ModelError
from inference.kernels import loops
from inference.kernels import micro_kernels as micro
from inference.kernels.blocks import LARGEST, WEIGHTED, Blocks, channel_blocks, convolution_blocks, lanes
from inference.kernels.epilogue import Epilogue
from inference.kernels.stored import StoredTaps
from inference.kernels.vector_code import MAX_VECTORS
from inference.taps import Grid

DTYPES = (torch.float32, torch.float64)

_SMALL = 1 << 16  # operations that are not worth a second thread
_SMALL_PART = 4 * loops.ROWS_TOGETHER  # rows; if a thread had fewer, threads share blocks instead
_one_at_a_time = threading.Lock()


class IndirectBackend:
    """For DTYPES on the CPU; see :class:`inference.kernels.backend.Backend`.

    A result does not depend on the number of threads, which is torch's.
    """

    name = "indirect"

    def table(self, taps: Tensor, grid: Grid, dtype: torch.dtype) -> StoredTaps:  # noqa: ARG002 - taps say it all
        """The taps themselves."""
        return StoredTaps.of(taps)

    def weight(self, weight: Tensor, groups: int) -> Blocks:
        """The weight in blocks of outputs."""
        return convolution_blocks(weight, groups)

    def conv(self, rows: Tensor, table: StoredTaps, weight: Blocks, epilogue: Epilogue) -> Tensor:
        """Taps times weights."""
        return _run(rows, table, weight, epilogue)

    def largest(self, rows: Tensor, table: StoredTaps) -> Tensor:
        """The maximum over the taps."""
        return self.copy(rows, table, 0.0)

    def weighted(self, rows: Tensor, table: StoredTaps, weights: Tensor) -> Tensor:
        """A weighted sum over the taps."""
        return _run(rows, table, channel_blocks(WEIGHTED, rows.shape[2], weights), Epilogue())

    def copy(self, rows: Tensor, table: StoredTaps, fill: float) -> Tensor:
        """The largest of a single tap."""
        return _run(rows, table, channel_blocks(LARGEST, rows.shape[2], rows.new_empty(0)), Epilogue(), fill)


def _run(rows: Tensor, table: StoredTaps, blocks: Blocks, epilogue: Epilogue, fill: float = 0.0) -> Tensor:
    """Combine the taps (1 or N, P, T) of rows (N, n, C), where padding reads ``fill``, to (N, P, outputs)."""
    _check(rows, table, blocks, epilogue)
    taps = table.index
    (samples, _, width), (_, positions, reach) = rows.shape, taps.shape
    out = rows.new_empty(samples * positions, blocks.outputs)
    padding = np.full(max(width, MAX_VECTORS * lanes(rows.dtype)), fill, out.numpy().dtype)
    arrays = _arrays(rows, taps, blocks, epilogue, out)
    numbers = np.zeros(len(micro.NUMBERS), np.int64)
    numbers[[micro.TAPS, micro.CHANNELS, micro.WIDTH]] = reach, blocks.channels, blocks.outputs
    numbers[micro.BIASED], numbers[micro.ADDED] = epilogue.bias is not None, epilogue.residual is not None
    numbers[micro.RELU] = epilogue.activation == "relu"
    work = samples * positions * reach * blocks.channels * blocks.outputs
    parts = _parts(samples * positions, len(blocks.table), 1 if work < _SMALL else torch.get_num_threads())
    given = (blocks.kind, arrays, blocks.table, numbers, _shape(rows, taps, blocks, padding))
    if len(parts) == 1:
        loops.one_part(*given, parts[0])
    elif len(parts):
        with _one_at_a_time:  # not every threading layer of Numba lets two threads in
            before = get_num_threads()
            set_num_threads(min(len(parts), config.NUMBA_NUM_THREADS))
            loops.all_parts(*given, parts)
            set_num_threads(before)
    return out.view(samples, positions, -1)


def _check(rows: Tensor, table: StoredTaps, blocks: Blocks, epilogue: Epilogue) -> None:
    """Raises ModelError unless all parts of a window fit each other: kernels compute addresses from them."""
    (samples, size, width), (orders, positions, taps) = rows.shape, table.index.shape
    terms = (epilogue.bias, (blocks.outputs,)), (epilogue.residual, (samples * positions, blocks.outputs))
    fits = (
        table.reach <= size
        and orders in (1, samples)
        and width == blocks.inputs
        and blocks.taps in (None, taps)
        and (blocks.kind != WEIGHTED or blocks.weight.shape in ((1, positions, taps), (samples, positions, taps)))
        and blocks.weight.dtype == rows.numpy().dtype
        and all(term is None or (term.shape == shape and term.dtype == rows.dtype) for term, shape in terms)
    )
    if not fits:
        raise ModelError(
            "values, table and weights of a window do not fit each other",
            hint="if the network was loaded from a folder, save it again",
        )


def _arrays(rows: Tensor, taps: Tensor, blocks: Blocks, epilogue: Epilogue, out: Tensor) -> tuple[NDArray[Any], ...]:
    """What the loops take; what is not there is something of its type that is not read."""
    found, weight = out.numpy(), blocks.weight.reshape(-1)
    bias = weight if epilogue.bias is None else epilogue.bias.detach().contiguous().numpy()
    residual = found if epilogue.residual is None else epilogue.residual.contiguous().numpy()
    return rows.numpy(), taps.numpy().reshape(-1), weight, bias, residual, found


def _shape(rows: Tensor, taps: Tensor, blocks: Blocks, padding: NDArray[Any]) -> NDArray[np.int64]:
    orders, positions, reach = taps.shape
    shape = np.zeros(len(loops.SHAPE), np.int64)
    row = rows.shape[2] * rows.element_size()
    shape[[loops.POSITIONS, loops.SAMPLE, loops.ROW]] = positions, rows.shape[1] * row, row
    shape[loops.TAP_STEP] = positions * reach if orders > 1 else 0
    shape[loops.SCALE_STEP] = positions * reach if blocks.kind == WEIGHTED and len(blocks.weight) > 1 else 0
    shape[loops.PADDING] = padding.ctypes.data
    return shape


def _parts(rows: int, blocks: int, threads: int) -> NDArray[np.int64]:
    """int64 (parts, 4), one for each thread: some of the rows, or of the blocks where rows are few."""
    if threads > 1 and rows < threads * _SMALL_PART and blocks >= threads:
        edges = np.linspace(0, blocks, threads + 1).astype(np.int64)
        whole = np.broadcast_to(np.array([0, rows]), (threads, 2))
        return np.column_stack([whole, edges[:-1], edges[1:]])
    step = max(1, -(-rows // (threads * loops.ROWS_TOGETHER))) * loops.ROWS_TOGETHER
    edges = np.append(np.arange(0, rows, step), rows)
    return np.column_stack([edges[:-1], edges[1:], np.zeros_like(edges[1:]), np.full_like(edges[1:], blocks)])
