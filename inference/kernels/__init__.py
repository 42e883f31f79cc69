"""How keyed windows are computed: one interface, two backends.

``gather`` is the fast one, ``reference`` the paper's own operator.
"""

from __future__ import annotations

from collections.abc import Callable

from inference.kernels.backend import Backend
from inference.kernels.gather import GatherBackend
from inference.kernels.reference import ReferenceBackend

BACKENDS: dict[str, Callable[[], Backend]] = {"gather": GatherBackend, "reference": ReferenceBackend}

__all__ = ["BACKENDS", "Backend", "GatherBackend", "ReferenceBackend"]
