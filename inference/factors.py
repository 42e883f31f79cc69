"""The factors of a value: its flat index as a product of batch, plain and shuffled parts.

Whatever the shape of a value, its elements in memory order are numbered by (f1, ..., fk), where one
factor is the sample and some are shuffled, each in an order of its own.  Reshaping changes none of
that, and transposing exchanges factors.  So the factors describe what a law with axes cannot:
windows that lie in the batch axis, or an attention map whose rows and columns are both shuffled.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from inference.edges import PLAIN, Factor, Factored, Keyed, Law

#: Batch size that stands for the symbolic one where an operator is run on an index tensor; rarely a true size.
PROBE_BATCH = 5


@dataclass(frozen=True, slots=True)
class Block:
    """Neighbouring axes ``first`` to ``last - 1``, and the factors that they hold together."""

    first: int
    last: int
    factors: tuple[Factor, ...]

    @property
    def fixed(self) -> bool:
        """Whether it holds nothing shuffled and no samples."""
        return not any(factor.moves for factor in self.factors)


def factors_of(law: Law, sizes: Sequence[int]) -> tuple[Factor, ...]:
    """The factors of a value with these sizes; of a plain one, axis 0 is the batch."""
    if isinstance(law, Factored):
        return law.factors
    if isinstance(law, Keyed):
        first, last = law.axes[0], law.axes[-1] + 1
        return (samples(sizes[0]), *_plain(sizes[1:first]), Factor(law.order.size, law.order), *_plain(sizes[last:]))
    return (samples(prod(sizes[:1])), *_plain(sizes[1:]))


def samples(count: int) -> Factor:
    """The factor of a batch."""
    return Factor(count, batch=True)


def law_of_factors(factors: Sequence[Factor], sizes: Sequence[int]) -> Law:
    """The law of a value with these factors and sizes, as simple as it can be.

    One shuffled factor behind the batch axis is lifted to whole axes.
    """
    factors = tuple(factor for factor in factors if factor.batch or factor.size > 1)
    shuffled = [place for place, factor in enumerate(factors) if factor.order]
    if not shuffled:
        return PLAIN
    if len(shuffled) > 1 or not factors[0].batch or sizes[0] != factors[0].size:
        return Factored(_merged(factors))
    place = shuffled[0]
    order = factors[place].order
    if order is None:
        raise AssertionError("the factor is shuffled")
    outer, inner = (prod(f.size for f in part) for part in (factors[1:place], factors[place + 1 :]))
    first = max(axis for axis in range(1, len(sizes)) if outer % prod(sizes[1:axis]) == 0)
    last = min(axis for axis in range(first, len(sizes)) if inner % prod(sizes[axis + 1 :]) == 0)
    lifted = order.lift(outer // prod(sizes[1:first]), inner // prod(sizes[last + 1 :]))
    return Keyed(lifted, tuple(range(first, last + 1)))


def blocks(factors: Sequence[Factor], sizes: Sequence[int]) -> list[Block]:
    """The smallest runs of axes whose boundaries are boundaries of factors; plain factors are split for that."""
    left, found, axis = list(factors), list[Block](), 0
    while axis < len(sizes):
        first, extent, have, held = axis, sizes[axis], 1, list[Factor]()
        axis += 1
        while have != extent:
            if have > extent:
                extent *= sizes[axis]
                axis += 1
                continue
            factor = left.pop(0)
            wanted = extent // have
            if not factor.moves and factor.size > wanted and extent % have == factor.size % wanted == 0:
                left.insert(0, Factor(factor.size // wanted))
                factor = Factor(wanted)
            held.append(factor)
            have *= factor.size
        found.append(Block(first, axis, tuple(held)))
    return found


def carried(factors: Sequence[Factor], index: Tensor) -> tuple[Factor, ...] | None:
    """The factors of a value whose elements are those of another with ``factors``, at flat places ``index``.

    None if samples or shuffled factors do not stay whole: then the value cannot be computed from
    stored values as if they were in true order.
    """
    stride = prod(factor.size for factor in factors)
    flat: NDArray[Any] = index.reshape(-1).numpy().astype(np.int32 if stride < 2**31 else np.int64)
    rest, found = flat.copy(), list[tuple[int, Factor]]()
    for factor in factors:
        stride //= factor.size
        if not factor.moves or factor.size == 1:
            continue
        above = flat // stride
        coordinate = above - above // factor.size * factor.size
        step = _period(coordinate, factor.size)
        if step is None:
            return None
        rest -= coordinate * stride
        found.append((step, factor))
    found.sort(key=lambda entry: -entry[0])
    result, size = list[Factor](), flat.size
    for step, factor in found:
        result += [*_plain([size // (step * factor.size)]), factor]
        size = step
    result += _plain([size])
    return tuple(result) if _independent(rest, result) else None


def rearranged(factors: Sequence[Factor], index: Tensor) -> tuple[Factor, ...] | None:
    """The factors of a value whose elements, at flat places ``index``, only change places inside of shuffled factors.

    None if anything else happens.  The value is stored as the other is.
    """
    sizes = [factor.size for factor in factors]
    if index.numel() != prod(sizes):
        return None
    index, expected, result = index.reshape(sizes), torch.zeros(sizes, dtype=torch.int64), list[Factor]()
    for axis, factor in enumerate(factors):
        stride, found = prod(sizes[axis + 1 :]), torch.arange(factor.size)
        if factor.order is not None:
            along = index.movedim(axis, 0).reshape(factor.size, -1)[:, 0]
            found = along // stride % factor.size
            if found.unique().numel() != factor.size:
                return None
            factor = Factor(factor.size, factor.order.reindex(found))  # noqa: PLW2901 - the same, in another order
        expected += found.view(-1, *[1] * (len(sizes) - axis - 1)) * stride
        result.append(factor)
    return tuple(result) if torch.equal(index, expected) else None


def _period(coordinate: NDArray[Any], size: int) -> int | None:
    """How often each number comes in a row, if a coordinate counts from 0 to ``size`` - 1 over and over; else None."""
    step = int(np.argmax(coordinate != coordinate[0]))  # 0 if it never changes
    if step == 0 or coordinate.size % (step * size):
        return None
    counted = coordinate.reshape(-1, size, step) == np.arange(size, dtype=coordinate.dtype)[:, None]
    return step if counted.all() else None


def _independent(rest: NDArray[Any], factors: Sequence[Factor]) -> bool:
    """Whether the plain part of an index is the same for all samples and all shuffled positions."""
    if prod(factor.size for factor in factors) != rest.size:
        return False
    values = rest.reshape([factor.size for factor in factors])
    return all(bool((values == values.take([0], axis)).all()) for axis, factor in enumerate(factors) if factor.moves)


def _plain(sizes: Sequence[int]) -> list[Factor]:
    return [Factor(size) for size in sizes if size > 1]


def _merged(factors: Sequence[Factor]) -> tuple[Factor, ...]:
    """Neighbouring plain factors as one."""
    result = list[Factor]()
    for factor in factors:
        if result and not factor.moves and not result[-1].moves:
            result[-1] = Factor(result[-1].size * factor.size)
        else:
            result.append(factor)
    return tuple(result)
