"""LLVM code on vectors, emitted through Numba: what the micro-kernels are written in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import llvmlite.binding
from llvmlite import ir
from numba import types
from numba.core import cgutils, config

I1, I8, I32, I64 = (ir.IntType(bits) for bits in (1, 8, 32, 64))
_PREFETCH = tuple(ir.Constant(I32, number) for number in (0, 3, 1))  # to read, to keep near, data


def machine(features: str | None = config.CPU_FEATURES) -> tuple[int, dict[int, int]]:
    """The vector unit that Numba compiles for: bytes of a register, and how to fill its registers.

    The second value is how many output rows are computed together, by how many vectors of
    outputs: rows times vectors sums, as many vectors of weights and one of values are in
    registers at a time.  ``features`` is LLVM's list; this processor's if None.
    """
    if features is None:
        features = str(llvmlite.binding.get_host_cpu_features().flatten())
    known = set(features.split(","))
    if "+avx512f" in known:
        return 64, {1: 12, 2: 12, 3: 8, 4: 6}
    return 32 if "+avx" in known else 16, {1: 8, 2: 6, 3: 4, 4: 3}


VECTOR_BYTES, ROWS = machine()
CACHE_LINE = 64
MAX_VECTORS = len(ROWS)


class Emitter:
    """Emits vector code for one element type, float32 or float64."""

    def __init__(self, context: Any, builder: Any, element: types.Float) -> None:
        self.b = builder
        self.bytes = element.bitwidth // 8
        self.lanes = VECTOR_BYTES // self.bytes
        self.line = CACHE_LINE // self.bytes
        self.vector = ir.VectorType(context.get_value_type(element), self.lanes)
        self.suffix = f"v{self.lanes}f{element.bitwidth}"
        self.zero = self.constant(0.0)

    def constant(self, value: float) -> Any:
        """A vector of equal numbers."""
        return ir.Constant(self.vector, [value] * self.lanes)

    def at(self, pointer: Any, offset: Any) -> Any:
        """The pointer ``offset`` elements further on."""
        return self.b.gep(pointer, [I64(offset) if isinstance(offset, int) else offset])

    def integer(self, pointer: Any, offset: Any) -> Any:
        """An integer from memory, as int64."""
        found = self.b.load(self.at(pointer, offset))
        return found if found.type == I64 else self.b.sext(found, I64)

    def intrinsic(self, name: str, returns: Any, arguments: Sequence[Any]) -> Any:
        """Call an intrinsic function of LLVM."""
        kind = ir.FunctionType(returns, [argument.type for argument in arguments])
        return self.b.call(cgutils.get_or_insert_function(self.b.module, kind, f"llvm.{name}"), arguments)

    def splat(self, value: Any) -> Any:
        """A scalar in every lane."""
        kind = ir.VectorType(value.type, self.lanes)
        undefined = ir.Constant(kind, ir.Undefined)
        first = self.b.insert_element(undefined, value, I32(0))
        return self.b.shuffle_vector(first, undefined, ir.Constant(ir.VectorType(I32, self.lanes), [0] * self.lanes))

    def multiply_add(self, one: Any, other: Any, total: Any) -> Any:
        """``one * other + total``, fused where the processor can."""
        return self.intrinsic(f"fmuladd.{self.suffix}", self.vector, [one, other, total])

    def maximum(self, one: Any, other: Any) -> Any:
        """The larger; not a number if either is."""
        return self.intrinsic(f"maximum.{self.suffix}", self.vector, [one, other])

    def lanes_below(self, count: Any, vectors: int) -> list[Any]:
        """For each of some vectors, which of its lanes have a number below ``count``."""
        kind, limit = ir.VectorType(I64, self.lanes), self.splat(count)
        first = [vector * self.lanes for vector in range(vectors)]
        numbers = [ir.Constant(kind, list(range(begin, begin + self.lanes))) for begin in first]
        return [self.b.icmp_signed("<", some, limit) for some in numbers]

    def load(self, pointer: Any, vector: int, mask: Any = None) -> Any:
        """The vector with this number behind ``pointer``; zero where the mask is not set."""
        address = self._address(pointer, vector)
        if mask is not None:
            arguments = [address, I32(self.bytes), mask, self.zero]
            return self.intrinsic(f"masked.load.{self.suffix}.p0", self.vector, arguments)
        found = self.b.load(address)
        found.align = self.bytes
        return found

    def store(self, value: Any, pointer: Any, vector: int, mask: Any = None) -> None:
        """Write a vector; only where the mask is set."""
        address = self._address(pointer, vector)
        if mask is None:
            self.b.store(value, address).align = self.bytes
        else:
            arguments = [value, address, I32(self.bytes), mask]
            self.intrinsic(f"masked.store.{self.suffix}.p0", ir.VoidType(), arguments)

    def _address(self, pointer: Any, vector: int) -> Any:
        return self.b.bitcast(self.at(pointer, vector * self.lanes), self.vector.as_pointer())

    def prefetch(self, pointer: Any) -> None:
        """Have the processor fetch what will be read soon."""
        self.intrinsic("prefetch.p0", ir.VoidType(), [self.b.bitcast(pointer, I8.as_pointer()), *_PREFETCH])

    def variable(self, value: Any) -> Variable:
        """A value that changes; the optimiser keeps it in a register."""
        return Variable(self.b, value)


class Variable:
    """A value that changes."""

    def __init__(self, builder: Any, value: Any) -> None:
        self._builder = builder
        self._place = cgutils.alloca_once(builder, value.type)
        self.set(value)

    def get(self) -> Any:
        """What it is now."""
        return self._builder.load(self._place)

    def set(self, value: Any) -> None:
        """Change it."""
        self._builder.store(value, self._place)
