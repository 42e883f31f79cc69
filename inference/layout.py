"""The law by which a tensor is ordered, and tensors that carry it."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Layout:
    """A permutation of the joint index of some axes of a tensor.

    Attributes:
        table: int32 (1, n), one order for the whole batch, or (N, n), one for each sample.
            ``table[b, s]`` is the stored position of true position ``s``.
        axes: the axes whose joint raster index is permuted, consecutive, batch axis excluded.
        extents: their true sizes; their product is n.
    """

    table: Tensor
    axes: tuple[int, ...]
    extents: tuple[int, ...]

    def __post_init__(self) -> None:
        if self.table.dim() != 2 or self.table.dtype != torch.int32 or self.table.shape[1] != prod(self.extents):
            raise ValueError(f"a layout of {self.extents} needs an int32 table (1 or N, {prod(self.extents)})")

    def __repr__(self) -> str:
        return f"Layout(axes={self.axes}, extents={self.extents}, orders={self.table.shape[0]})"


@dataclass(frozen=True, slots=True)
class KeyedTensor:
    """Values in a secret order, with the layout that a key holder needs to read them.

    ``values`` has the shape that the plain tensor would have: (N, C, H, W) for a map, with
    H x W positions stored in the layout's order.
    """

    values: Tensor
    layout: Layout

    def __post_init__(self) -> None:
        found = tuple(self.values.shape[axis] for axis in self.layout.axes)
        if found != self.layout.extents or self.layout.table.shape[0] not in (1, self.values.shape[0]):
            raise ValueError(f"values of shape {tuple(self.values.shape)} do not fit {self.layout}")

    def __repr__(self) -> str:
        return f"KeyedTensor(shape={tuple(self.values.shape)}, {self.layout})"

    @classmethod
    def from_plain(cls, plain: Tensor, layout: Layout) -> KeyedTensor:
        """A plain tensor (N, ...) put into the order of ``layout``: the inverse of :meth:`reveal`."""
        first, last = layout.axes[0], layout.axes[-1]
        flat = plain.flatten(first, last)
        stored = torch.empty_like(flat).scatter_(first, _index(layout, flat, first), flat)
        return cls(stored.view(plain.shape), layout)

    @property
    def shape(self) -> torch.Size:
        """Shape of the plain tensor."""
        return self.values.shape

    def to(self, device: str | torch.device) -> KeyedTensor:
        """The same on another device, values and layout."""
        layout = Layout(self.layout.table.to(device), self.layout.axes, self.layout.extents)
        return KeyedTensor(self.values.to(device), layout)

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
