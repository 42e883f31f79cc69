"""From a 32-byte key to a uniform permutation: docs/spec/permutation.md, version 1.

The bytes that come out depend on key and geometry alone, not on the machine or the number of
threads: every random word has an address, and nothing is drawn in the order of execution.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count, pairwise, product

import numpy as np
from numpy.typing import NDArray

from keyvault import _shuffle_kernels as kernels
from keyvault.keystream import Keystream
from keyvault.permutation import Permutation
from keyvault.policy import MAX_SAMPLES, Policy, Unit
from keyvault.threads import processors, share

ONE_BUCKET = 1 << 16  # spec, section 5: a group of up to so many elements is one bucket,
MANY_BUCKETS = 256  # a larger one has so many, named by one byte
DIGIT_STREAM = 0
DRAW_STREAM = 1  # word of round t: stream DRAW_STREAM + t

_CHUNK = 1 << 18  # elements that one task distributes
_PIECE = 1 << 16  # draws that are generated at a time
_WORTH_THREADS = 1 << 17  # elements below which threads cost more than they save


@dataclass(frozen=True, slots=True)
class _Stretch:
    """Consecutive groups of one size, from element ``start`` on."""

    start: int
    groups: int
    size: int

    @property
    def end(self) -> int:
        return self.start + self.groups * self.size

    @property
    def buckets(self) -> int:
        """Buckets of each group."""
        return 1 if self.size <= ONE_BUCKET else MANY_BUCKETS


def expand(key: bytes, policy: Policy, threads: int | None = None) -> Permutation:
    """The permutation of a frame of this policy under a frame's permutation key.

    Args:
        key: 32 uniform bytes, used for nothing else.
        policy: size, unit and scope are used.
        threads: how many to use; all processors that this process may use if None.

    Returns a Permutation of shape (height, width).  Raises ValueError for a key of another length.
    """
    grain = 2 if policy.unit is Unit.QUAD else 1
    width, height = policy.width // grain, policy.height // grain
    stretches = _stretches(width * height, width * (policy.band_rows // grain))
    threads = _threads(threads, width * height)
    table = _expand_elements(Keystream(key), stretches, threads)
    if policy.unit is Unit.QUAD:
        table = _photosites(table, width, height, threads)
    return Permutation(table, (policy.height, policy.width))


def uniform_table(key: bytes, n: int, threads: int | None = None) -> NDArray[np.int32]:
    """One uniform permutation of ``n`` positions: the table of a single group of n photosites.

    ``table[s]`` is the stored position of true position s.  Raises ValueError unless the key has
    32 bytes and 1 <= n <= 2**31 - 1.
    """
    if not 1 <= n <= MAX_SAMPLES:
        raise ValueError(f"a permutation of {n} positions; 1 to {MAX_SAMPLES} are possible")
    return _expand_elements(Keystream(key), [_Stretch(0, 1, n)], _threads(threads, n))


def _stretches(elements: int, group: int) -> list[_Stretch]:
    """All groups but the last, if that is smaller, and then that one."""
    full, rest = divmod(elements, group)
    return [_Stretch(0, full, group)] + ([_Stretch(full * group, 1, rest)] if rest else [])


def _threads(asked: int | None, elements: int) -> int:
    if asked is not None and asked < 1:
        raise ValueError(f"{asked} threads; at least 1 is needed")
    if elements < _WORTH_THREADS:
        return 1
    return asked or processors()


def _expand_elements(stream: Keystream, stretches: list[_Stretch], threads: int) -> NDArray[np.int32]:
    """The table at element level: ``table[e]`` is the element whose place e takes."""
    table = np.empty(stretches[-1].end, np.int32)
    for stretch in stretches:
        bounds = _distribute(stream, stretch, table, threads)
        _shuffle(stream, stretch, table, bounds, threads)
    return table


def _distribute(stream: Keystream, stretch: _Stretch, table: NDArray[np.int32], threads: int) -> NDArray[np.int64]:
    """Fill the buckets of every group, in order of element number; returns where buckets begin, and the end.

    Groups of a single bucket are left to :func:`_shuffle`, which numbers them on its way.
    """
    groups, buckets, size = stretch.groups, stretch.buckets, stretch.size
    if buckets == 1:
        return np.arange(stretch.start, stretch.end + 1, size, dtype=np.int64)
    chunks = -(-size // _CHUNK)
    places = np.zeros((groups, chunks, buckets), np.uint32)

    def elements_of(group: int, chunk: int) -> tuple[int, int]:
        first = stretch.start + group * size
        return first + chunk * _CHUNK, first + min(size, (chunk + 1) * _CHUNK)

    def count_some(items: Iterator[tuple[int, int]]) -> None:
        scratch = np.empty(_CHUNK + 16, np.uint8)
        for item in items:
            kernels.count_digits(_digits(stream, *elements_of(*item), scratch), places[item])

    def distribute_some(items: Iterator[tuple[int, int]]) -> None:
        scratch = np.empty(_CHUNK + 16, np.uint8)
        for item in items:
            first, last = elements_of(*item)
            kernels.distribute(_digits(stream, first, last, scratch), places[item], first, table)

    items = list(product(range(groups), range(chunks)))
    share(count_some, items, threads)
    in_order = places.transpose(0, 2, 1)
    ends = stretch.start + np.cumsum(in_order, dtype=np.int64).reshape(in_order.shape)
    starts = ends - in_order
    places[...] = starts.transpose(0, 2, 1)
    share(distribute_some, items, threads)
    return np.append(starts[:, :, 0].ravel(), stretch.end)


def _digits(stream: Keystream, first: int, last: int, scratch: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Digit bytes of the elements first .. last - 1."""
    base = first & ~15
    stream.fill(scratch[: last - base], DIGIT_STREAM, base)
    return scratch[first - base : last - base]


def _shuffle(
    stream: Keystream, stretch: _Stretch, table: NDArray[np.int32], bounds: NDArray[np.int64], threads: int
) -> None:
    """Shuffle every bucket; each task takes a run of neighbouring buckets."""

    def shuffle_some(runs: Iterator[tuple[int, int]]) -> None:
        scratch = np.empty(min(_PIECE, stretch.end - stretch.start) + 4, np.uint32)
        for low, high in runs:
            if stretch.buckets == 1:
                table[low:high] = np.arange(low, high, dtype=np.int32)
            _shuffle_run(stream, table, bounds, (low, high), scratch)

    cuts = [stretch.start, stretch.end]
    if stretch.end - stretch.start > _PIECE:
        wanted = np.arange(stretch.start, stretch.end, _PIECE)
        cuts = np.unique(np.append(bounds[np.searchsorted(bounds, wanted)], stretch.end)).tolist()
    share(shuffle_some, pairwise(cuts), threads)


def _shuffle_run(
    stream: Keystream,
    table: NDArray[np.int32],
    bounds: NDArray[np.int64],
    run: tuple[int, int],
    scratch: NDArray[np.uint32],
) -> None:
    """Shuffle the buckets that lie in the positions ``run[0]`` to ``run[1] - 1``, from the top down."""
    low, high = run
    while high > low:
        base = max(low, high - _PIECE) & ~3
        stop = max(low, base)
        draws = scratch[: high - base]
        stream.fill(draws, DRAW_STREAM, 4 * base)
        while (high := kernels.shuffle(table, bounds, draws, base, (stop, high))) > stop:
            position = high - 1
            bucket = int(np.searchsorted(bounds, position, side="right")) - 1
            draws[position - base] = _later_word(stream, position, high - int(bounds[bucket]))


def _later_word(stream: Keystream, position: int, bound: int) -> int:
    """The first acceptable word of a position after round 0 (spec, section 6)."""
    block = np.empty(4, np.uint32)
    for turn in count(1):
        stream.fill(block, DRAW_STREAM + turn, 16 * (position // 4))
        word = int(block[position % 4])
        if (word * bound) % 2**32 >= 2**32 % bound:
            break
    return word


def _photosites(quads: NDArray[np.int32], width: int, height: int, threads: int) -> NDArray[np.int32]:
    """The table of photosites from that of a grid of width x height quads."""
    table = np.empty(4 * quads.size, np.int32)
    rows = max(1, _CHUNK // width)

    def spread_some(firsts: Iterator[int]) -> None:
        for first in firsts:
            kernels.spread_quads(quads, width, first, min(height, first + rows), table)

    share(spread_some, range(0, height, rows), threads)
    return table
