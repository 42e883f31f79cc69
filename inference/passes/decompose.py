"""Express operators by simpler ones that have rules."""

from __future__ import annotations

import itertools
import math
import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx
from torch._ops import OpOverload

from inference.graphs import arguments, example, named_arguments, origin, write_constant
from inference.rules.call import fixed_size

aten = torch.ops.aten

#: Other names of an operator.
ALIASES = {
    aten.swapaxes.default: aten.transpose.int,
}


@dataclass(frozen=True, slots=True)
class Pen:
    """Writes operators in front of ``node``, the one that they replace."""

    node: fx.Node

    def __getitem__(self, name: str) -> Any:
        """An argument of the node by its name."""
        return named_arguments(self.node)[name]

    def write(self, target: OpOverload, *inputs: Any) -> fx.Node:
        """One operator."""
        graph = self.node.graph
        with graph.inserting_before(self.node):
            written = graph.call_function(target, inputs)
        value = target(*example(inputs))
        written.meta.update(origin(self.node), val=value)
        return written


Results = fx.Node | list[fx.Node]
DECOMPOSITIONS: dict[OpOverload, Callable[[Pen], Results]] = {}


def decomposition(*operators: OpOverload) -> Callable[[Callable[[Pen], Results]], Callable[[Pen], Results]]:
    """Enter a decomposition for these operators; it returns the node, or nodes, that take the operator's place."""

    def enter(function: Callable[[Pen], Results]) -> Callable[[Pen], Results]:
        DECOMPOSITIONS.update(dict.fromkeys(operators, function))
        return function

    return enter


def decompose(module: fx.GraphModule) -> fx.GraphModule:
    """Replace every operator that is in ``DECOMPOSITIONS``, or another name of one that has a rule."""
    for node in list(module.graph.nodes):
        node.target = ALIASES.get(node.target, node.target)
        if node.target in DECOMPOSITIONS:
            _replace(node, DECOMPOSITIONS[node.target](Pen(node)))
    module.graph.eliminate_dead_code()
    module.recompile()
    return module


def _replace(node: fx.Node, results: Results) -> None:
    if isinstance(results, fx.Node):
        results.meta["val"] = node.meta["val"]
        node.replace_all_uses_with(results)
    else:
        for user in list(node.users):
            if user.target is operator.getitem:
                user.replace_all_uses_with(results[arguments(user)[1]])
                node.graph.erase_node(user)
    if not node.users:
        node.graph.erase_node(node)


@decomposition(aten.chunk.default, aten.split.Tensor, aten.split_with_sizes.default)
def parts(pen: Pen) -> list[fx.Node]:
    """Slices."""
    axis, source = pen["dim"], pen["self"]
    values: list[Tensor] = pen.node.meta["val"]
    ends = itertools.accumulate(int(value.shape[axis]) for value in values)
    sizes = [int(value.shape[axis]) for value in values]
    return [pen.write(aten.slice.Tensor, source, axis, end - size, end) for size, end in zip(sizes, ends, strict=True)]


@decomposition(aten.expand_as.default)
def expand_as(pen: Pen) -> fx.Node:
    """An expansion of the axes that have one element."""
    source, shape = pen["self"], pen.node.meta["val"].shape
    own = source.meta["val"].shape
    missing = len(shape) - len(own)
    kept = [axis >= missing and own[axis - missing] == shape[axis] for axis in range(len(shape))]
    sizes = [-1 if kept[axis] else int(shape[axis]) for axis in range(len(shape))]
    return pen.write(aten.expand.default, source, sizes)


@decomposition(aten.reshape_as.default)
def reshape_as(pen: Pen) -> fx.Node:
    """A reshape."""
    sizes = [-1 if (size := fixed_size(extent)) is None else size for extent in pen.node.meta["val"].shape]
    return pen.write(aten.reshape.default, pen["self"], sizes)


@decomposition(aten.type_as.default)
def type_as(pen: Pen) -> fx.Node:
    """A change of dtype."""
    return pen.write(aten.to.dtype, pen["self"], pen["other"].meta["val"].dtype)


@decomposition(aten.addcmul.default)
def addcmul(pen: Pen) -> fx.Node:
    """A product, scaled, and a sum."""
    product = pen.write(aten.mul.Tensor, pen["tensor1"], pen["tensor2"])
    scaled = product if pen["value"] == 1 else pen.write(aten.mul.Scalar, product, pen["value"])
    return pen.write(aten.add.Tensor, pen["self"], scaled)


@decomposition(aten.avg_pool1d.default)
def avg_pool1d(pen: Pen) -> fx.Node:
    """A pooling of maps of one row."""
    row = pen.write(aten.unsqueeze.default, pen["self"], -2)
    kernel, stride, padding = pen["kernel_size"], pen["stride"] or pen["kernel_size"], pen["padding"]
    window = [1, *kernel], [1, *stride], [0, *padding]
    pooled = pen.write(aten.avg_pool2d.default, row, *window, pen["ceil_mode"], pen["count_include_pad"])
    return pen.write(aten.squeeze.dim, pooled, -2)


@decomposition(aten.im2col.default)
def im2col(pen: Pen) -> fx.Node:
    """A depthwise convolution each of whose kernels is one at a single tap."""
    channels = int(pen["self"].meta["val"].shape[1])
    geometry = pen["stride"], pen["padding"], pen["dilation"]
    taps = pen.write(aten.conv2d.default, pen["self"], _single_taps(pen, channels), None, *geometry, channels)
    return pen.write(aten.flatten.using_ints, taps, 2)


@decomposition(aten.col2im.default)
def col2im(pen: Pen) -> fx.Node:
    """The transposed convolution with the same kernels."""
    out, kernel, stride, padding, dilation = (
        pen[name] for name in ("output_size", "kernel_size", "stride", "padding", "dilation")
    )
    reach = [out[a] + 2 * padding[a] - dilation[a] * (kernel[a] - 1) - 1 for a in (0, 1)]
    size = [reach[a] // stride[a] + 1 for a in (0, 1)]
    left = [reach[a] % stride[a] for a in (0, 1)]
    channels = int(pen["self"].meta["val"].shape[1]) // math.prod(kernel)
    taps = pen.write(aten.unflatten.int, pen["self"], 2, size)
    weight = _single_taps(pen, channels)
    return pen.write(aten.conv_transpose2d.input, taps, weight, None, stride, padding, left, channels, dilation)


def _single_taps(pen: Pen, channels: int) -> fx.Node:
    """A constant (channels T, 1, kh, kw): for every channel T kernels, the t-th of which is one at tap t."""
    kernel, like = pen["kernel_size"], pen["self"].meta["val"]
    taps = math.prod(kernel)
    weight = torch.eye(taps, dtype=like.dtype).view(taps, 1, *kernel).repeat(channels, 1, 1, 1)
    graph, path = pen.node.graph, f"_single_taps_{pen.node.name}"
    if graph.owning_module is None:
        raise TypeError("the graph belongs to no module")
    write_constant(graph.owning_module, path, weight.to(like.device))
    with graph.inserting_before(pen.node):
        stored = graph.get_attr(path)
    stored.meta.update(origin(pen.node), val=like.new_empty(weight.shape))
    return stored


@decomposition(aten.max.dim)
def maximum_along(pen: Pen) -> list[fx.Node]:
    """The largest values, and where they are."""
    axis, keep = pen["dim"], pen["keepdim"]
    return [
        pen.write(aten.amax.default, pen["self"], [axis], keep),
        pen.write(aten.argmax.default, pen["self"], axis, keep),
    ]


@decomposition(aten.unbind.int)
def layers(pen: Pen) -> list[fx.Node]:
    """Selections."""
    return [pen.write(aten.select.int, pen["self"], pen["dim"], index) for index in range(len(pen.node.meta["val"]))]


@decomposition(aten.stack.default)
def stack(pen: Pen) -> fx.Node:
    """A concatenation along a new axis."""
    axis = pen["dim"] % pen.node.meta["val"].dim()
    return pen.write(aten.cat.default, [pen.write(aten.unsqueeze.default, part, axis) for part in pen["tensors"]], axis)


@decomposition(aten.channel_shuffle.default)
def channel_shuffle(pen: Pen) -> fx.Node:
    """Groups and channels of each exchanged."""
    grouped = pen.write(aten.unflatten.int, pen["self"], 1, [pen["groups"], -1])
    return pen.write(aten.flatten.using_ints, pen.write(aten.transpose.int, grouped, 1, 2), 1, 2)


@decomposition(aten.pixel_unshuffle.default)
def pixel_unshuffle(pen: Pen) -> fx.Node:
    """Every factor-th row and column, each offset as channels of its own."""
    factor, source = pen["downscale_factor"], pen["self"]
    phases = []
    for row, column in itertools.product(range(factor), repeat=2):
        rows = pen.write(aten.slice.Tensor, source, 2, row, torch.iinfo(torch.int64).max, factor)
        phase = pen.write(aten.slice.Tensor, rows, 3, column, torch.iinfo(torch.int64).max, factor)
        phases.append(pen.write(aten.unsqueeze.default, phase, 2))
    return pen.write(aten.flatten.using_ints, pen.write(aten.cat.default, phases, 2), 1, 2)
