"""Random numbers as functions of a counter, in loops that compilers turn into vector instructions.

Words are Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011), a
function of a 64-bit key and a counter of four 32-bit words without state.  A normal or Poisson
number is its distribution's quantile at one word, without branches or tables, by polynomials of
our own: additions, multiplications, divisions and square roots, which IEEE 754 rounds the same on
every machine.  docs/sensor.md says how far they are from exact.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias, TypeVar

import numpy as np
from numba import njit
from numpy.typing import NDArray

_Function = TypeVar("_Function", bound=Callable[..., object])
Word: TypeAlias = np.uint32
Words: TypeAlias = tuple[Word, Word, Word, Word]
Key: TypeAlias = tuple[np.uint64, np.uint64]
Scratch: TypeAlias = tuple[NDArray[np.int32], NDArray[np.float64]]  # (n,), (4, TOGETHER)
Coefficients: TypeAlias = tuple[np.float32, ...]

# A division by zero is IEEE's, for a check would keep loops from being vectorised.
vectorised: Callable[[_Function], _Function] = njit(cache=True, nogil=True, error_model="numpy")
_inlined: Callable[[_Function], _Function] = njit(cache=True, nogil=True, error_model="numpy", inline="always")

TOGETHER = 128  # small numbers are searched together
SMALL_MEAN = np.float32(12.0)  # below it a Poisson number comes from its distribution function

_LOW, _SHIFT = np.uint64(0xFFFFFFFF), np.uint64(32)
_M0, _M1 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_W0, _W1 = np.uint64(0x9E3779B9), np.uint64(0xBB67AE85)
_SIGN, _UNIT, _HALF = np.int32(31), np.float32(2.0**-32), np.float32(0.5)
_ZERO, _ONE = np.float32(0.0), np.float32(1.0)
_MOST = 100  # far beyond any Poisson number of a small mean that 32 bits reach


def _single(*values: float) -> Coefficients:
    return tuple(np.float32(value) for value in values)


# Normal quantile at p = 2**-33 to 1/2: a quotient of polynomials in x = _SCALE * p**(1/8) + _ORIGIN, which is -1 to 1.
# All polynomials have their highest powers first.
_SCALE, _ORIGIN = _single(2.3264165, -1.1333333)
_ABOVE = _single(-0.16109688, -0.45555972, 2.3687949, 2.0794606, -6.5152368, -2.1203632, 4.8040017)
_BELOW = _single(-0.021076675, 0.11760936, 0.52646849, -0.6346471, -1.9018288, 0.72401261, 1.7600752)
# Poisson quantile beyond mean + sigma * w: polynomials in r = w / sigma, for w**2, 1 and 1 / mean.
_SQUARE = _single(
    -1.4436121e-4, 4.0756808e-4, -2.8055429e-4, 2.6080233e-4, -1.3032492e-3, 3.820639e-3, -1.390273e-2, 0.16666438
)
_CONSTANT = _single(8.1580291e-4, -2.7941052e-3, 8.355523e-3, -2.7770324e-2, 0.33333694)
_INVERSE = _single(-8.4270106e-3, 1.6626118e-2, -1.9887897e-2)


@vectorised
def _round(x0: Word, x1: Word, x2: Word, x3: Word, k0: np.uint64, k1: np.uint64) -> Words:
    p0, p1 = _M0 * np.uint64(x0), _M1 * np.uint64(x2)
    return (
        np.uint32(np.uint32(p1 >> _SHIFT) ^ x1 ^ np.uint32(k0)),
        np.uint32(p1),
        np.uint32(np.uint32(p0 >> _SHIFT) ^ x3 ^ np.uint32(k1)),
        np.uint32(p0),
    )


@_inlined
def _philox(x0: Word, x1: Word, x2: Word, x3: Word, key: Key) -> Words:
    for i in range(10):
        x0, x1, x2, x3 = _round(x0, x1, x2, x3, key[0] + _W0 * np.uint64(i), key[1] + _W1 * np.uint64(i))
    return x0, x1, x2, x3


@vectorised
def fill(first: int, counter: tuple[int, int, int], key: np.uint64, count: int, out: NDArray[np.uint32]) -> None:
    """Columns j < count of ``out``, (4, n), become the words of the counters (first + j, *counter) under the key."""
    begin, halves = np.uint64(first), (np.uint64(key) & _LOW, np.uint64(key) >> _SHIFT)
    c1, c2, c3 = np.uint32(counter[0]), np.uint32(counter[1]), np.uint32(counter[2])
    for j in range(count):
        x0, x1, x2, x3 = _philox(np.uint32(begin + np.uint64(j)), c1, c2, c3, halves)
        out[0, j], out[1, j], out[2, j], out[3, j] = x0, x1, x2, x3


@vectorised
def _polynomial(coefficients: Coefficients, x: np.float32) -> np.float32:
    total = coefficients[0]
    for i in range(1, len(coefficients)):
        total = total * x + coefficients[i]
    return total


@vectorised
def normal(word: Word) -> np.float32:
    """The standard normal distribution's quantile at (word + 0.5) / 2**32, up to its sign."""
    signed = np.int32(word)
    folded = np.int32(signed ^ (signed >> _SIGN))
    root = np.sqrt(np.sqrt(np.sqrt((np.float32(folded) + _HALF) * _UNIT)))
    x = root * _SCALE + _ORIGIN
    size = _polynomial(_ABOVE, x) / _polynomial(_BELOW, x)
    return size if signed >= 0 else -size


@vectorised
def normals(words: NDArray[np.uint32], out: NDArray[np.float32]) -> None:
    """A standard normal number for each word."""
    for i in range(out.size):
        out[i] = normal(words[i])


@vectorised
def poisson(mean: np.float32, w: np.float32) -> np.float32:
    """Poisson's quantile where a standard normal number is ``w``, for a mean of SMALL_MEAN or more."""
    mean = max(mean, SMALL_MEAN)
    sigma = np.sqrt(mean)
    inverse = _ONE / sigma
    r = w * inverse
    near = _polynomial(_CONSTANT, r) + inverse * inverse * _polynomial(_INVERSE, r)
    return max(np.floor(mean + (sigma * w + (w * w * _polynomial(_SQUARE, r) + near))), _ZERO)


@vectorised
def _exponential(x: float) -> float:
    """exp(-x) for x from 0 to SMALL_MEAN, by Taylor's series at x / 32."""
    part, total = x * 0.03125, 1.0
    for k in range(10, 0, -1):
        total = 1.0 - part * total * (1.0 / k)
    for _ in range(5):
        total *= total
    return total


@vectorised
def _search(
    means: NDArray[np.float64], left: NDArray[np.float64], chance: NDArray[np.float64], found: NDArray[np.float64]
) -> None:
    """Poisson numbers: the least k for which the chance of k or less exceeds ``left``."""
    for j in range(means.size):
        chance[j], found[j] = _exponential(means[j]), 0.0
    for k in range(1, _MOST):
        going = 0
        for j in range(means.size):
            left[j] -= chance[j]
            chance[j] *= means[j] * (1.0 / k)
            more = left[j] >= 0.0
            found[j] += 1.0 if more else 0.0
            going += more
        if going == 0:
            break


@vectorised
def poisson_small(
    mean: NDArray[np.float32], words: NDArray[np.uint32], scratch: Scratch, out: NDArray[np.float32]
) -> None:
    """Make those of ``out`` anew whose mean is below SMALL_MEAN, exactly for (word + 0.5) / 2**32.

    They are gathered, and TOGETHER distribution functions searched at a time from 0 on.
    """
    place, numbers = scratch
    count = 0
    for i in range(mean.size):
        count += mean[i] < SMALL_MEAN
    if count == 0:
        return
    count = 0
    for i in range(mean.size):
        place[count] = i
        count += mean[i] < SMALL_MEAN
    for begin in range(0, count, TOGETHER):
        chosen = place[begin : min(count, begin + TOGETHER)]
        size = chosen.size
        means, left, chance, found = numbers[0, :size], numbers[1, :size], numbers[2, :size], numbers[3, :size]
        for j in range(size):
            means[j] = mean[chosen[j]]
            left[j] = (np.float64(words[chosen[j]]) + 0.5) * 2.0**-32
        _search(means, left, chance, found)
        for j in range(size):
            out[chosen[j]] = found[j]
