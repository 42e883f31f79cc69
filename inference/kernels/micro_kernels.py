"""Micro-kernels: the innermost loops of keyed windows.

Values are rows (n, C), C contiguous.  A micro-kernel reads the rows that taps name where they lie, and
keeps its sums in registers until all taps are done.  Runtimes for mobile devices use such indirect
convolutions to do without the buffer of im2col; here the indirection is the key, and costs nothing more.

One call computes some output rows of a block of outputs, R rows at a time; the last R are filled up
with the last row.  All take
reads: int64 (rows, T), addresses of what the taps of each output row read;
scales: int64, for each output row the number of its first weight;
numbers: int64, as named below;
weight, bias, residual, out: flat arrays of one floating type.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from inference.kernels.vector_code import I64, Emitter, Variable

#: ``numbers``: taps of a row; channels that a tap multiplies, and the first of them; what the next tap's weights are
#: away; the block's first weight, its outputs and the first of them; whether there is a bias, a residual, a ReLU;
#: values in a row of the output; first output row, and the one behind the last.
NUMBERS = range(13)
TAPS, CHANNELS, FIRST_CHANNEL, STEP, WEIGHT, OUTPUTS, FIRST_OUTPUT, BIASED, ADDED, RELU, WIDTH, FIRST, END = NUMBERS

_numba_function: Callable[..., Any] = intrinsic
_UNROLL = 2  # channels a turn of the innermost loop
_Sums = list[list[Variable]]  # by row and vector
_Where = tuple[Any, int, Any]  # pointer, vector, mask
_OfTap = Callable[[Any, _Where, Any], Any]


@dataclass
class _Block:
    """What a micro-kernel is given: pointers, and the numbers of a block; how many rows and vectors it computes."""

    emit: Emitter
    rows: int
    vectors: int
    numbers: list[Any]
    reads: Any
    scales: Any
    weight: Any
    bias: Any
    residual: Any
    out: Any

    def by_mask(self, body: Callable[[list[Any]], None]) -> None:
        """Emit ``body`` for whole vectors, without masks, and for a block whose last vectors are not full."""
        emit, count = self.emit, self.numbers[OUTPUTS]
        with emit.b.if_else(emit.b.icmp_signed("==", count, I64(self.vectors * emit.lanes))) as (whole, rest):
            with whole:
                body([None] * self.vectors)
            with rest:
                body(emit.lanes_below(count, self.vectors))

    def each_group(self, body: Callable[[list[Any], list[Any]], None]) -> None:
        """Emit ``body`` for every group of rows, which is given their numbers and where the reads of each begin."""
        emit, b = self.emit, self.emit.b
        first, end = self.numbers[FIRST], self.numbers[END]
        last = b.sub(end, I64(1))
        with cgutils.for_range_slice(b, first, end, I64(self.rows), intp=I64) as (start, _):
            further = [b.add(start, I64(row)) for row in range(self.rows)]
            rows = [b.select(b.icmp_signed("<", row, last), row, last) for row in further]
            body(rows, [emit.at(self.reads, b.mul(b.sub(row, first), self.numbers[TAPS])) for row in rows])

    def read(self, reads: list[Any], tap: Any) -> list[Any]:
        """Where the values of a tap of every row of a group lie, from the block's first channel on."""
        emit, b = self.emit, self.emit.b
        addresses = [b.inttoptr(emit.integer(of_row, tap), self.weight.type) for of_row in reads]
        return [emit.at(address, self.numbers[FIRST_CHANNEL]) for address in addresses]

    def zeros(self, start: float = 0.0) -> _Sums:
        """Sums of all rows and vectors."""
        return [[self.emit.variable(self.emit.constant(start)) for _ in range(self.vectors)] for _ in range(self.rows)]

    def finish(self, sums: _Sums, rows: list[Any], masks: list[Any]) -> None:
        """Add bias and residual, apply the activation and store."""
        emit, b = self.emit, self.emit.b
        output = self.numbers[FIRST_OUTPUT]
        firsts = [b.add(b.mul(row, self.numbers[WIDTH]), output) for row in rows]
        places = [(one, out, v, masks[v]) for some, out in zip(sums, firsts, strict=True) for v, one in enumerate(some)]
        with self._if(BIASED):
            bias = [emit.load(emit.at(self.bias, output), vector, mask) for vector, mask in enumerate(masks)]
            for one, _, vector, _ in places:
                one.set(b.fadd(one.get(), bias[vector]))
        with self._if(ADDED):
            for one, out, vector, mask in places:
                one.set(b.fadd(one.get(), emit.load(emit.at(self.residual, out), vector, mask)))
        with self._if(RELU):
            for one, _, _, _ in places:
                one.set(emit.maximum(one.get(), emit.zero))
        for one, out, vector, mask in places:
            emit.store(one.get(), emit.at(self.out, out), vector, mask)

    def _if(self, what: int) -> Any:
        return self.emit.b.if_then(self.emit.b.icmp_signed("!=", self.numbers[what], I64(0)))


def _product(block: _Block) -> None:
    """Rows of taps times a weight (T, C, outputs) whose outputs are filled up to whole vectors."""
    emit, numbers, b = block.emit, block.numbers, block.emit.b
    width = I64(block.vectors * emit.lanes)
    channels, last_tap = numbers[CHANNELS], b.sub(numbers[TAPS], I64(1))
    even = b.and_(channels, I64(-_UNROLL))

    def group(rows: list[Any], reads: list[Any]) -> None:
        sums = block.zeros()
        with cgutils.for_range(b, numbers[TAPS]) as loop:
            tap = loop.index
            following = b.select(b.icmp_signed("<", tap, last_tap), b.add(tap, I64(1)), tap)
            for address in block.read(reads, following):
                emit.prefetch(address)
            addresses = block.read(reads, tap)
            weight = emit.at(block.weight, b.add(numbers[WEIGHT], b.mul(tap, numbers[STEP])))

            def channel(number: Any) -> None:
                by_vector = [emit.load(emit.at(weight, b.mul(number, width)), v) for v in range(block.vectors)]
                for some, address in zip(sums, addresses, strict=True):
                    value = emit.splat(b.load(emit.at(address, number)))
                    for one, factor in zip(some, by_vector, strict=True):
                        one.set(emit.multiply_add(value, factor, one.get()))

            with cgutils.for_range_slice(b, I64(0), even, I64(_UNROLL), intp=I64) as (number, _):
                for further in range(_UNROLL):
                    channel(b.add(number, I64(further)))
            with cgutils.for_range_slice(b, even, channels, I64(1), intp=I64) as (number, _):
                channel(number)
        block.by_mask(lambda masks: block.finish(sums, rows, masks))

    block.each_group(group)


def _lanewise(block: _Block, combine: Callable[[Any, list[Any]], _OfTap], start: float) -> None:
    """All taps of a row combined, channel by channel.

    ``combine`` returns for a tap a function that is given the number of a row, where the tap's values
    lie together with vector and mask, and what was before.
    """

    def whole(masks: list[Any]) -> None:
        def group(rows: list[Any], reads: list[Any]) -> None:
            sums = block.zeros(start)
            with cgutils.for_range(block.emit.b, block.numbers[TAPS]) as loop:
                of_tap = combine(loop.index, masks)
                for row, some, first in zip(rows, sums, block.read(reads, loop.index), strict=True):
                    for vector, (one, mask) in enumerate(zip(some, masks, strict=True)):
                        one.set(of_tap(row, (first, vector, mask), one.get()))
            block.finish(sums, rows, masks)

        block.each_group(group)

    block.by_mask(whole)


def _depthwise(block: _Block) -> None:
    """A sum of taps with a weight for each tap and channel (T, C)."""
    emit, b = block.emit, block.emit.b

    def combine(tap: Any, masks: list[Any]) -> _OfTap:
        first = emit.at(block.weight, b.add(block.numbers[WEIGHT], b.mul(tap, block.numbers[STEP])))
        weights = [emit.load(first, vector, mask) for vector, mask in enumerate(masks)]
        return lambda _, where, total: emit.multiply_add(emit.load(*where), weights[where[1]], total)

    _lanewise(block, combine, 0.0)


def _weighted(block: _Block) -> None:
    """A sum of taps with a weight for each tap of each row."""
    emit, b = block.emit, block.emit.b

    def combine(tap: Any, _: list[Any]) -> _OfTap:
        def add(row: Any, where: _Where, total: Any) -> Any:
            first = emit.integer(block.scales, b.sub(row, block.numbers[FIRST]))
            scale = b.load(emit.at(block.weight, b.add(first, tap)))
            return emit.multiply_add(emit.load(*where), emit.splat(scale), total)

        return add

    _lanewise(block, combine, 0.0)


def _largest(block: _Block) -> None:
    """The maximum of the taps."""
    emit = block.emit
    _lanewise(block, lambda _, __: lambda _, where, most: emit.maximum(emit.load(*where), most), float("-inf"))


def _declared(body: Callable[[_Block], None]) -> Any:
    """A function for Numba code that takes the literal numbers of rows and vectors, then the arrays."""

    def declare(
        _: Any,
        rows: Any,
        vectors: Any,
        reads: Any,
        scales: Any,
        numbers: Any,
        weight: Any,
        bias: Any,
        residual: Any,
        out: Any,
    ) -> Any:
        arrays = (reads, scales, numbers, weight, bias, residual, out)

        def generate(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
            given = zip(arrays, arguments[2:], strict=True)
            reads, scales, numbers, *others = (
                context.make_array(kind)(context, builder, one).data for kind, one in given
            )
            emit = Emitter(context, builder, out.dtype)
            known = [emit.integer(numbers, number) for number in NUMBERS]
            body(_Block(emit, rows.literal_value, vectors.literal_value, known, reads, scales, *others))
            return context.get_dummy_value()

        return types.void(rows, vectors, *arrays), generate

    return intrinsic(prefer_literal=True)(declare)


@_numba_function
def fetch(_: Any, values: Any, first: Any, count: Any) -> Any:
    """Have the processor fetch a run of values, before they are read in any order."""

    def generate(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
        emit = Emitter(context, builder, values.dtype)
        begin = emit.at(context.make_array(values)(context, builder, arguments[0]).data, arguments[1])
        with cgutils.for_range_slice(builder, I64(0), arguments[2], I64(emit.line), intp=I64) as (number, _):
            emit.prefetch(emit.at(begin, number))
        return context.get_dummy_value()

    return types.void(values, types.int64, types.int64), generate


@_numba_function
def find(_: Any, reads: Any, place: Any, index: Any, tap: Any, count: Any, base: Any, row: Any, padding: Any) -> Any:
    """``reads[place + i] = base + row * index[tap + i]`` for ``count`` taps, or ``padding`` where the index is -1."""

    def generate(context: Any, b: Any, signature: Any, arguments: Any) -> Any:
        _, place, _, tap, count, base, row, padding = arguments
        emit = Emitter(context, b, types.float32)
        to, taps = (
            emit.at(context.make_array(kind)(context, b, arguments[number]).data, first)
            for number, kind, first in ((0, reads, place), (2, index, tap))
        )
        with cgutils.for_range(b, count) as loop:
            number = emit.integer(taps, loop.index)
            address = b.select(b.icmp_signed("<", number, I64(0)), padding, b.add(base, b.mul(number, row)))
            b.store(address, emit.at(to, loop.index))
        return context.get_dummy_value()

    return types.void(reads, types.int64, index, *[types.int64] * 5), generate


product, depthwise, weighted, largest = map(_declared, (_product, _depthwise, _weighted, _largest))
