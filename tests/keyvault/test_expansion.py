"""Key expansion: the right bytes on every path, and every order equally likely."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import permutations
from typing import Any

import numpy as np
import permutation_reference as reference
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from keyvault import _shuffle_kernels as kernels
from keyvault import expansion
from keyvault.expansion import expand, uniform_table
from keyvault.keystream import Keystream
from keyvault.policy import Cfa, Policy, Unit

KEY = bytes(range(32))
keys = st.binary(min_size=32, max_size=32)


def _key(number: int) -> bytes:
    return hashlib.sha256(f"test {number}".encode()).digest()


@st.composite
def policies(draw: st.DrawFn, units: tuple[Unit, ...] = tuple(Unit)) -> Policy:
    unit = draw(st.sampled_from(units))
    side = 2 if unit is Unit.QUAD else 1
    width, height = (side * draw(st.integers(1, 12)) for _ in range(2))
    band = side * draw(st.integers(1, height // side))
    scope = draw(st.sampled_from(["frame", "row", f"band:{band}"]))
    return Policy(width, height, cfa=Cfa.NONE, unit=unit, scope=scope)


class RefusedOften(Keystream):
    """A keystream in which about half of all draws are words that most bounds refuse."""

    def fill(self, out: NDArray[Any], stream: int, offset_bytes: int) -> None:
        super().fill(out, stream, offset_bytes)
        if stream >= expansion.DRAW_STREAM:
            words = out.view(np.uint32)
            words[words & 1 == 1] = 0

    def octets(self, stream: int, offset: int, length: int) -> bytes:
        """The same bytes for the second implementation."""
        first = offset // 16 * 16
        out = np.empty(-(-(offset + length - first) // 16) * 16, np.uint8)
        self.fill(out, stream, first)
        return out.tobytes()[offset - first :][:length]


@pytest.fixture
def small_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sizes at which a frame of a hundred elements takes every path of a large one."""
    monkeypatch.setattr(expansion, "ONE_BUCKET", 20)
    monkeypatch.setattr(expansion, "_CHUNK", 23)
    monkeypatch.setattr(expansion, "_PIECE", 8)
    monkeypatch.setattr(expansion, "_WORTH_THREADS", 0)


# ---- the bytes ---------------------------------------------------------------------------------


@given(keys, policies())
def test_equals_the_second_implementation(key: bytes, policy: Policy) -> None:
    expected = reference.permutation(
        reference.keystream(key), policy.width, policy.height, str(policy.unit), policy.scope
    )
    assert expand(key, policy).table.tolist() == expected


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(keys, policies(), st.integers(1, 4))
def test_equals_it_on_every_path(small_limits: None, key: bytes, policy: Policy, threads: int) -> None:
    expected = reference.permutation(
        reference.keystream(key), policy.width, policy.height, str(policy.unit), policy.scope, one_bucket=20
    )
    assert expand(key, policy, threads).table.tolist() == expected


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(keys, policies(), st.integers(1, 4))
def test_equals_it_when_many_words_are_refused(
    small_limits: None, monkeypatch: pytest.MonkeyPatch, key: bytes, policy: Policy, threads: int
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(expansion, "Keystream", RefusedOften)
        found = expand(key, policy, threads).table.tolist()
    octets = RefusedOften(key).octets
    assert found == reference.permutation(
        octets, policy.width, policy.height, str(policy.unit), policy.scope, one_bucket=20
    )


@pytest.mark.parametrize("unit", Unit)
@pytest.mark.parametrize("scope", ["frame", "row", "band:182"])
def test_any_number_of_threads_gives_the_same_bytes(scope: str, unit: Unit) -> None:
    policy = Policy(1200, 900, scope=scope, unit=unit)
    one = expand(KEY, policy, threads=1)
    one.check()
    for threads in (2, 3, 4, None):
        assert expand(KEY, policy, threads) == one


def test_callers_in_several_threads_do_not_disturb_each_other() -> None:
    expected = [uniform_table(_key(i), 200_000, 1).tobytes() for i in range(6)]
    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(lambda i: uniform_table(_key(i), 200_000, 2).tobytes(), range(6)))
    assert found == expected


# ---- the shape of it ---------------------------------------------------------------------------


@given(keys, policies())
def test_is_a_bijection_inside_its_bands(key: bytes, policy: Policy) -> None:
    permutation = expand(key, policy)
    permutation.check()
    assert permutation.shape == (policy.height, policy.width)
    assert permutation.table.dtype == np.int32
    rows = np.arange(policy.photosites) // policy.width // policy.band_rows
    assert np.array_equal(permutation.table // policy.width // policy.band_rows, rows)


@given(keys, policies((Unit.QUAD,)))
def test_quads_keep_their_phase_and_stay_together(key: bytes, policy: Policy) -> None:
    table = expand(key, policy).table.reshape(policy.height, policy.width)
    corner = table[::2, ::2]
    assert not (corner // policy.width % 2).any()
    assert not (corner % policy.width % 2).any()
    for dy, dx in ((0, 1), (1, 0), (1, 1)):
        assert np.array_equal(table[dy::2, dx::2], corner + dy * policy.width + dx)


@given(keys, st.integers(1, 500))
def test_uniform_table_is_a_frame_of_one_row(key: bytes, n: int) -> None:
    policy = Policy(n, 1, cfa=Cfa.NONE)
    assert np.array_equal(uniform_table(key, n), expand(key, policy).table)


def test_uniform_table_is_the_caller_s_own() -> None:
    first = uniform_table(KEY, 100)
    first[:] = 0
    assert np.array_equal(np.sort(uniform_table(KEY, 100)), np.arange(100))


def test_other_keys_give_other_tables() -> None:
    assert len({uniform_table(_key(i), 64).tobytes() for i in range(1000)}) == 1000


@pytest.mark.parametrize("n", [0, -1, 2**31])
def test_sizes_that_cannot_be(n: int) -> None:
    with pytest.raises(ValueError, match=f"permutation of {n} positions"):
        uniform_table(KEY, n)


def test_arguments_that_cannot_be() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        uniform_table(KEY[:16], 10)
    with pytest.raises(ValueError, match="0 threads"):
        expand(KEY, Policy(4, 4), threads=0)


# ---- equally likely ----------------------------------------------------------------------------


@pytest.mark.parametrize("bound", [1, 2, 3, 5, 6, 7, 1000, 4096, 46_875, 65_535, 65_536, 262_147])
def test_exactly_as_many_words_lead_to_every_index(bound: int) -> None:
    """Accepted words for index j are counted from the kernel's own answers, without statistics.

    Words leading to j are consecutive; only the first can have a remainder below the bound, and
    so be refused.  What is left must be floor(2**32 / bound) of them for every j.
    """
    some = np.unique(np.linspace(0, bound - 1, min(bound, 300)).astype(np.int64)).tolist()
    for j in some:
        first, after = -(-(j << 32) // bound), -(-((j + 1) << 32) // bound)
        refused = bound > 1 and not _accepts(first, bound, j)
        assert after - first - refused == 2**32 // bound
        assert bound == 1 or _accepts(first + 1, bound, j)
        assert bound == 1 or _accepts(after - 1, bound, j)


def _accepts(word: int, bound: int, index: int) -> bool:
    """Whether the kernel takes this word for the top position of a bucket, and then swaps with ``index``."""
    table = np.arange(bound, dtype=np.int32)
    draws = np.full(4, word, np.uint32)
    bounds = np.array([0, bound], np.int64)
    base = bound - 1 & ~3
    end = kernels.shuffle(table, bounds, draws, base, (bound - 1, bound))
    if end == bound:
        assert np.array_equal(table, np.arange(bound))
        return False
    assert end == bound - 1
    assert table[bound - 1] == index
    return True


class TwoBuckets(Keystream):
    """A keystream whose digits name only the first two buckets, so that few elements share them."""

    def fill(self, out: NDArray[Any], stream: int, offset_bytes: int) -> None:
        super().fill(out, stream, offset_bytes)
        if stream == expansion.DIGIT_STREAM:
            out &= 1


def _orders(make: Callable[[int], Any], tries: int) -> float:
    """Chi-square of the 24 orders of four elements; 23 degrees of freedom."""
    found = Counter(tuple(make(number)) for number in range(tries))
    expected = tries / 24
    return float(sum((found[order] - expected) ** 2 / expected for order in permutations(range(4))))


CHI_SQUARE_23 = 62.0  # exceeded by chance once in 50,000 runs; keys are fixed, so never again once passed


def test_all_orders_of_four_are_equally_likely() -> None:
    assert _orders(lambda number: uniform_table(_key(number), 4), 24_000) < CHI_SQUARE_23


def test_all_orders_are_equally_likely_through_buckets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expansion, "ONE_BUCKET", 1)
    monkeypatch.setattr(expansion, "Keystream", TwoBuckets)
    assert _orders(lambda number: uniform_table(_key(number), 4), 12_000) < CHI_SQUARE_23


def _wrong_shuffle(number: int) -> list[int]:
    """Every element exchanged with any other, a well-known mistake."""
    order = [0, 1, 2, 3]
    for i, word in enumerate(np.frombuffer(_key(number)[:16], "<u4").tolist()):
        j = word * 4 >> 32
        order[i], order[j] = order[j], order[i]
    return order


def _unshuffled_buckets(number: int) -> list[int]:
    return sorted(range(4), key=lambda e: _key(number)[e] & 1)


@pytest.mark.parametrize("wrong", [_wrong_shuffle, _unshuffled_buckets])
def test_the_chi_square_test_can_fail(wrong: Callable[[int], list[int]]) -> None:
    assert _orders(wrong, 12_000) > CHI_SQUARE_23


JUST_LARGE = expansion.ONE_BUCKET + 1
CHI_SQUARE_225 = 320.0  # exceeded by chance once in 30,000 runs


def _places(tables: list[NDArray[np.int32]]) -> float:
    """Chi-square of sixteenths of the frame against sixteenths stored in; 225 degrees of freedom."""
    n = tables[0].size
    sixteenth = np.arange(n) * 16 // n
    counts = sum(np.bincount(sixteenth * 16 + sixteenth[table], minlength=256) for table in tables)
    size = np.bincount(sixteenth)
    expected = np.outer(size, size).ravel() * (len(tables) / n)
    return float((((counts - expected) ** 2) / expected).sum())


def _descents(tables: list[NDArray[np.int32]]) -> float:
    """How often a neighbour is stored before its predecessor, in standard deviations from half."""
    n = tables[0].size
    found = sum(int((np.diff(table) < 0).sum()) for table in tables)
    return float((found - len(tables) * (n - 1) / 2) / np.sqrt(len(tables) * (n + 1) / 12))


@pytest.fixture(scope="module")
def large_tables() -> list[NDArray[np.int32]]:
    return [uniform_table(_key(number), JUST_LARGE) for number in range(200)]


def test_many_buckets_spread_every_part_evenly(large_tables: list[NDArray[np.int32]]) -> None:
    assert 140 < _places(large_tables) < CHI_SQUARE_225
    assert abs(_descents(large_tables)) < 4


def test_fixed_points_are_one_a_table_on_average(large_tables: list[NDArray[np.int32]]) -> None:
    fixed = sum(int((table == np.arange(JUST_LARGE)).sum()) for table in large_tables)
    assert abs(fixed - 200) < 4 * np.sqrt(200)


def test_the_tests_of_many_buckets_can_fail(large_tables: list[NDArray[np.int32]]) -> None:
    unshuffled = [np.argsort(np.frombuffer(table.tobytes()[::4], np.uint8), kind="stable") for table in large_tables]
    assert abs(_descents([table.astype(np.int32) for table in unshuffled])) > 1000
    skewed = [np.concatenate([table[2000:], table[:2000]]) for table in large_tables]
    assert _places([np.where(np.arange(JUST_LARGE) < 300, np.sort(table), table) for table in skewed]) > CHI_SQUARE_225
