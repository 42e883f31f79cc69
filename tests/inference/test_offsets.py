"""Eq. 2: torchvision's own deformable operators, fed with f(K), give the plain result, shuffled."""

from __future__ import annotations

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from keyed_helpers import random_tensor, tables
from torch import Tensor
from torch.nn import functional as F
from torchvision.ops import deform_conv2d

from inference.layout import KeyedTensor, Layout
from inference.offsets import deform_max_pool2d, offsets
from inference.taps import Grid

pairs = st.tuples(st.integers(1, 3), st.integers(1, 3))


@st.composite
def grids(draw: st.DrawFn, *, largest_padding: int = 3) -> Grid:
    kernel = draw(pairs)
    padding = draw(st.tuples(st.integers(0, largest_padding), st.integers(0, largest_padding)))
    grid = Grid.regular((draw(st.integers(1, 8)), draw(st.integers(1, 8))), kernel, draw(pairs), padding, draw(pairs))
    assume(min(grid.out) >= 1)
    return grid


def stored(x: Tensor, table: Tensor) -> Tensor:
    return KeyedTensor.from_plain(x, Layout(table, (2, 3), tuple(x.shape[2:]))).values


@settings(max_examples=60, deadline=None)
@given(grids(), st.sampled_from([(1, 2), (2, 2), (3, 1)]), st.booleans(), st.integers(0, 99))
def test_deformable_convolution_equals_convolution(
    grid: Grid, grouping: tuple[int, int], shared: bool, seed: int
) -> None:
    groups, per_group = grouping
    x = random_tensor(3, groups * per_group, *grid.size, seed=seed)
    weight = random_tensor(2 * groups, per_group, *grid.kernel, seed=seed + 1)
    k_in = tables(1 if shared else 3, grid.size[0] * grid.size[1], seed)
    k_out = tables(1, grid.positions, seed + 1)
    offset = offsets(k_in, k_out, grid, torch.float64)
    assert offset.shape == (1 if shared else 3, 2 * grid.taps, *grid.out)
    geometry = {"stride": grid.stride, "padding": grid.padding, "dilation": grid.dilation}
    found = deform_conv2d(stored(x, k_in), offset.expand(3, -1, -1, -1).contiguous(), weight, **geometry)
    expected = stored(F.conv2d(x, weight, groups=groups, **geometry), k_out)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


@settings(max_examples=40, deadline=None)
@given(grids(largest_padding=1), st.integers(0, 99))
def test_deformable_max_pooling_equals_max_pooling(grid: Grid, seed: int) -> None:
    assume(all(2 * grid.padding[axis] <= grid.kernel[axis] for axis in (0, 1)))
    x = random_tensor(2, 3, *grid.size, seed=seed) - 5  # so that a zero from the padding would win
    k_in, k_out = tables(2, grid.size[0] * grid.size[1], seed), tables(1, grid.positions, seed + 1)
    offset = offsets(k_in, k_out, grid, torch.float64)
    geometry = (grid.kernel, grid.stride, grid.padding, grid.dilation)
    found = deform_max_pool2d(stored(x, k_in), offset, *geometry)
    assert torch.equal(found, stored(F.max_pool2d(x, *geometry), k_out))


def test_offsets_of_true_order_are_zero_inside_the_map() -> None:
    grid = Grid.regular((6, 5), (3, 3))
    assert not offsets(None, None, grid).any()


def test_a_tap_in_the_padding_is_sent_outside() -> None:
    grid = Grid.regular((4, 4), (3, 3), padding=(1, 1))
    offset = offsets(tables(1, 16), tables(1, 16, 1), grid)
    rows = offset.unflatten(1, (9, 2))[:, :, 0].unflatten(1, (3, 3)) + grid.sampling(0).T[:, None, :, None]
    outside = (rows < 0) | (rows >= 4)
    assert outside.sum() == 9 * 16 - 10 * 10  # taps of a 3 x 3 window that leave a 4 x 4 map


def test_offsets_are_displacements_in_rows_and_columns() -> None:
    k_in = torch.arange(12).view(3, 4).flip(0, 1).flatten()[None].int()  # the map turned by half a circle
    offset = offsets(k_in, None, Grid.regular((3, 4), (1, 1)))
    assert offset[0, 0].tolist() == [[2.0] * 4, [0.0] * 4, [-2.0] * 4]
    assert offset[0, 1].tolist() == [[3.0, 1.0, -1.0, -3.0]] * 3


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_offsets_have_the_dtype_of_the_values(dtype: torch.dtype) -> None:
    assert offsets(None, None, Grid.regular((3, 3), (2, 2)), dtype).dtype == dtype
