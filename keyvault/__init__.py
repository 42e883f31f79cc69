"""Secrets of the private camera: what derives from them, and who may open them.

The safe surface is here.  The primitives below it (:mod:`keyvault.derivation`,
:mod:`keyvault.keystream`, :mod:`keyvault.jwe`) are modules of their own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from keyvault.derivation import FrameId, FrameSecrets
from keyvault.device import Device
from keyvault.envelope import SealedGrant, read_sealed, seal, verify
from keyvault.errors import PrivcamError
from keyvault.grant import Grant, Kind, OpenGrant, Recipient
from keyvault.hosts import generate_host_key, load_host_key, load_host_public, load_issuer, save_host_key
from keyvault.permutation import Permutation
from keyvault.policy import Cfa, FrameKeys, Policy, Protection, Unit

if TYPE_CHECKING:
    from keyvault.expansion import expand
    from keyvault.vault import Vault

__all__ = [
    "Cfa",
    "Device",
    "FrameId",
    "FrameKeys",
    "FrameSecrets",
    "Grant",
    "Kind",
    "OpenGrant",
    "Permutation",
    "Policy",
    "PrivcamError",
    "Protection",
    "Recipient",
    "SealedGrant",
    "Unit",
    "Vault",
    "expand",
    "generate_host_key",
    "load_host_key",
    "load_host_public",
    "load_issuer",
    "read_sealed",
    "save_host_key",
    "seal",
    "verify",
]


def __getattr__(name: str) -> Any:
    """Import what is slow to import (Numba, SQLite) when it is first asked for."""
    if name == "expand":
        from keyvault.expansion import expand  # noqa: PLC0415

        return expand
    if name == "Vault":
        from keyvault.vault import Vault  # noqa: PLC0415

        return Vault
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
