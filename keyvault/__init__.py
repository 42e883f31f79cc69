"""Secrets of the private camera: what derives from them, and who may open them.

The safe surface is here.  The primitives below it (:mod:`keyvault.derivation`,
:mod:`keyvault.keystream`, :mod:`keyvault.jwe`) are modules of their own.  Names are loaded when they
are first used, so that importing the package alone is quick.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from keyvault.derivation import FrameId, FrameSecrets
    from keyvault.device import Device
    from keyvault.envelope import SealedGrant, read_sealed, seal, verify
    from keyvault.errors import PrivcamError
    from keyvault.expansion import expand
    from keyvault.grant import Grant, Kind, OpenGrant, Recipient
    from keyvault.hosts import generate_host_key, load_host_key, load_host_public, load_issuer, save_host_key
    from keyvault.permutation import Permutation
    from keyvault.policy import Cfa, FrameKeys, Policy, Protection, Unit
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

_HOME = {
    "Cfa": "keyvault.policy",
    "Device": "keyvault.device",
    "FrameId": "keyvault.derivation",
    "FrameKeys": "keyvault.policy",
    "FrameSecrets": "keyvault.derivation",
    "Grant": "keyvault.grant",
    "Kind": "keyvault.grant",
    "OpenGrant": "keyvault.grant",
    "Permutation": "keyvault.permutation",
    "Policy": "keyvault.policy",
    "PrivcamError": "keyvault.errors",
    "Protection": "keyvault.policy",
    "Recipient": "keyvault.grant",
    "SealedGrant": "keyvault.envelope",
    "Unit": "keyvault.policy",
    "Vault": "keyvault.vault",
    "expand": "keyvault.expansion",
    "generate_host_key": "keyvault.hosts",
    "load_host_key": "keyvault.hosts",
    "load_host_public": "keyvault.hosts",
    "load_issuer": "keyvault.hosts",
    "read_sealed": "keyvault.envelope",
    "save_host_key": "keyvault.hosts",
    "seal": "keyvault.envelope",
    "verify": "keyvault.envelope",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
