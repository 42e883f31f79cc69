"""Loops of the key expansion, compiled by Numba on first use.

Indices are unsigned on purpose: Numba then leaves out its test for negative ones, which halves
the time of the shuffle.  None of these functions checks its arguments.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from keyvault.compiled import compiled

_ONE = np.uint64(1)
_HALF = np.uint64(32)
_LOW_HALF = np.uint64(2**32 - 1)
_WORDS = np.uint64(2**32)


@compiled
def count_digits(digits: NDArray[np.uint8], counts: NDArray[np.uint32]) -> None:
    """Add to ``counts[d]`` how often digit d occurs."""
    for k in range(digits.size):
        counts[digits[k]] += np.uint32(1)


@compiled
def distribute(digits: NDArray[np.uint8], places: NDArray[np.uint32], first: int, table: NDArray[np.int32]) -> None:
    """Put element ``first + k`` at the next free place of the bucket that its digit names.

    ``places[d]`` is the next free position of bucket d and is advanced.
    """
    for k in range(digits.size):
        place = places[digits[k]]
        table[place] = np.int32(first + k)
        places[digits[k]] = place + np.uint32(1)


@compiled
def shuffle(
    table: NDArray[np.int32], bounds: NDArray[np.int64], draws: NDArray[np.uint32], base: int, span: tuple[int, int]
) -> int:
    """Fisher-Yates, downward, over the positions ``span[1] - 1`` to ``span[0]`` of the frame.

    Bucket b holds the positions ``bounds[b]`` to ``bounds[b + 1] - 1``; ``draws[p - base]`` is
    the word of position p.  Returns ``span[0]`` when done, or p + 1 when the word of position p
    is not acceptable: put another one there and go on with ``(span[0], p + 1)``.
    """
    stop, end = span
    bucket = np.searchsorted(bounds, end)
    while end > stop:
        bucket -= 1
        low = bounds[bucket]
        rejected = _shuffle_bucket(table[low:end], draws, low - base, max(low, stop) - low)
        if rejected >= 0:
            return low + rejected + 1
        end = max(low, stop)
    return stop


@compiled
def _shuffle_bucket(values: NDArray[np.int32], draws: NDArray[np.uint32], shift: int, stop: int) -> np.int64:
    """Positions ``values.size - 1`` to ``stop``; the one whose word is not acceptable, or -1."""
    i = np.uint64(values.size)
    offset = np.uint64(shift)  # may stand for a negative number: the sum below wraps around to what is meant
    last = np.uint64(max(stop, 1))
    while i > last:
        bound = i
        i -= _ONE
        product = np.uint64(draws[i + offset]) * bound
        low = product & _LOW_HALF
        if low < bound and low < _WORDS % bound:
            return np.int64(i)
        j = product >> _HALF
        moved = values[i]
        values[i] = values[j]
        values[j] = moved
    return np.int64(-1)


@compiled
def spread_quads(quads: NDArray[np.int32], width: int, first: int, last: int, table: NDArray[np.int32]) -> None:
    """Photosite table of the quads in rows ``first`` to ``last - 1`` of a grid ``width`` quads wide.

    Every photosite keeps its place inside its quad.
    """
    across = np.uint32(width)
    line = np.int32(2 * width)
    for row in range(first, last):
        upper = np.int64(2 * row) * line
        for column in range(width):
            quad = np.uint32(quads[row * width + column])
            target = np.int32(quad // across) * 2 * line + np.int32(quad % across) * 2
            source = upper + 2 * column
            table[source] = target
            table[source + 1] = target + 1
            table[source + line] = target + line
            table[source + line + 1] = target + line + 1
