"""Window operators: convolution, also transposed, and pooling, all of them taps that are combined."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, fx

from inference.edges import PLAIN, Factor
from inference.operations import Conv, Largest, Weighted, Window
from inference.rules.call import Call, Unsupported, extents_of, plane, shape_of, sizes_of
from inference.rules.channels import along_channels
from inference.rules.table import rule
from inference.taps import PADDING, Grid, Pair, adaptive_taps, grid_taps, repeat_taps, spread_taps

aten = torch.ops.aten
MAP = (2, 3)  # height and width of (N, C, H, W)


@rule(aten.conv2d.default, aten.conv2d.padding)
def conv2d(call: Call) -> fx.Node:
    """A window with a matrix product; pointwise, if the kernel is a single tap at every position."""
    weight = call["weight"]
    kernel, stride, dilation = size_of(weight), _pair(call["stride"]), _pair(call["dilation"])
    padding = _conv_padding(call["padding"], kernel, dilation)
    if (kernel, stride, padding) == ((1, 1), (1, 1), (0, 0)):
        return _pointwise(call)
    size = map_size(call)
    if weight.op != "get_attr":
        raise Unsupported("the weight is computed in the network")
    grid = Grid(size, size_of(call.node), kernel, stride, padding, dilation)
    window, law = call.open(_window(call, grid_taps(grid), grid))
    return call.operate(Conv(window, call["groups"]), (call.source, weight, call["bias"], None), law)


@rule(aten.conv1d.default)
def conv1d(call: Call) -> fx.Node:
    """Pointwise only: a kernel of a single tap at every position."""
    if shape_of(call["weight"])[2] != 1 or call["stride"] != [1] or any(call["padding"]):
        raise Unsupported("a window over tokens")
    return _pointwise(call)


def _pointwise(call: Call) -> fx.Node:
    """Every position by itself, whatever is shuffled but channels."""
    before, after = along_channels(call)
    return call.keep_factors([*before, Factor(sizes_of(call.node)[1]), *after])


@rule(aten.conv_transpose2d.input)
def conv_transpose2d(call: Call) -> fx.Node:
    """A convolution whose taps are spread: a tap reads an input position or, between them, nothing."""
    size, weight = map_size(call), call["weight"]
    if weight.op != "get_attr":
        raise Unsupported("the weight is computed in the network")
    kernel, stride = size_of(weight), _pair(call["stride"])
    grid = Grid(size, size_of(call.node), kernel)
    taps = spread_taps(grid, stride, _pair(call["padding"]), _pair(call["dilation"]))
    window, law = call.open(_window(call, taps, grid))
    operation = Conv(window, call["groups"], transposed=True)
    return call.operate(operation, (call.source, weight, call["bias"], None), law)


@rule(aten.max_pool2d.default)
def max_pool2d(call: Call) -> fx.Node:
    """The maximum of a window; padding never wins, so it may read another tap of its window."""
    grid = _pool_grid(call, _pair(call["dilation"]))
    taps = repeat_taps(grid_taps(grid))
    if (taps == PADDING).any():
        raise Unsupported("a window covers nothing but padding")
    window, law = call.open(_window(call, taps, grid))
    return call.operate(Largest(window), (call.source,), law)


@rule(aten.avg_pool2d.default)
def avg_pool2d(call: Call) -> fx.Node:
    """The mean of a window, divided as ``count_include_pad`` and ``divisor_override`` say."""
    grid = _pool_grid(call, (1, 1))
    taps = grid_taps(grid)
    valid = (taps != PADDING).to(torch.float64)
    if call["divisor_override"]:
        weights = valid / call["divisor_override"]
    elif call["count_include_pad"]:
        weights = valid / _padded_size(grid)
    else:
        weights = valid / valid.sum(1, keepdim=True)
    return _weighted(call, grid, taps, weights)


@rule(aten.adaptive_avg_pool2d.default)
def adaptive_avg_pool2d(call: Call) -> fx.Node:
    """The mean of windows that follow from input and output size; of everything, if one is left."""
    size, out = map_size(call), size_of(call.node)
    if out == (1, 1):
        return call.keep(PLAIN)
    if out == size:
        return call.source
    taps = adaptive_taps(size, out)
    valid = (taps != PADDING).to(torch.float64)
    return _weighted(call, plane(size, out, taps.shape[1]), taps, valid / valid.sum(1, keepdim=True))


def _weighted(call: Call, grid: Grid, taps: Tensor, weights: Tensor) -> fx.Node:
    taps = repeat_taps(taps)
    if (taps == PADDING).any():
        raise Unsupported("a window covers nothing but padding")
    window, law = call.open(_window(call, taps, grid))
    return call.operate(Weighted(window, weights), (call.source,), law)


def _window(call: Call, taps: Tensor, grid: Grid) -> Window:
    return Window(taps, grid, MAP, grid.out, call.keyed_source().order, None)


def map_size(call: Call) -> Pair:
    """Height and width of the source, whose positions must be what is shuffled."""
    law = call.keyed_source()
    if len(shape_of(call.source)) != 4:
        raise Unsupported("the input has no batch axis")
    height, width = size_of(call.source)
    if not set(law.axes) <= set(MAP) or law.order.size != height * width:
        raise Unsupported("something other than the positions of the map is shuffled")
    return height, width


def _pool_grid(call: Call, dilation: Pair) -> Grid:
    kernel = _pair(call["kernel_size"])
    stride = _pair(call["stride"]) if call["stride"] else kernel
    return Grid(map_size(call), size_of(call.node), kernel, stride, _pair(call["padding"]), dilation)


def _padded_size(grid: Grid) -> Tensor:
    """Positions of each window inside the padded map (P, 1): what ceil_mode adds does not count."""
    counts = []
    for axis in (0, 1):
        end = grid.size[axis] + grid.padding[axis]
        counts.append((grid.sampling(axis) < end).sum(1))
    return (counts[0][:, None] * counts[1][None, :]).view(-1, 1).to(torch.float64)


def _conv_padding(padding: Any, kernel: Pair, dilation: Pair) -> Pair:
    if padding == "valid":
        return (0, 0)
    if padding == "same":
        height, width = (dilation[axis] * (kernel[axis] - 1) // 2 for axis in (0, 1))
        return height, width
    return _pair(padding)


def size_of(node: fx.Node) -> Pair:
    """The last two of four sizes, of a map or of a kernel."""
    height, width = extents_of(node, MAP)
    return height, width


def _pair(value: Any) -> Pair:
    height, width = (value * 2)[:2] if isinstance(value, list | tuple) else (value, value)
    return int(height), int(width)
