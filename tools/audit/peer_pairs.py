"""What pairs of picture and protected picture under one key tell of it: equal series of values are one sample.

Li, Li, Chen, Bourbakis and Lo, "A general quantitative cryptanalysis of permutation-only multimedia ciphers", Signal
Processing: Image Communication 23(3), 2008, carried over to ciphers that also make values negative, move whole pixels
and shuffle their colours, or move and reverse four-bit halves.  Where no series are equal, each sample is fitted to
the protected one that varies most like it (least squares, one line for each), which takes a gain off as well.  It
needs no block size: whole blocks and what is inside them are undone in one step.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from peers.block_cipher import CHANNELS

Images = NDArray[np.uint8]
Decipher = Callable[[Images], Images]
_FITTED = 4096  # samples of a picture, at most, between which lines are fitted
_FEWEST_FOR_LINES = 4


@dataclass(frozen=True, eq=False)
class Moves:
    """A key as the attacker knows it: where each entry comes from, and whether it is reversed.

    Attributes:
        bits: of an entry, 8 or 4; halves are the lower ones of all samples and then the upper ones.
        source: (e,) int; plain entry j is the protected entry ``source[j]``.
        negative: (e,) bool; then reversed.
    """

    bits: int
    source: NDArray[np.int64]
    negative: NDArray[np.bool_]

    def __call__(self, private: Images) -> Images:
        """Decipher (n, h, w, 3)."""
        found = _entries(private, self.bits)[:, self.source] ^ (self.negative * _top(self.bits))
        size = private[0].size
        samples = found if self.bits == 8 else found[:, :size] | found[:, size:] << np.uint8(4)
        return samples.reshape(private.shape)


@dataclass(frozen=True, eq=False)
class Lines:
    """A line for each sample: plain j is ``slope[j]`` times the protected sample ``source[j]``, plus ``base[j]``."""

    source: NDArray[np.int64]
    slope: NDArray[np.float64]
    base: NDArray[np.float64]

    def __call__(self, private: Images) -> Images:
        """Decipher (n, h, w, 3)."""
        found = private.reshape(len(private), -1)[:, self.source] * self.slope + self.base
        return np.clip(np.rint(found), 0, 255).astype(np.uint8).reshape(private.shape)


def by_pixels(plain: Images, private: Images) -> Moves | None:
    """The moves of whole pixels that turn one into the other, (k, h, w, 3) both; None if there are none.

    Colours of a pixel may change places and all be made negative.  What cannot be told apart is taken as it comes.
    """
    of_plain, of_private = (np.sort(_folded_sums(one[0])) for one in (plain, private))
    if not np.array_equal(of_plain, of_private):
        return None
    (known, of_known, flipped), (seen, of_seen, reversed_) = (_pixels(one) for one in (plain, private))
    pixels = _matched(known, seen)
    if pixels is None:
        return None
    source = np.empty_like(of_known)
    np.put_along_axis(source, of_known, pixels[:, None] * CHANNELS + of_seen[pixels], axis=1)
    return Moves(8, source.reshape(-1), np.repeat(flipped ^ reversed_[pixels], CHANNELS))


def by_moves(plain: Images, private: Images, bits: int) -> Moves | None:
    """The moves of single entries that turn one into the other, (k, h, w, 3) both; None if there are none.

    Entries whose series are equal in all k pictures cannot be told from each other, and any of them is taken.
    """
    (known, flipped), (seen, reversed_) = (_canonical(_entries(one, bits), bits) for one in (plain, private))
    source = _matched(known, seen)
    return None if source is None else Moves(bits, source, flipped ^ reversed_[source])


def by_lines(plain: Images, private: Images) -> Lines:
    """For each sample the protected one with which it is correlated most, by magnitude, and the line through both."""
    y, x = (one.reshape(len(one), -1).astype(np.float32) for one in (plain, private))
    (y_mean, y), (x_mean, x) = ((one.mean(axis=0), one - one.mean(axis=0)) for one in (y, x))
    y_size, x_size = (np.maximum(np.sqrt((one**2).sum(axis=0)), 1e-3) for one in (y, x))
    alike = (y / y_size).T @ (x / x_size)
    source = np.abs(alike).argmax(axis=1)
    slope = alike[np.arange(len(source)), source] * y_size / x_size[source]
    base = y_mean - slope * x_mean[source]
    return Lines(source, slope.astype(np.float64), base.astype(np.float64))


def learn(plain: Images, private: Images) -> tuple[Decipher | None, str]:
    """How to decipher, from pairs (k, h, w, 3), and that in words; None if nothing was found.

    Larger pieces are tried first, since fewer of them look alike; a way that is not the key's is found out.
    """
    ways: tuple[tuple[Callable[[], Moves | None], str], ...] = (
        (lambda: by_pixels(plain, private), "pixels"),
        (lambda: by_moves(plain, private, 8), "values"),
        (lambda: by_moves(plain, private, 4), "halves of values"),
    )
    for way, what in ways:
        moves = way()
        if moves is not None:
            negative = ", some made negative" if moves.negative.any() else ""
            return moves, f"{what} that change places{negative}"
    if len(plain) < _FEWEST_FOR_LINES or plain[0].size > _FITTED:
        return None, "nothing"
    return by_lines(plain, private), "a line for each sample"


def _matched(known: Images, seen: Images) -> NDArray[np.int64] | None:
    """For each column of one, (r, e), an equal column of the other; None if they have not the same columns."""
    at, of = np.lexsort(known), np.lexsort(seen)
    if not np.array_equal(known[:, at], seen[:, of]):
        return None
    source = np.empty(len(at), np.int64)
    source[at] = of
    return source


def _top(bits: int) -> np.uint8:
    return np.uint8(2**bits - 1)


def _entries(images: Images, bits: int) -> Images:
    """(n, h, w, 3) as (n, e)."""
    samples = images.reshape(len(images), -1)
    return samples if bits == 8 else np.concatenate([samples & np.uint8(15), samples >> np.uint8(4)], axis=1)


def _canonical(series: Images, bits: int) -> tuple[Images, NDArray[np.bool_]]:
    """Each series (k, e) or its negative, whichever starts in the lower half, and whether it is the negative."""
    flipped = series[0] > _top(bits) // 2
    return series ^ (flipped * _top(bits)), flipped


def _folded_sums(image: Images) -> NDArray[np.int64]:
    """Sums of all pixels, or of their negatives where those are smaller: (h, w, 3) to (h * w,)."""
    sums = image.reshape(-1, CHANNELS).sum(axis=1, dtype=np.int64)
    return np.minimum(sums, CHANNELS * int(_top(8)) - sums)


def _pixels(images: Images) -> tuple[Images, NDArray[np.int64], NDArray[np.bool_]]:
    """Each pixel's series (3 k, p), its colours in an order (p, 3) that goes by them alone, and whether it is negative.

    Of a pixel and its negative it is the one that starts darker; none is as dark as its negative, as 3 * 255 is odd.
    """
    pixels = images.reshape(len(images), -1, CHANNELS)
    sums = pixels[0].sum(axis=1, dtype=np.int64)
    flipped = 2 * sums > CHANNELS * int(_top(8))
    pixels = pixels ^ (flipped * _top(8))[:, None]
    order = np.lexsort(pixels, axis=-1)
    series = np.take_along_axis(pixels, order[None], axis=2).transpose(0, 2, 1)
    return series.reshape(-1, len(flipped)), order, flipped
