"""Weights in blocks: some output channels that are computed together, in whole vectors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from inference.kernels.vector_code import MAX_VECTORS, VECTOR_BYTES

#: What blocks do with taps: multiply them with a matrix, or channel by channel with weights of the tap and channel, or
#: of the output row and tap; or take the largest.
PRODUCT, DEPTHWISE, WEIGHTED, LARGEST = range(4)
#: Columns of a table of blocks.  The step is what the next tap's weights are away.
VECTORS, OUTPUTS, FIRST_OUTPUT, FIRST_CHANNEL, FIRST_WEIGHT, WEIGHT_STEP = range(6)


@dataclass(frozen=True, slots=True)
class Blocks:
    """A prepared weight.

    Attributes:
        kind: PRODUCT and so on.
        table: int64 (B, 6), a row a block.
        weight: flat.
        channels: that each tap multiplies.
        inputs, outputs: channels of the values that go in and come out.
        taps: that the weights are for; None if they are for any number.
    """

    kind: int
    table: NDArray[np.int64]
    weight: NDArray[Any]
    channels: int
    inputs: int
    outputs: int
    taps: int | None = None


def convolution_blocks(weight: Tensor, groups: int) -> Blocks:
    """A weight (O, C / groups, kh, kw)."""
    if groups > 1 and weight.shape[:2] == (groups, 1):
        by_tap = weight.detach().flatten(1).t().contiguous()  # (T, C)
        table = _of_channels(groups, weight.dtype)
        return Blocks(DEPTHWISE, table, by_tap.numpy(), 1, groups, groups, len(by_tap))
    return _product_blocks(*_merged(weight.detach(), groups))


def channel_blocks(kind: int, channels: int, weights: Tensor) -> Blocks:
    """Blocks of windows that treat all channels alike: WEIGHTED, with weights (1 or N, P, T), or LARGEST."""
    table, taps = _of_channels(channels, weights.dtype), weights.shape[2] if kind == WEIGHTED else None
    return Blocks(kind, table, weights.contiguous().numpy(), 1, channels, channels, taps)


def lanes(dtype: torch.dtype) -> int:
    """Values in a vector."""
    return VECTOR_BYTES // dtype.itemsize


def _product_blocks(weight: Tensor, groups: int) -> Blocks:
    """Every block as (T, C / groups, whole vectors of outputs)."""
    outputs, channels = weight.shape[:2]
    by_tap = weight.flatten(2).permute(2, 1, 0)  # (T, C / groups, O)
    table, parts, filled = [], [], 0
    for group in range(groups):
        for vectors, first, count in _spans(outputs // groups, lanes(weight.dtype)):
            output = group * (outputs // groups) + first
            part = by_tap.new_zeros(*by_tap.shape[:2], vectors * lanes(weight.dtype))
            part[:, :, :count] = by_tap[:, :, output : output + count]
            table.append((vectors, count, output, group * channels, filled, part[0].numel()))
            parts.append(part.flatten())
            filled += part.numel()
    packed = torch.cat(parts).numpy()
    return Blocks(PRODUCT, np.array(table, np.int64), packed, channels, groups * channels, outputs, len(by_tap))


def _merged(weight: Tensor, groups: int) -> tuple[Tensor, int]:
    """The same convolution with fewer groups, of as many given ones as fill a vector, and zeros between them."""
    own = weight.shape[0] // groups
    together = max(n for n in range(1, max(1, lanes(weight.dtype) // own) + 1) if groups % n == 0)
    split = weight.unflatten(0, (groups // together, together, own))  # (G / n, n, O / G, C / G, kh, kw)
    merged = split.new_zeros(*split.shape[:3], together, *split.shape[3:])
    for place in range(together):
        merged[:, place, :, place] = split[:, place]
    return merged.flatten(3, 4).flatten(0, 2), groups // together


def _of_channels(channels: int, dtype: torch.dtype) -> NDArray[np.int64]:
    spans = _spans(channels, lanes(dtype))
    return np.array([(vectors, count, first, first, first, channels) for vectors, first, count in spans], np.int64)


def _spans(count: int, width: int) -> list[tuple[int, int, int]]:
    """``count`` outputs in blocks of as equal size as whole vectors allow: vectors, first, count."""
    vectors = -(-count // width)
    blocks = -(-vectors // MAX_VECTORS)
    spans, first = [], 0
    for block in range(blocks):
        some = vectors // blocks + (block < vectors % blocks)
        spans.append((some, first, min(some * width, count - first)))
        first += some * width
    return spans
