"""The ramp and counter that all columns share: where codes begin, and how to find one quickly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from keyvault.errors import PolicyError

NARROWEST = 0.1  # DN


def transitions(bits: int, bow: float, code_widths: tuple[float, ...]) -> NDArray[np.float64]:
    """Where codes begin, float64 (2**bits,) in DN: code k covers entry k up to entry k + 1.

    Entry k is k + INL, with INL the sum of a parabola that is ``bow`` high in the middle and 0 at
    the ends, and of the ``code_widths[j % len(code_widths)]`` of the codes j from 1 to k - 1.
    Entry 0 is 0 and stands for no transition: code 0 has no beginning.

    Raises:
        PolicyError: a code would be narrower than NARROWEST; such a code counts as missing.
    """
    top = 2**bits - 1
    k = np.arange(top + 1, dtype=np.float64)
    share = (k - 1) / (top - 1)
    widths = np.resize(np.array(code_widths, np.float64), top + 1)
    widths[0] = 0.0
    places = k + (4 * bow * share * (1 - share) + np.concatenate(([0.0], np.cumsum(widths)[:-1])))
    places[0] = 0.0
    if np.diff(places[1:]).min() < NARROWEST:
        raise PolicyError(
            f"a bow of {bow} DN and these code widths make a code of {bits} bits narrower than {NARROWEST}"
        )
    return places


def codes(places: NDArray[np.float64], levels: NDArray[np.float64]) -> NDArray[np.int64]:
    """Codes of levels in DN, given the transitions.

    The counter has room on both sides of the scale, where codes are 1 DN wide: they begin at whole
    numbers below 1, and a whole number of DN after the last transition.
    """
    top = places.size - 1
    inside = np.searchsorted(places[1:], levels, side="right")
    beyond = np.maximum(top, np.floor(levels - (places[top] - top)))
    found = np.where(levels < 1, np.floor(levels), np.where(levels < places[top], inside, beyond))
    return found.astype(np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class Ramp:
    """Transitions, prepared for finding the code of a level without a search.

    Codes have indices, code + margin, so that none is negative.  The index of a level's code is
    ``starts[j]`` or one more, with j = floor(level * fine) + margin * fine: one more if the level is
    ``edges[starts[j] + 1]`` or above.

    Attributes:
        transitions: where codes begin, float64 (2**bits,) in DN; entry 0 stands for no transition.
        margin: how many codes there are on both sides of the scale.
        edges: where the codes from -margin to the highest and ``margin`` more begin, then infinity.
        starts: int32; entry j is the index of the greatest code that begins at j / fine - margin or below.
        fine: a power of two, so high that no more than one code begins within 1 / fine DN.
    """

    transitions: NDArray[np.float64]
    margin: int
    edges: NDArray[np.float64]
    starts: NDArray[np.int32]
    fine: float

    @classmethod
    def of(cls, places: NDArray[np.float64], margin: int) -> Self:
        """The ramp with these transitions, as :func:`transitions` returns them."""
        below = np.arange(-margin, 1, dtype=np.float64)
        edges = np.concatenate([below, places[1:], _beyond(places, margin), [np.inf]])
        fine = 1.0
        while np.diff(starts := _starts(edges, margin, fine)).max() > 1:
            fine *= 2
        for table in (places, edges, starts):
            table.flags.writeable = False
        return cls(places, margin, edges, starts, fine)


def _beyond(places: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """The least levels to which :func:`codes` gives the codes after the last: one DN apart, but for rounding."""
    top = places.size - 1
    base, numbers = places[top] - top, top + 1.0 + np.arange(count)
    levels = np.nextafter(base + numbers, np.inf)
    while np.any(lower := np.floor(np.nextafter(levels, 0) - base) >= numbers):
        levels = np.where(lower, np.nextafter(levels, 0), levels)
    return levels


def _starts(edges: NDArray[np.float64], margin: int, fine: float) -> NDArray[np.int32]:
    cells = np.arange(np.floor(edges[-2] * fine) + margin * fine + 2) / fine - margin
    return (np.searchsorted(edges, cells, side="right") - 1).astype(np.int32)
