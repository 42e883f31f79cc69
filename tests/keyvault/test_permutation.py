"""The permutation as a value."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from keyvault.permutation import Permutation

shapes = st.sampled_from([(1,), (6,), (3, 4), (5, 1), (1, 7), (2, 3, 4)])
seeds = st.integers(0, 2**32 - 1)


def _random(shape: tuple[int, ...], seed: int) -> Permutation:
    n = int(np.prod(shape))
    return Permutation(np.random.default_rng(seed).permutation(n).astype(np.int32), shape)


def _values(shape: tuple[int, ...], rest: tuple[int, ...] = ()) -> NDArray[np.uint16]:
    return np.arange(int(np.prod(shape + rest)), dtype=np.uint16).reshape(shape + rest)


@given(shapes, seeds, st.sampled_from([(), (3,), (2, 2)]))
def test_apply_puts_every_sample_where_the_table_says(shape: tuple[int, ...], seed: int, rest: tuple[int, ...]) -> None:
    permutation, values = _random(shape, seed), _values(shape, rest)
    stored = permutation.apply(values).reshape(-1, *rest)
    for s, value in enumerate(values.reshape(-1, *rest)):
        assert np.array_equal(stored[permutation.table[s]], value)


@given(shapes, seeds, st.sampled_from([(), (3,)]))
def test_undo_undoes(shape: tuple[int, ...], seed: int, rest: tuple[int, ...]) -> None:
    permutation, values = _random(shape, seed), _values(shape, rest)
    assert np.array_equal(permutation.undo(permutation.apply(values)), values)
    assert np.array_equal(permutation.apply(permutation.undo(values)), values)


@given(shapes, seeds)
def test_inverse(shape: tuple[int, ...], seed: int) -> None:
    permutation, values = _random(shape, seed), _values(shape)
    assert np.array_equal(permutation.invert().apply(values), permutation.undo(values))
    assert permutation.invert().invert() == permutation
    assert permutation.compose(permutation.invert()) == Permutation.identity(shape)


@given(shapes, seeds, seeds)
def test_composition_applies_the_first_and_then_this(shape: tuple[int, ...], one: int, two: int) -> None:
    first, second, values = _random(shape, one), _random(shape, two), _values(shape)
    assert np.array_equal(second.compose(first).apply(values), second.apply(first.apply(values)))


def test_values_of_any_order_in_memory() -> None:
    permutation, values = _random((3, 4), 1), _values((3, 4))
    assert np.array_equal(permutation.apply(np.asfortranarray(values)), permutation.apply(values))


def test_equality_and_hash() -> None:
    assert _random((3, 4), 1) == _random((3, 4), 1)
    assert hash(_random((3, 4), 1)) == hash(_random((3, 4), 1))
    assert _random((3, 4), 1) != _random((3, 4), 2)
    assert _random((3, 4), 1) != Permutation(_random((3, 4), 1).table, (4, 3))
    assert _random((3, 4), 1) != "a permutation"


def test_the_table_is_read_only() -> None:
    permutation = _random((3, 4), 1)
    with pytest.raises(ValueError, match="read-only"):
        permutation.table[0] = 0


def test_representation_shows_no_table() -> None:
    assert repr(_random((3, 4), 1)) == "Permutation(shape=(3, 4))"
    assert len(_random((3, 4), 1)) == 12


@pytest.mark.parametrize("table", [[0, 1, 1], [0, 1, 3], [0, 1, -1], [2, 2, 2]])
def test_check_refuses_what_is_no_bijection(table: list[int]) -> None:
    with pytest.raises(ValueError, match=r"twice|outside"):
        Permutation(np.array(table, np.int32), (3,)).check()


@given(shapes, seeds)
def test_check_accepts_bijections(shape: tuple[int, ...], seed: int) -> None:
    _random(shape, seed).check()


def test_shapes_that_do_not_fit() -> None:
    with pytest.raises(ValueError, match="does not fit shape"):
        Permutation(np.arange(5, dtype=np.int32), (2, 3))
    with pytest.raises(ValueError, match="does not begin with"):
        _random((3, 4), 1).apply(np.zeros((4, 3)))
    with pytest.raises(ValueError, match="does not begin with"):
        _random((3, 4), 1).undo(np.zeros(12))
    with pytest.raises(ValueError, match="differ"):
        _random((3, 4), 1).compose(_random((4, 3), 1))
