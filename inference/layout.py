"""The law by which a tensor is ordered, and tensors that carry it."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor

from inference.errors import InputMismatchError


@dataclass(frozen=True, slots=True)
class Layout:
    """A permutation of the joint index of some axes of a tensor.

    Attributes:
        table: int32 (1, n), one order for the whole batch, or (N, n), one for each sample.
            ``table[b, s]`` is the stored position of true position ``s``.
        axes: the axes whose joint raster index is permuted, consecutive, batch axis excluded.
        extents: their true sizes; their product is n.

    Raises InputMismatchError if they do not fit each other, or a row of the table is no permutation.
    """

    table: Tensor
    axes: tuple[int, ...]
    extents: tuple[int, ...]

    def __post_init__(self) -> None:
        _check_geometry(self)
        if not _is_permutation(self.table):
            raise InputMismatchError(
                "a row of the layout's table is no permutation",
                hint=f"every number from 0 to {self.table.shape[1] - 1} has to be in it once",
            )

    @classmethod
    def known(cls, table: Tensor, axes: tuple[int, ...], extents: tuple[int, ...]) -> Layout:
        """A layout whose table is known to be a permutation, such as one that was derived from layouts.

        The table is not looked at, which for large batches takes a while.
        """
        layout = cls.__new__(cls)
        for name, value in (("table", table), ("axes", axes), ("extents", extents)):
            object.__setattr__(layout, name, value)
        _check_geometry(layout)
        return layout

    def __repr__(self) -> str:
        return f"Layout(axes={self.axes}, extents={self.extents}, orders={self.table.shape[0]})"


@dataclass(frozen=True, slots=True)
class KeyedTensor:
    """Values in a secret order, with the layout that a key holder needs to read them.

    ``values`` has the shape that the plain tensor would have: (N, C, H, W) for a map, with
    H x W positions stored in the layout's order.  Raises InputMismatchError if they do not fit.
    """

    values: Tensor
    layout: Layout

    def __post_init__(self) -> None:
        _check_fit(self.values, self.layout)

    def __repr__(self) -> str:
        return f"KeyedTensor(shape={tuple(self.values.shape)}, {self.layout})"

    @classmethod
    def from_plain(cls, plain: Tensor, layout: Layout) -> KeyedTensor:
        """A plain tensor (N, ...) put into the order of ``layout``: the inverse of :meth:`reveal`.

        Raises InputMismatchError if they do not fit.
        """
        _check_fit(plain, layout)
        first, last = layout.axes[0], layout.axes[-1]
        flat = plain.flatten(first, last)
        stored = torch.empty_like(flat).scatter_(first, _index(layout, flat, first), flat)
        return cls(stored.view(plain.shape), layout)

    @property
    def shape(self) -> torch.Size:
        """Shape of the plain tensor."""
        return self.values.shape

    def to(self, target: str | torch.device | torch.dtype) -> KeyedTensor:
        """The same on another device, values and layout, or with values of another dtype."""
        if isinstance(target, torch.dtype):
            return KeyedTensor(self.values.to(target), self.layout)
        layout = Layout.known(self.layout.table.to(target), self.layout.axes, self.layout.extents)
        return KeyedTensor(self.values.to(target), layout)

    def reveal(self) -> Tensor:
        """The plain tensor, in true order: for the key holder."""
        first, last = self.layout.axes[0], self.layout.axes[-1]
        flat = self.values.flatten(first, last)
        return flat.gather(first, _index(self.layout, flat, first)).view(self.values.shape)


def _index(layout: Layout, flat: Tensor, axis: int) -> Tensor:
    """The layout's table as an index along ``axis`` of ``flat``."""
    index = layout.table.long()
    view = [1] * flat.dim()
    view[0], view[axis] = index.shape
    return index.view(view).expand(flat.shape)


def _check_geometry(layout: Layout) -> None:
    table, axes, extents = layout.table, layout.axes, layout.extents
    for name, numbers in (("axes", axes), ("extents", extents)):
        if not isinstance(numbers, tuple) or not numbers or any(type(n) is not int or n < 1 for n in numbers):
            raise InputMismatchError(
                f"the {name} of a layout are {numbers!r}", hint="give a tuple of numbers from 1 on"
            )
    if axes != tuple(range(axes[0], axes[0] + len(axes))) or len(axes) != len(extents):
        raise InputMismatchError(
            f"axes {axes} with extents {extents} make no layout", hint="give consecutive axes, and the size of each"
        )
    size = prod(extents)
    if not isinstance(table, Tensor) or table.dtype != torch.int32 or table.shape[1:] != (size,) or not len(table):
        raise InputMismatchError(
            f"the table does not fit a layout of {extents}", hint=f"give an int32 tensor (1 or N, {size})"
        )


def _check_fit(values: Tensor, layout: Layout) -> None:
    if not isinstance(values, Tensor) or not isinstance(layout, Layout):
        raise InputMismatchError(
            f"a {type(values).__name__} and a {type(layout).__name__} make no KeyedTensor",
            hint="give a tensor and a Layout",
        )
    shape, axes = values.shape, layout.axes
    if shape[axes[0] : axes[-1] + 1] != layout.extents or layout.table.shape[0] not in (1, shape[0]):
        raise InputMismatchError(
            f"values of shape {tuple(shape)} do not fit {layout}",
            hint="give a layout of the values' sizes, with one order, or one for each sample",
        )


def _is_permutation(table: Tensor) -> bool:
    """Whether every row of (R, n) holds each number below n once."""
    if table.is_meta:  # which holds no numbers
        return True
    low, high = table.aminmax()
    if low < 0 or high >= table.shape[1]:
        return False
    seen = torch.zeros(table.shape, dtype=torch.bool, device=table.device)
    return bool(seen.scatter_(1, table.long(), True).all())
