"""What a lowered graph needs besides its input, and what it is made of.

The plan knows no key.  Each :class:`Ingredient` is one more input of the lowered graph: a table
that follows from the tables of the layout groups, or a weight that is arranged for the backend.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from inference.edges import Group, Keyed, Law, Order
from inference.graphs import read_constant
from inference.kernels import Backend
from inference.layout import Layout
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

    keys: Mapping[Group, Tensor]
    network: nn.Module
    backend: Backend
    dtype: torch.dtype
    device: torch.device


class Ingredient(Protocol):
    """One more input of a lowered graph."""

    @property
    def orders(self) -> tuple[Order, ...]:
        """The orders it depends on; if there are none, it depends on weights alone."""

    def make(self, kitchen: Kitchen) -> Any:
        """The input's value."""


@dataclass(frozen=True, slots=True, eq=False)
class TapTable:
    """The tap table of a window, as the backend wants it."""

    window: Window

    @property
    def orders(self) -> tuple[Order, ...]:
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
    order: Order | None

    @property
    def orders(self) -> tuple[Order, ...]:
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
class PermutedColumns:
    """A linear layer's weight with its columns in the order of its input."""

    path: str
    order: Order

    @property
    def orders(self) -> tuple[Order, ...]:
        """The input's."""
        return (self.order,)

    def make(self, kitchen: Kitchen) -> Tensor:
        """``out[:, k(j)] = weight[:, j]``."""
        weight = read_constant(kitchen.network, self.path)
        table = self.order.table(kitchen.keys).long()
        return torch.empty_like(weight).index_copy_(1, table[0], weight)


@dataclass(frozen=True, slots=True, eq=False)
class ArrangedWeight:
    """A convolution's weight, as the backend wants it."""

    path: str
    groups: int
    transposed: bool = False

    @property
    def orders(self) -> tuple[Order, ...]:
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
    def frame_group(self) -> Group:
        """The group whose table comes with each input."""
        return self.entry.order.group

    @property
    def groups(self) -> tuple[LayoutGroup, ...]:
        """The groups whose tables are drawn."""
        members: dict[Group, list[str]] = {group: [] for group in self.drawn}
        for name, law in self.laws.items():
            if isinstance(law, Keyed) and (group := law.order.resolve().group) in members:
                members[group].append(name)
        return tuple(LayoutGroup(names[0], group.size, tuple(names)) for group, names in members.items())

    @property
    def drawn(self) -> tuple[Group, ...]:
        """The free groups of all laws, but the frame's, in the order of the graph."""
        orders = [law.order for law in self.laws.values() if isinstance(law, Keyed)]
        found = dict.fromkeys(order.resolve().group for order in orders)
        return tuple(group for group in found if group is not self.frame_group)

    def kind(self, ingredient: Ingredient) -> str:
        """What an ingredient has to be made anew for: "frame", "keys", or "weights" alone."""
        groups = {order.resolve().group for order in ingredient.orders}
        if self.frame_group in groups:
            return "frame"
        return "keys" if groups else "weights"


def layout_of(law: Keyed, shape: Iterable[int], keys: Mapping[Group, Tensor]) -> Layout:
    """The layout of a value with this law and shape, under these tables."""
    sizes = tuple(shape)
    extents = tuple(sizes[axis] for axis in law.axes)
    table = law.order.table(keys)
    if table.shape[1] != prod(extents):
        raise ValueError(f"an order of {table.shape[1]} elements on a map of {extents}")
    return Layout(table, law.axes, extents)
