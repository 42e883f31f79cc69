"""One thing under audit, as a list of attempts that know nothing of each other."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from audit.appearance import Appearance
from audit.finding import Finding, Stand


@dataclass(frozen=True, slots=True)
class Trial:
    """One attack at one place.

    Attributes:
        attack: its name.
        stand: where the attacker stands.
        run: makes the finding; raises DoesNotApplyError if the attack cannot, and what making its evidence raises.
    """

    attack: str
    stand: Stand
    run: Callable[[], Finding]


@dataclass(frozen=True, slots=True)
class Job:
    """A policy, a folder of frames, or a peer of Table 2 under audit.

    Attributes:
        name: that its findings carry.
        about: what it is in words, one line.
        options: all that its findings depend on, as JSON values.
        appearance: makes the figures that prove nothing.
        trials: everything that is tried on it.
    """

    name: str
    about: str
    options: dict[str, Any]
    appearance: Callable[[], Appearance]
    trials: Sequence[Trial]


def generator_of(seed: int, attack: str, stand: Stand, name: str) -> np.random.Generator:
    """The random numbers of one attempt; the same in every run."""
    return np.random.default_rng([seed, zlib.crc32(f"{attack} {stand} {name}".encode())])
