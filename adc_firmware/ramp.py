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


@dataclass(frozen=True, slots=True, eq=False)
class Ramp:
    """Transitions, prepared for finding the code of a level without a search.

    Attributes:
        edges: transitions, followed by infinity.
        starts: int32; entry j is the greatest code that begins at j / fine DN or below.
        fine: a power of two, so high that no more than one code begins within 1 / fine DN.

    The counter has room on both sides of the scale, where codes are 1 DN wide.
    """

    edges: NDArray[np.float64]
    starts: NDArray[np.int32]
    fine: float

    @classmethod
    def of(cls, places: NDArray[np.float64]) -> Self:
        """The ramp with these transitions, as :func:`transitions` returns them."""
        fine = 1.0
        while np.diff(starts := _starts(places, fine)).max() > 1:
            fine *= 2
        edges = np.append(places, np.inf)
        edges.flags.writeable = starts.flags.writeable = False
        return cls(edges, starts, fine)

    @property
    def top(self) -> int:
        """The highest code of the scale."""
        return self.edges.size - 2

    @property
    def transitions(self) -> NDArray[np.float64]:
        """Where codes begin, float64 (2**bits,) in DN; entry 0 stands for no transition."""
        return self.edges[:-1]

    def codes(self, levels: NDArray[np.float64]) -> NDArray[np.int64]:
        """Codes of levels in DN, those beyond the scale included."""
        places, top = self.transitions, self.top
        inside = np.searchsorted(places[1:], levels, side="right")
        beyond = np.maximum(top, np.floor(levels - (places[top] - top)))
        codes = np.where(levels < 1, np.floor(levels), np.where(levels < places[top], inside, beyond))
        return codes.astype(np.int64)


def _starts(places: NDArray[np.float64], fine: float) -> NDArray[np.int32]:
    cells = np.arange(np.floor(places[-1] * fine) + 2) / fine
    return np.searchsorted(places[1:], cells, side="right").astype(np.int32)
