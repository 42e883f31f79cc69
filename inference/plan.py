"""What a lowered graph needs besides its input, and what it is made of.

The plan knows no key.  Each :class:`Ingredient` is one more input of the lowered graph: a table
that follows from the tables of the layout groups, or a weight that is arranged for the backend.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from inference.edges import AnyOrder, Factor, Factored, Group, Keyed, Law, Product, orders_of
from inference.factors import blocks
from inference.graphs import read_constant
from inference.kernels import Backend
from inference.layout import KeyedTensor, Layout
from inference.operations import Window
from inference.taps import stored_taps


@dataclass(frozen=True, slots=True)
class Kitchen:
    """What ingredients are made from.

    Attributes:
        keys: int32 (1 or N, n) table of every free group.
        network: holds the parameters.
        backend: whose tables and weights are wanted.
        dtype, device: of the values.
    """

    keys: Mapping[Group, Tensor] = field(repr=False)
    network: nn.Module
    backend: Backend
    dtype: torch.dtype
    device: torch.device


@runtime_checkable
class Ingredient(Protocol):
    """One more input of a lowered graph."""

    @property
    def orders(self) -> tuple[AnyOrder, ...]:
        """The orders it depends on; if there are none, it depends on weights alone."""

    def make(self, kitchen: Kitchen) -> Any:
        """The input's value."""


@dataclass(frozen=True, slots=True, eq=False)
class TapTable:
    """The tap table of a window, as the backend wants it."""

    window: Window

    @property
    def orders(self) -> tuple[AnyOrder, ...]:
        """Source and target."""
        return tuple(order for order in (self.window.source, self.window.target) if order is not None)

    def make(self, kitchen: Kitchen) -> Any:
        """Taps between stored positions."""
        source, target = (
            None if order is None else order.table(kitchen.keys) for order in (self.window.source, self.window.target)
        )
        taps = stored_taps(self.window.taps.to(kitchen.device), source, target)
        return kitchen.backend.table(taps, self.window.grid, kitchen.dtype)


@dataclass(frozen=True, slots=True, eq=False)
class StoredWeights:
    """Weights (P, T) of a window's taps, in the order of its output: (1, P, T)."""

    weights: Tensor
    order: AnyOrder | None

    @property
    def orders(self) -> tuple[AnyOrder, ...]:
        """The output's."""
        return () if self.order is None else (self.order,)

    def make(self, kitchen: Kitchen) -> Tensor:
        """``out[r, k(q)] = weights[q]``."""
        weights = self.weights.to(kitchen.device, kitchen.dtype)[None]
        if self.order is None:
            return weights
        table = self.order.table(kitchen.keys).long()
        return torch.empty_like(weights).index_copy_(1, table[0], weights)


@dataclass(frozen=True, slots=True, eq=False)
class ArrangedConstant:
    """A parameter or buffer, expanded to ``shape``, in the orders of the factors of its flat index."""

    path: str
    factors: tuple[Factor, ...]
    shape: tuple[int, ...]

    @property
    def orders(self) -> tuple[AnyOrder, ...]:
        """Those of its factors."""
        return tuple(factor.order for factor in self.factors if factor.order)

    def make(self, kitchen: Kitchen) -> Tensor:
        """``out[..., k(j), ...] = constant[..., j, ...]`` for every shuffled factor."""
        constant = read_constant(kitchen.network, self.path).expand(self.shape)
        values = constant.reshape([factor.size for factor in self.factors])
        for axis, factor in enumerate(self.factors):
            if factor.order is not None:
                table = factor.order.table(kitchen.keys).long()
                values = torch.empty_like(values).index_copy_(axis, table[0], values)
        return values.view(self.shape)


@dataclass(frozen=True, slots=True, eq=False)
class ArrangedWeight:
    """A convolution's weight, as the backend wants it."""

    path: str
    groups: int
    transposed: bool = False

    @property
    def orders(self) -> tuple[AnyOrder, ...]:
        """None: it does not depend on keys."""
        return ()

    def make(self, kitchen: Kitchen) -> Any:
        """The backend's own form."""
        weight = read_constant(kitchen.network, self.path)
        if self.transposed:  # (C, O / groups, kh, kw) to (O, C / groups, kh, kw)
            weight = weight.unflatten(0, (self.groups, -1)).transpose(1, 2).flatten(0, 1)
        return kitchen.backend.weight(weight, self.groups)


@dataclass(frozen=True, slots=True)
class LayoutGroup:
    """Edges that share one order, for people who look at a converted network.

    Attributes:
        name: the first of them.
        positions: how many positions are shuffled.
        operators: names of the operators whose results are stored in it, in the order of the network.
    """

    name: str
    positions: int
    operators: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """A network, planned.

    Attributes:
        backend: what computes its windows.
        shape: of the input; None where any size fits, which only the batch may be.
        entry: law of the input.
        ingredients: further inputs of the lowered graph, in its order.
        laws: of every node of the lowered graph, by name.
        results: laws of what it returns.
        tree: how what it returns is nested.
    """

    backend: Backend
    shape: tuple[int | None, ...]
    entry: Keyed
    ingredients: tuple[Ingredient, ...]
    laws: Mapping[str, Law]
    results: tuple[Law, ...]
    tree: Any

    @property
    def weights(self) -> tuple[str, ...]:
        """Paths of the parameters and buffers that ingredients are made of."""
        return tuple(i.path for i in self.ingredients if isinstance(i, ArrangedConstant | ArrangedWeight))

    @property
    def frame_group(self) -> Group:
        """The group whose table comes with each input."""
        return self.entry.order.group

    @property
    def groups(self) -> tuple[LayoutGroup, ...]:
        """The groups whose tables are drawn."""
        members: dict[Group, list[str]] = {group: [] for group in self.drawn}
        for name, law in self.laws.items():
            for group in dict.fromkeys(group for order in orders_of(law) for group in order.groups):
                if group in members:
                    members[group].append(name)
        return tuple(LayoutGroup(names[0], group.size, tuple(names)) for group, names in members.items())

    @property
    def drawn(self) -> tuple[Group, ...]:
        """The free groups of all laws, but the frame's, in the order of the graph."""
        found = dict.fromkeys(group for law in self.laws.values() for order in orders_of(law) for group in order.groups)
        return tuple(group for group in found if group is not self.frame_group)

    def kind(self, ingredient: Ingredient) -> str:
        """What an ingredient has to be made anew for: "frame", "keys", or "weights" alone."""
        groups = {group for order in ingredient.orders for group in order.groups}
        if self.frame_group in groups:
            return "frame"
        return "keys" if groups else "weights"


def keyed_value(value: Tensor, law: Law, keys: Mapping[Group, Tensor]) -> Tensor | KeyedTensor:
    """A value with the layout that its law gives it under these tables; a plain one as it is.

    Where the axes of the value do not do, its factors are its axes, samples first.
    """
    if isinstance(law, Keyed):
        extents = tuple(value.shape[axis] for axis in law.axes)
        return KeyedTensor(value, Layout.known(law.order.table(keys), law.axes, extents))
    if not isinstance(law, Factored):
        return value
    others = [factor for factor in law.factors if not factor.batch]
    if law.factors[0].batch and value[0].numel() == prod(factor.size for factor in others):
        return _own_axes(value, others, keys)
    sizes = [-1 if factor.batch else factor.size for factor in law.factors]
    sample = next(place for place, factor in enumerate(law.factors) if factor.batch)
    return _own_axes(value.reshape(sizes).movedim(sample, 0), others, keys)


def _own_axes(value: Tensor, factors: list[Factor], keys: Mapping[Group, Tensor]) -> KeyedTensor:
    """A value (N, ...) with factors (...) with the layout of the axes from the first shuffled one to the last."""
    found = blocks(factors, value.shape[1:])
    shuffled = [place for place, block in enumerate(found) if not block.fixed]
    held = found[shuffled[0] : shuffled[-1] + 1]
    order = Product(tuple(factor for block in held for factor in block.factors))
    axes = tuple(range(held[0].first + 1, held[-1].last + 1))
    return KeyedTensor(value, Layout.known(order.table(keys), axes, tuple(value.shape[axis] for axis in axes)))
