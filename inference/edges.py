"""The law of an edge: how the values that flow along it are ordered.

An edge is either plain or keyed.  The order of a keyed edge is an affine function of one table,
the table of its *layout group*: the element whose true raster index over the keyed axes is t is
stored at ``offset[t] + scale * k[which[t]]``.  A window operator opens a new group; every
operator that moves nothing passes its group on; flattening, slicing and reshaping derive an order
from the same group.  Where two groups meet in one operator, one is bound to the other, so that both
have one table.  None of this knows any key: tables are drawn later, for every group one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import prod

import torch
from torch import Tensor


@dataclass(eq=False, slots=True)
class Group:
    """Edges that share one table: a permutation of ``size`` positions, to be drawn.

    Attributes:
        size: how many positions.
        name: the node that opened it.
        given: the table comes with each input, per sample; it is never drawn and never bound.
        bound: the order this group has been bound to; None while it is free.
    """

    size: int
    name: str
    given: bool = False
    bound: Order | None = field(default=None, repr=False)


@dataclass(frozen=True, eq=False, slots=True)
class Order:
    """An order of ``size`` elements: ``offset[t] + scale * k[which[t]]`` with k the group's table.

    ``which`` and ``offset`` are int64 (size,); None stands for t itself, and for zero.
    """

    group: Group
    size: int
    which: Tensor | None = None
    offset: Tensor | None = None
    scale: int = 1

    @classmethod
    def of(cls, group: Group) -> Order:
        """The group's own order."""
        return cls(group, group.size)

    def resolve(self) -> Order:
        """The same order in terms of a group that is not bound."""
        order = self
        while (base := order.group.bound) is not None:
            which = _take(order.which, base.which, order.size)
            offset = None if base.offset is None else order.scale * _at(base.offset, order.which)
            if order.offset is not None:
                offset = order.offset if offset is None else order.offset + offset
            order = Order(base.group, order.size, which, offset, order.scale * base.scale)
        return order

    def reindex(self, index: Tensor) -> Order:
        """The order of elements ``index`` (int64) of this one, where they stay stored."""
        which = index if self.which is None else self.which[index]
        offset = None if self.offset is None else self.offset[index]
        return Order(self.group, index.numel(), _unless_trivial(which, self.group.size), offset, self.scale)

    def lift(self, outer: int, inner: int) -> Order:
        """The order of the joint index (outer, this, inner), of which only this part is permuted."""
        if outer == inner == 1:
            return self
        size = outer * self.size * inner
        element = torch.arange(size)
        before, own, after = element // (self.size * inner), element // inner % self.size, element % inner
        base = before * self.size + (0 if self.offset is None else self.offset[own])
        which = own if self.which is None else self.which[own]
        return Order(
            self.group, size, _unless_trivial(which, self.group.size), base * inner + after, self.scale * inner
        )

    def same(self, other: AnyOrder) -> bool:
        """Whether both are one order, whatever the keys."""
        if not isinstance(other, Order):
            return False
        a, b = self.resolve(), other.resolve()
        if a.group is not b.group or a.size != b.size or a.scale != b.scale:
            return False
        return _equal(a.which, b.which) and _equal(a.offset, b.offset)

    def table(self, keys: Mapping[Group, Tensor]) -> Tensor:
        """int32 (1 or N, size): where each element is stored, under these tables of the groups."""
        order = self.resolve()
        table = keys[order.group]
        if order.which is not None:
            table = table[:, order.which.to(table.device)]
        if order.scale != 1:
            table = table * order.scale
        if order.offset is not None:
            table = table + order.offset.to(table.device, torch.int32)
        return table

    @property
    def groups(self) -> tuple[Group, ...]:
        """The free groups whose tables it follows from."""
        return (self.resolve().group,)

    @property
    def _permutes_its_group(self) -> bool:
        return self.size == self.group.size and self.scale == 1 and self.offset is None


def unify(one: Order, other: Order) -> bool:
    """Make two orders the same by binding the group of one; False where that cannot be."""
    one, other = one.resolve(), other.resolve()
    if one.same(other):
        return True
    if one.size != other.size or one.group is other.group or one.group.given or other.group.given:
        return False
    for free, fixed in ((other, one), (one, other)):
        if free._permutes_its_group:  # noqa: SLF001 - the same class
            free.group.bound = fixed if free.which is None else fixed.reindex(torch.argsort(free.which))
            return True
    return False


@dataclass(frozen=True, slots=True)
class Plain:
    """True order: no position is shuffled."""


@dataclass(frozen=True, slots=True, eq=False)
class Keyed:
    """The joint raster index of ``axes`` (consecutive, ascending, never the batch axis) is in ``order``."""

    order: Order
    axes: tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Factor:
    """A factor of a value's flat index.

    Attributes:
        size: of the batch factor, a size that stands for any.
        order: None if it is in true order.
        batch: whether it is the sample.
    """

    size: int
    order: Order | None = None
    batch: bool = False

    @property
    def moves(self) -> bool:
        """Whether where it lies matters: it is shuffled, or the sample."""
        return self.batch or self.order is not None


@dataclass(frozen=True, slots=True, eq=False)
class Factored:
    """The flat index is a product of factors, each in an order of its own; see :mod:`inference.factors`."""

    factors: tuple[Factor, ...]


Law = Plain | Keyed | Factored
PLAIN = Plain()


@dataclass(frozen=True, slots=True, eq=False)
class Product:
    """The order of a joint index (i1, ..., ik), of which each is in an order of its own, or in true order."""

    factors: tuple[Factor, ...]

    @property
    def size(self) -> int:
        """How many elements."""
        return prod(factor.size for factor in self.factors)

    @property
    def groups(self) -> tuple[Group, ...]:
        """The free groups whose tables it follows from."""
        return tuple(group for factor in self.factors if factor.order for group in factor.order.groups)

    def same(self, other: AnyOrder) -> bool:
        """Whether both are one order, whatever the keys."""
        if not isinstance(other, Product) or len(self.factors) != len(other.factors):
            return False
        return all(_same_factor(a, b) for a, b in zip(self.factors, other.factors, strict=True))

    def table(self, keys: Mapping[Group, Tensor]) -> Tensor:
        """int32 (1 or N, size): where each element is stored, under these tables of the groups."""
        joint: Tensor | None = None
        for factor in self.factors:
            own = _natural(factor.size, keys) if factor.order is None else factor.order.table(keys)
            joint = own if joint is None else (joint[:, :, None] * factor.size + own[:, None, :]).flatten(1)
        if joint is None:
            raise ValueError("a product of no factors has no table")
        return joint


AnyOrder = Order | Product


def join(factors: Sequence[Factor]) -> AnyOrder | None:
    """The order of the joint index of neighbouring factors; None if none is shuffled."""
    if len(factors) == 1:
        return factors[0].order
    return Product(tuple(factors)) if any(factor.order for factor in factors) else None


def orders_of(law: Law) -> tuple[Order, ...]:
    """The orders that a law is made of."""
    if isinstance(law, Keyed):
        return (law.order,)
    return () if isinstance(law, Plain) else tuple(factor.order for factor in law.factors if factor.order)


def _same_factor(one: Factor, other: Factor) -> bool:
    if one.order is None or other.order is None:
        return one.order is other.order and one.size == other.size
    return one.order.same(other.order)


def _natural(size: int, keys: Mapping[Group, Tensor]) -> Tensor:
    device = next(iter(keys.values())).device
    return torch.arange(size, dtype=torch.int32, device=device)[None]


def _take(index: Tensor | None, values: Tensor | None, size: int) -> Tensor | None:
    """``values[index]`` as indices, where None is the identity."""
    if values is None:
        return index
    return values if index is None else _unless_trivial(values[index], size)


def _at(values: Tensor, index: Tensor | None) -> Tensor:
    return values if index is None else values[index]


def _unless_trivial(which: Tensor, size: int) -> Tensor | None:
    return None if which.numel() == size and torch.equal(which, torch.arange(size)) else which


def _equal(one: Tensor | None, other: Tensor | None) -> bool:
    if one is None or other is None:
        return one is other
    return torch.equal(one, other)
