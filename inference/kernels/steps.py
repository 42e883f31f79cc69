"""The calls that a lowered graph makes: from values to rows, through a backend, and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from inference.kernels.backend import Backend
from inference.kernels.epilogue import Epilogue


class Steps:
    """One function a keyed operator.

    ``axes`` are the shuffled axes of ``values``, ``extents`` what replaces their sizes.
    """

    def __init__(self, backend: Backend) -> None:
        self.backend = backend

    def conv(
        self,
        values: Tensor,
        table: Any,
        weight: Any,
        terms: tuple[Tensor | None, Tensor | None],
        shape: tuple[Sequence[int], Sequence[int]],
        activation: str | None,
    ) -> Tensor:
        """Convolution of (N, C, ...) to (N, O, ...), plus bias and a residual of the result's shape."""
        bias, residual = terms
        added = None if residual is None else to_rows(residual, shape[0]).flatten(0, 1)
        rows = self.backend.conv(to_rows(values, shape[0]), table, weight, Epilogue(bias, added, activation))
        return from_rows(rows, *shape, [rows.shape[2]])

    def largest(self, values: Tensor, table: Any, shape: tuple[Sequence[int], Sequence[int]]) -> Tensor:
        """The maximum of each window."""
        return from_rows(self.backend.largest(to_rows(values, shape[0]), table), *shape, _rest(values, shape[0]))

    def weighted(
        self, values: Tensor, table: Any, weights: Tensor, shape: tuple[Sequence[int], Sequence[int]]
    ) -> Tensor:
        """The weighted sum of each window."""
        rows = self.backend.weighted(to_rows(values, shape[0]), table, weights)
        return from_rows(rows, *shape, _rest(values, shape[0]))

    def copy(self, values: Tensor, table: Any, fill: float, shape: tuple[Sequence[int], Sequence[int]]) -> Tensor:
        """One position for each position."""
        rows = self.backend.copy(to_rows(values, shape[0]), table, fill)
        return from_rows(rows, *shape, _rest(values, shape[0]))


def to_rows(values: Tensor, axes: Sequence[int]) -> Tensor:
    """Values (N, ...) as rows (N, n, C): the joint index of ``axes``, then that of all others.

    A view if the others lie innermost in memory, as channels do in channels_last.
    """
    others = [axis for axis in range(1, values.dim()) if axis not in axes]
    positions = values.permute(0, *axes, *others).flatten(1, len(axes))
    return (positions.flatten(2) if others else positions[:, :, None]).contiguous()


def from_rows(rows: Tensor, axes: Sequence[int], extents: Sequence[int], rest: Sequence[int]) -> Tensor:
    """The inverse of :func:`to_rows`, with the sizes ``extents`` from the first of ``axes`` on."""
    values = rows.view(rows.shape[0], *extents, *rest)
    positions, before = len(extents), axes[0] - 1
    order = [
        0,
        *range(1 + positions, 1 + positions + before),
        *range(1, 1 + positions),
        *range(1 + positions + before, values.dim()),
    ]
    return values.permute(order)


def _rest(values: Tensor, axes: Sequence[int]) -> list[int]:
    return [size for axis, size in enumerate(values.shape) if axis and axis not in axes]
