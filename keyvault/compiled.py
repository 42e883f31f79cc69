"""The decorator of kernels: compiled by Numba on first use, kept on disk, run without the interpreter's lock."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from numba import njit

_Function = TypeVar("_Function", bound=Callable[..., object])

compiled: Callable[[_Function], _Function] = njit(cache=True, nogil=True)
