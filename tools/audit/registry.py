"""The attacks that there are: every module of ``audit.attacks`` that has an ``ATTACK``."""

from __future__ import annotations

import pkgutil
from collections.abc import Sequence
from importlib import import_module

from audit import attacks
from audit.attack import Attack
from keyvault.errors import InputError


def all_attacks() -> dict[str, Attack]:
    """Attacks by name, in the order of their names."""
    modules = (import_module(f"{attacks.__name__}.{found.name}") for found in pkgutil.iter_modules(attacks.__path__))
    found = [module.ATTACK for module in modules if hasattr(module, "ATTACK")]
    return {attack.name: attack for attack in sorted(found, key=lambda attack: attack.name)}


def chosen_attacks(names: Sequence[str]) -> list[Attack]:
    """The attacks of these names, all of them if there are no names; InputError for an unknown one."""
    known = all_attacks()
    unknown = [name for name in names if name not in known]
    if unknown:
        raise InputError(f"there is no attack {unknown[0]!r:.40}", hint=f"known: {', '.join(known)}")
    return [known[name] for name in dict.fromkeys(names)] or list(known.values())
