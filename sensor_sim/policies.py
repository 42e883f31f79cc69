"""Policies on a command line: those of sealed keys, or spelt out in words."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from keyvault.errors import InputError
from keyvault.policy import Cfa, Policy, Unit

COMPARED_BANDS = (16, 64)  # rows of the bands in the comparison of scopes
_SIZE = re.compile(r"([0-9]{1,6})x([0-9]{1,6})")
_EXAMPLE = "write words such as 1920x1080,12,GRBG,quad,band:16, or name a sealed key"


@dataclass(frozen=True, slots=True)
class Wanted:
    """A policy of which something may be open.

    Attributes:
        size: photosites, width first.
        bits: bit depth.
        cfa: colour filter array; None for RGGB, or none on a stacked sensor.
        stacked: three samples at each photosite.
        unit, scope: None stands for all that fit the size.
    """

    size: tuple[int, int] | None = None
    bits: int = 12
    cfa: Cfa | None = None
    stacked: bool = False
    unit: Unit | None = None
    scope: str | None = None

    def with_words(self, text: str) -> Wanted:
        """With what words say, parted by commas: size, bits, mosaic, ``stacked``, unit, scope.

        Raises InputError for other words, and for two words on one thing.
        """
        said: dict[str, Any] = {}
        for word in text.split(","):
            name, value = _said(word.strip())
            if name in said:
                raise InputError(f"{text!r:.60} says two things of the {name}", hint=_EXAMPLE)
            said[name] = value
        return replace(self, **said)

    def policies(self) -> Iterator[Policy]:
        """The policies that are meant; InputError without a size, PolicyError where they contradict themselves."""
        if self.size is None:
            raise InputError("a policy without a size", hint=_EXAMPLE)
        width, height = self.size
        cfa = self.cfa or (Cfa.NONE if self.stacked else Cfa.RGGB)
        even = width % 2 == 0 and height % 2 == 0
        bands = [f"band:{rows}" for rows in COMPARED_BANDS if rows < height]
        for unit in [self.unit] if self.unit else [unit for unit in Unit if even or unit is Unit.PHOTOSITE]:
            for scope in [self.scope] if self.scope else ["row", *bands, "frame"]:
                yield Policy(width, height, cfa, 3 if self.stacked else 1, self.bits, unit, scope)


def _said(word: str) -> tuple[str, Any]:
    """The field of a wanted policy that a word is for, and its value."""
    size = _SIZE.fullmatch(word)
    if size:
        return "size", (int(size[1]), int(size[2]))
    if re.fullmatch(r"[0-9]{1,9}", word):
        return "bits", int(word)
    for name, kind in (("cfa", Cfa), ("unit", Unit)):
        if word in tuple(kind):
            return name, kind(word)
    if word == "stacked":
        return "stacked", True
    if word in ("row", "frame") or word.startswith("band:"):
        return "scope", word
    raise InputError(f"{word!r:.60} is neither a sealed key's file nor a word for a policy", hint=_EXAMPLE)


def named_policies(text: str, defaults: Wanted, issuer: Path | None) -> Iterator[Policy]:
    """The policies that ``--policy`` names.

    Args:
        text: a sealed key's file, or words.
        defaults: what words leave open.
        issuer: public key of the vault that sealed the key; None takes the one in the home.

    Raises:
        InputError, AuthenticationError: it is neither.
        PolicyError: it contradicts itself.
    """
    if Path(text).is_file():
        from keyvault import places  # noqa: PLC0415
        from keyvault.envelope import read_sealed  # noqa: PLC0415
        from keyvault.hosts import load_issuer  # noqa: PLC0415

        yield read_sealed(Path(text), load_issuer(issuer or places.issuer_file())).grant.policy
    else:
        yield from defaults.with_words(text).policies()
