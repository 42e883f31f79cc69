"""The permutation as a value: where each sample of a frame goes."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray


class Permutation:
    """A bijection of the raster positions of an array of ``shape``.

    ``table[s]`` is the stored position of the sample whose true raster position is ``s``.  The
    table is int32 and read-only; an array given to the constructor is taken over, not copied.
    A Permutation says nothing of how it was made; converter and host share it.

    Raises ValueError if the table's length does not fit the shape.  That the table is a
    bijection is the maker's duty; :meth:`check` verifies it.
    """

    __slots__ = ("shape", "table")

    def __init__(self, table: NDArray[np.int32], shape: tuple[int, ...]) -> None:
        flat = np.ascontiguousarray(table, np.int32).reshape(-1)
        if flat.size != prod(shape):
            raise ValueError(f"a table of {flat.size} entries does not fit shape {shape}")
        flat = flat.view()
        flat.flags.writeable = False
        self.table = flat
        self.shape = shape

    @classmethod
    def identity(cls, shape: tuple[int, ...]) -> Permutation:
        """The permutation that moves nothing."""
        return cls(np.arange(prod(shape), dtype=np.int32), shape)

    def __len__(self) -> int:
        return self.table.size

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Permutation) and self.shape == other.shape and np.array_equal(self.table, other.table)

    def __hash__(self) -> int:
        return hash((self.shape, self.table.tobytes()))

    def __repr__(self) -> str:
        return f"Permutation(shape={self.shape})"

    def apply(self, values: NDArray[Any]) -> NDArray[Any]:
        """Put samples where the key says: ``out[table[s]] = values[s]``.

        ``values`` has shape ``shape + rest``; the result has the same.
        """
        flat = self._flat(values)
        out = np.empty_like(flat)
        out[self.table] = flat
        return out.reshape(values.shape)

    def undo(self, values: NDArray[Any]) -> NDArray[Any]:
        """Bring stored samples back to their true positions: ``out[s] = values[table[s]]``."""
        return self._flat(values)[self.table].reshape(values.shape)

    def invert(self) -> Permutation:
        """The permutation that undoes this one."""
        table = np.empty_like(self.table)
        table[self.table] = np.arange(self.table.size, dtype=np.int32)
        return Permutation(table, self.shape)

    def compose(self, first: Permutation) -> Permutation:
        """The permutation that applies ``first`` and then this one."""
        if first.shape != self.shape:
            raise ValueError(f"shapes {first.shape} and {self.shape} differ")
        return Permutation(self.table[first.table], self.shape)

    def check(self) -> None:
        """Raise ValueError unless the table holds every position exactly once."""
        seen = np.zeros(self.table.size, np.bool_)
        if self.table.size and (self.table.min() < 0 or self.table.max() >= self.table.size):
            raise ValueError("a table entry lies outside the array")
        seen[self.table] = True
        if not seen.all():
            raise ValueError("a position occurs twice in the table")

    def _flat(self, values: NDArray[Any]) -> NDArray[Any]:
        if values.shape[: len(self.shape)] != self.shape:
            raise ValueError(f"an array of shape {values.shape} does not begin with {self.shape}")
        return np.ascontiguousarray(values).reshape(len(self), *values.shape[len(self.shape) :])
