"""How keyed windows are computed: one interface, three backends.

``gather`` is the fast one, ``reference`` the paper's own operator, ``portable`` the one for export.
"""

from __future__ import annotations

from collections.abc import Callable

from inference.kernels.backend import Backend
from inference.kernels.gather import GatherBackend
from inference.kernels.portable import PortableBackend
from inference.kernels.reference import ReferenceBackend

BACKENDS: dict[str, Callable[[], Backend]] = {
    "gather": GatherBackend,
    "portable": PortableBackend,
    "reference": ReferenceBackend,
}

__all__ = ["BACKENDS", "Backend", "GatherBackend", "PortableBackend", "ReferenceBackend"]
