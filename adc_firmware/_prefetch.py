"""A hint to the processor, as an operation of compiled kernels: an element will be written soon.

Writes to random places wait for their cache lines; asked for in time, many of them are under way at
once.  The lines are asked for as for reading, into the second-level cache: on the processors measured
this was faster than asking for writing or into the first level.  LLVM has the hint on every
processor; where there is no such instruction it does nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

_numba_function: Callable[..., Any] = intrinsic
_INT = ir.IntType(32)
_READ, _SECOND_LEVEL, _DATA = (ir.Constant(_INT, value) for value in (0, 2, 1))


@_numba_function
def prefetch_row(_typing: Any, array: Any, _row: Any) -> Any:
    """Say that ``array[row]`` will be written soon."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        inside = context.make_array(signature.args[0])(context, builder, values[0])
        stride = builder.extract_value(inside.strides, 0)
        start = builder.ptrtoint(inside.data, stride.type)
        place = builder.inttoptr(builder.add(start, builder.mul(values[1], stride)), ir.IntType(8).as_pointer())
        kind = ir.FunctionType(ir.VoidType(), [place.type, _INT, _INT, _INT])
        hint = builder.module.declare_intrinsic("llvm.prefetch", [place.type], kind)
        builder.call(hint, [place, _READ, _SECOND_LEVEL, _DATA])
        return context.get_dummy_value()

    return types.void(array, types.int64), generate
