"""Tap maps, against loops that read like the definitions."""

from __future__ import annotations

import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from keyed_helpers import random_tensor, tables
from torch.nn import functional as F

from inference.taps import PADDING, Grid, adaptive_taps, grid_taps, repeat_taps, stored_taps

sizes = st.tuples(st.integers(1, 7), st.integers(1, 7))
small = st.tuples(st.integers(1, 3), st.integers(1, 3))


@st.composite
def grids(draw: st.DrawFn) -> Grid:
    padding = draw(st.tuples(st.integers(0, 3), st.integers(0, 3)))
    grid = Grid.regular(draw(sizes), draw(small), draw(small), padding, draw(small))
    assume(min(grid.out) >= 1)
    return grid


@given(grids())
def test_regular_taps_are_what_unfold_reads(grid: Grid) -> None:
    numbers = torch.arange(1.0, grid.size[0] * grid.size[1] + 1, dtype=torch.float64).view(1, 1, *grid.size)
    columns = F.unfold(numbers, grid.kernel, grid.dilation, grid.padding, grid.stride)
    taps = grid_taps(grid)
    assert taps.dtype == torch.int32
    assert torch.equal(taps, (columns[0].T - 1).to(torch.int32))


@given(sizes, st.tuples(st.integers(1, 9), st.integers(1, 9)))
def test_adaptive_taps_average_to_adaptive_pooling(size: tuple[int, int], out: tuple[int, int]) -> None:
    values = random_tensor(1, 1, *size)
    taps = adaptive_taps(size, out).long()
    read = torch.where(taps == PADDING, torch.nan, values.flatten()[taps])
    expected = F.adaptive_avg_pool2d(values, out)
    torch.testing.assert_close(read.nanmean(1).view(1, 1, *out), expected, rtol=1e-12, atol=1e-12)


@given(grids(), st.integers(0, 99), st.integers(1, 3), st.booleans(), st.booleans())
def test_stored_taps_follow_both_orders(grid: Grid, seed: int, orders: int, keyed_in: bool, keyed_out: bool) -> None:
    positions = grid.size[0] * grid.size[1]
    k_in = tables(orders, positions, seed) if keyed_in else None
    k_out = tables(1, grid.positions, seed + 1) if keyed_out else None
    taps, stored = grid_taps(grid), stored_taps(grid_taps(grid), k_in, k_out)
    assert stored.shape == (orders if keyed_in else 1, *taps.shape)
    assert stored.dtype == torch.int32
    for order in range(len(stored)):
        for q in range(grid.positions):
            to = q if k_out is None else int(k_out[0, q])
            for t in range(grid.taps):
                read = int(taps[q, t])
                expected = read if read == PADDING or k_in is None else int(k_in[order, read])
                assert int(stored[order, to, t]) == expected


def test_each_sample_may_have_its_own_order_on_both_sides() -> None:
    grid = Grid.regular((3, 4), (2, 2), padding=(1, 0))
    k_in, k_out = tables(3, 12, 1), tables(3, grid.positions, 2)
    together = stored_taps(grid_taps(grid), k_in, k_out)
    for sample in range(3):
        alone = stored_taps(grid_taps(grid), k_in[sample : sample + 1], k_out[sample : sample + 1])
        assert torch.equal(together[sample], alone[0])


def test_repeated_taps_change_no_maximum() -> None:
    taps = grid_taps(Grid.regular((5, 6), (3, 3), (2, 2), (1, 1)))
    values = random_tensor(30)
    repeated = repeat_taps(taps)
    assert (taps == PADDING).any()
    assert not (repeated == PADDING).any()
    masked = torch.where(taps == PADDING, -torch.inf, values[taps.long()])
    assert torch.equal(values[repeated.long()].amax(1), masked.amax(1))


def test_a_window_of_padding_alone_stays_one() -> None:
    assert repeat_taps(torch.tensor([[-1, -1], [-1, 3]])).tolist() == [[-1, -1], [3, 3]]
