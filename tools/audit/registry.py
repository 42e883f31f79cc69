"""The attacks that there are: modules with an ``ATTACK`` for policies, or with a ``PEER_ATTACK`` for peers."""

from __future__ import annotations

import hashlib
import pkgutil
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from types import ModuleType

import accuracy
import adc_firmware
import audit
import cifar10
import fingerprint
import image_sources
import inference
import json_files
import keyvault
import normalised
import peers
import quad_scenes
import recipe
import sensor_sim
from audit import attacks, peer_attacks
from audit.attack import Attack
from audit.peer_evidence import PeerAttack
from fingerprint import file_digest
from keyvault import weakness
from keyvault.errors import InputError

#: Packages and modules on which findings depend; TOLD are those in them that only tell what was found.
DECISIVE = (
    *(accuracy, adc_firmware, audit, cifar10, fingerprint, image_sources, inference, json_files, keyvault),
    *(normalised, peers, quad_scenes, recipe, sensor_sim),
)
TOLD = frozenset((Path(str(weakness.__file__)),))


def all_attacks() -> dict[str, Attack]:
    """Attacks on policies by name, in the order of their names."""
    return {module.ATTACK.name: module.ATTACK for module in _modules(attacks) if hasattr(module, "ATTACK")}


def all_peer_attacks() -> dict[str, PeerAttack]:
    """Attacks on peers by name, in their order; what does the same to policies has the same name and title."""
    return {module.PEER_ATTACK.name: module.PEER_ATTACK for module in _modules(peer_attacks)}


def chosen_attacks(names: Sequence[str]) -> list[Attack]:
    """The attacks on policies of these names, all of them if there are no names; InputError for an unknown one."""
    known = all_attacks()
    _check(names)
    return [known[name] for name in dict.fromkeys(names) if name in known] if names else list(known.values())


def chosen_peer_attacks(names: Sequence[str]) -> list[PeerAttack]:
    """The same for the attacks on peers."""
    known = all_peer_attacks()
    _check(names)
    return [known[name] for name in dict.fromkeys(names) if name in known] if names else list(known.values())


def code_digest() -> str:
    """SHA-256 of all that is audited, and audits: what other code has found is not taken for what this one finds.

    Weights and sensor profiles lie in the packages and count too.  TOLD do not: their figures are an audit's own.
    """
    found = hashlib.sha256()
    for module in DECISIVE:
        packaged = [path for place in getattr(module, "__path__", ()) for path in Path(place).rglob("*")]
        packaged = [path for path in packaged if path.is_file() and path.parent.name != "__pycache__"]
        for path in sorted({*(packaged or [Path(str(module.__file__))])} - TOLD):
            found.update(file_digest(path).encode())
    return found.hexdigest()


def _check(names: Sequence[str]) -> None:
    known = sorted({*all_attacks(), *all_peer_attacks()})
    unknown = [name for name in names if name not in known]
    if unknown:
        raise InputError(f"there is no attack {unknown[0]!r:.40}", hint=f"known: {', '.join(known)}")


def _modules(package: ModuleType) -> list[ModuleType]:
    names = sorted(found.name for found in pkgutil.iter_modules(package.__path__))
    return [import_module(f"{package.__name__}.{name}") for name in names]
