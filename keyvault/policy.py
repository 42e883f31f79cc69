"""What a grant allows a camera to do: geometry and protection of its frames."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, fields
from enum import StrEnum
from functools import lru_cache
from typing import Any

from keyvault import canonical
from keyvault.errors import InputError, PolicyError

MAX_SIDE = 65_535
MAX_SAMPLES = 2**31 - 1
MIN_BITS, MAX_BITS = 8, 16
_BAND = re.compile(r"band:([1-9][0-9]{0,4})")


class Cfa(StrEnum):
    """Colour filter array, named by its top-left quad read in raster order."""

    RGGB = "RGGB"
    BGGR = "BGGR"
    GRBG = "GRBG"
    GBRG = "GBRG"
    NONE = "none"


class Unit(StrEnum):
    """What moves: one photosite, or a 2 x 2 quad as a whole."""

    PHOTOSITE = "photosite"
    QUAD = "quad"


class Protection(StrEnum):
    """What hides a frame: new positions, or new positions and masked values."""

    SHUFFLE = "shuffle"
    SHUFFLE_MASK = "shuffle+mask"


class FrameKeys(StrEnum):
    """How often the frame key changes.  ``fixed`` is breakable and exists to reproduce the paper."""

    PER_FRAME = "per-frame"
    FIXED = "fixed"


@dataclass(frozen=True, slots=True)
class Policy:
    """Geometry and protection of every frame under one grant.

    Attributes:
        width, height: photosites.
        cfa: colour filter array; ``none`` for monochrome and stacked sensors.
        samples_per_photosite: 1, or 3 for a stacked sensor (the paper's Eq. 1 as printed).
        bits: bit depth of a sample, 8 to 16.
        unit: what moves.
        scope: how far it moves: ``row``, ``band:N`` (N rows) or ``frame``.
        protection: shuffle, or shuffle and mask.
        frame_keys: a key of its own for every frame, or one for all.

    Raises PolicyError when constructed with values that do not go together.
    """

    width: int
    height: int
    cfa: Cfa = Cfa.RGGB
    samples_per_photosite: int = 1
    bits: int = 12
    unit: Unit = Unit.PHOTOSITE
    scope: str = "frame"
    protection: Protection = Protection.SHUFFLE_MASK
    frame_keys: FrameKeys = FrameKeys.PER_FRAME

    def __post_init__(self) -> None:
        _check_choices(self)
        _check_numbers(self)
        _check_geometry(self)
        if self.frame_keys is FrameKeys.FIXED and self.protection is Protection.SHUFFLE_MASK:
            raise PolicyError(
                "a fixed frame key with a mask would use the mask twice",
                hint="use per-frame keys, or --protection shuffle to reproduce the paper",
            )

    @property
    def band_rows(self) -> int:
        """Rows of photosites among which a sample can move; the last band may have fewer."""
        if self.scope == "frame":
            return self.height
        if self.scope == "row":
            return 2 if self.unit is Unit.QUAD else 1
        return int(self.scope.removeprefix("band:"))

    @property
    def photosites(self) -> int:
        """Number of photosites."""
        return self.width * self.height

    @property
    def breakable(self) -> str:
        """Why this policy does not protect, in one clause; empty for policies that do."""
        if self.frame_keys is FrameKeys.FIXED:
            return "a fixed frame key is breakable: 100 private frames give the permutation away"
        if self.protection is Protection.SHUFFLE:
            return "shuffle without mask leaves the histogram, which identifies scenes"
        return ""

    def to_json(self) -> dict[str, Any]:
        """The policy as the members of a canonical JSON object."""
        values = ((name, getattr(self, name)) for name in self.__slots__)
        return {name: str(value) if isinstance(value, StrEnum) else value for name, value in values}

    @classmethod
    def from_json(cls, value: Any) -> Policy:
        """The inverse of to_json; InputError for anything else."""
        if not isinstance(value, dict) or set(value) != {f.name for f in fields(cls)}:
            raise InputError("policy has missing or unknown members")
        try:
            members: dict[str, Any] = {name: _CHOICES[name](v) if name in _CHOICES else v for name, v in value.items()}
            return cls(**members)
        except (ValueError, TypeError) as error:
            raise InputError(f"policy is malformed: {error}") from error

    def digest(self) -> bytes:
        """SHA-256 of the canonical JSON; enters every frame key (docs/spec/sealed_key.md)."""
        return _digest(self)


_CHOICES: dict[str, type[StrEnum]] = {"cfa": Cfa, "unit": Unit, "protection": Protection, "frame_keys": FrameKeys}


def _check_choices(policy: Policy) -> None:
    # A plain string equals its member but is not it: "shuffle+mask" would be written as such and not mask.
    for name, kind in _CHOICES.items():
        if type(getattr(policy, name)) is not kind:
            raise PolicyError(f"policy {name} must be a {kind.__name__}, not {getattr(policy, name)!r:.40}")


@lru_cache(maxsize=64)
def _digest(policy: Policy) -> bytes:
    return hashlib.sha256(canonical.dumps(policy.to_json())).digest()


def _check_numbers(policy: Policy) -> None:
    for name in ("width", "height", "samples_per_photosite", "bits"):
        if type(getattr(policy, name)) is not int:
            raise PolicyError(f"policy {name} must be a whole number")
    if not (1 <= policy.width <= MAX_SIDE and 1 <= policy.height <= MAX_SIDE):
        raise PolicyError(f"size {policy.width}x{policy.height} is outside 1x1 to {MAX_SIDE}x{MAX_SIDE}")
    if policy.samples_per_photosite not in (1, 3):
        raise PolicyError(f"{policy.samples_per_photosite} samples a photosite; 1, or 3 for a stacked sensor")
    if policy.photosites * policy.samples_per_photosite > MAX_SAMPLES:
        raise PolicyError(f"size {policy.width}x{policy.height} has more than {MAX_SAMPLES} samples")
    if not MIN_BITS <= policy.bits <= MAX_BITS:
        raise PolicyError(f"bit depth {policy.bits} is outside {MIN_BITS} to {MAX_BITS}")


def _check_geometry(policy: Policy) -> None:
    even = policy.width % 2 == 0 and policy.height % 2 == 0
    if policy.cfa is not Cfa.NONE and policy.samples_per_photosite != 1:
        raise PolicyError("a stacked sensor has no colour filter array", hint="use --cfa none")
    if not even and policy.cfa is not Cfa.NONE:
        raise PolicyError(f"a {policy.cfa} mosaic needs an even size, not {policy.width}x{policy.height}")
    if not even and policy.unit is Unit.QUAD:
        raise PolicyError(f"quads need an even size, not {policy.width}x{policy.height}")
    if policy.scope in ("row", "frame"):
        return
    band = _BAND.fullmatch(policy.scope) if isinstance(policy.scope, str) else None
    if band is None:
        raise PolicyError(f"scope {policy.scope!r:.40} is not row, band:N or frame")
    rows = int(band[1])
    if rows > policy.height or (policy.unit is Unit.QUAD and rows % 2):
        raise PolicyError(f"a band of {rows} rows does not fit {policy.height} rows of {policy.unit}s")
