"""Stored taps, as the gather backend keeps them for every dtype."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from torch import Tensor


@dataclass(frozen=True, eq=False)
class StoredTaps:
    """Where windows read: ``index`` int32 (1 or N, P, T), contiguous, -1 for padding."""

    index: Tensor

    @classmethod
    def of(cls, taps: Tensor) -> StoredTaps:
        """Taps, contiguous in memory."""
        return cls(taps.contiguous())

    @cached_property
    def reach(self) -> int:
        """How many source positions there must be."""
        return int(self.index.max()) + 1 if self.index.numel() else 0

    @cached_property
    def padded(self) -> bool:
        """Whether any tap is padding."""
        return bool((self.index < 0).any())
