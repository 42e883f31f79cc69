"""All backends against plain torch and against each other, on windows of every kind."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from keyed_helpers import random_tensor, shuffle, tables
from torch import Tensor, nn
from torch.nn import functional as F

from inference.convert import secure
from inference.kernels import BACKENDS, tiled
from inference.kernels.epilogue import Epilogue
from inference.kernels.steps import from_rows, to_rows
from inference.taps import Grid, grid_taps, repeat_taps, stored_taps

MADE = {**BACKENDS, "tiled": tiled.TiledBackend}  # what gather falls back on
NAMES = sorted(MADE)
pairs = st.tuples(st.integers(1, 3), st.integers(1, 3))


@st.composite
def windows(draw: st.DrawFn, *, largest_padding: int = 2) -> Grid:
    size = (draw(st.integers(2, 9)), draw(st.integers(2, 9)))
    padding = draw(st.tuples(st.integers(0, largest_padding), st.integers(0, largest_padding)))
    grid = Grid.regular(size, draw(pairs), draw(pairs), padding, draw(pairs))
    assume(min(grid.out) >= 1)
    return grid


class Scene:
    """A shuffled input, and how to read a shuffled output."""

    def __init__(self, grid: Grid, channels: int, seed: int, *, shared: bool, samples: int = 3) -> None:
        self.grid = grid
        self.x = random_tensor(samples, channels, *grid.size, seed=seed)
        self.k_in = tables(1 if shared else samples, grid.size[0] * grid.size[1], seed)
        self.k_out = tables(1, grid.positions, seed + 1)
        true = to_rows(self.x, (2, 3))
        index = self.k_in.long()[:, :, None].expand(samples, -1, channels)
        self.rows = torch.empty_like(true).scatter_(1, index, true)

    def table(self, name: str, taps: Tensor) -> Any:
        return MADE[name]().table(stored_taps(taps, self.k_in, self.k_out), self.grid, self.x.dtype)

    def reveal(self, rows: Tensor) -> Tensor:
        return from_rows(rows[:, self.k_out[0].long()], (2, 3), self.grid.out, [rows.shape[2]])


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=60, deadline=None)
@given(
    windows(),
    st.sampled_from([(1, 3, 4), (2, 2, 1), (4, 1, 1), (3, 1, 2)]),
    st.booleans(),
    st.sampled_from(list(product([False, True], [False, True], [None, "relu"]))),
    st.integers(0, 99),
)
def test_convolution(
    name: str,
    grid: Grid,
    grouping: tuple[int, int, int],
    shared: bool,
    follows: tuple[bool, bool, str | None],
    seed: int,
) -> None:
    with_bias, with_residual, activation = follows
    groups, channels, outputs = grouping
    scene = Scene(grid, groups * channels, seed, shared=shared)
    weight = random_tensor(groups * outputs, channels, *grid.kernel, seed=seed)
    bias = random_tensor(groups * outputs, seed=seed) if with_bias else None
    backend = MADE[name]()
    prepared = backend.weight(weight, groups)
    expected = F.conv2d(scene.x, weight, bias, grid.stride, grid.padding, grid.dilation, groups)
    residual = None
    if with_residual:
        residual = random_tensor(3 * grid.positions, groups * outputs, seed=seed + 2)
        expected = expected + scene.reveal(residual.unflatten(0, (3, -1)))
    epilogue = Epilogue(bias, residual, activation)
    rows = backend.conv(scene.rows, scene.table(name, grid_taps(grid)), prepared, epilogue)
    torch.testing.assert_close(scene.reveal(rows), expected.relu() if activation else expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=30, deadline=None)
@given(windows(largest_padding=1), st.booleans(), st.integers(0, 99))
def test_maximum(name: str, grid: Grid, shared: bool, seed: int) -> None:
    assume(all(2 * grid.padding[axis] <= grid.kernel[axis] for axis in (0, 1)))
    taps = repeat_taps(grid_taps(grid))
    assume(taps.min() >= 0)  # no window covers nothing but padding
    scene = Scene(grid, 5, seed, shared=shared)
    rows = MADE[name]().largest(scene.rows, scene.table(name, taps))
    expected = F.max_pool2d(scene.x, grid.kernel, grid.stride, grid.padding, grid.dilation)
    assert torch.equal(scene.reveal(rows), expected)


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=30, deadline=None)
@given(windows(largest_padding=0), st.booleans(), st.integers(0, 99))
def test_weighted_sum(name: str, grid: Grid, shared: bool, seed: int) -> None:
    scene = Scene(grid, 5, seed, shared=shared)
    weights = random_tensor(grid.positions, grid.taps, seed=seed)
    stored = torch.empty_like(weights).index_copy_(0, scene.k_out[0].long(), weights)[None]
    taps = grid_taps(grid)
    rows = MADE[name]().weighted(scene.rows, scene.table(name, taps), stored)
    read = to_rows(scene.x, (2, 3))[:, taps.long()]  # (N, P, T, C)
    expected = from_rows((read * weights[:, :, None]).sum(2), (2, 3), grid.out, [5])
    torch.testing.assert_close(scene.reveal(rows), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("fill", [0.0, 7.5])
@pytest.mark.parametrize("shared", [False, True])
def test_copy(name: str, fill: float, shared: bool) -> None:
    grid = Grid((4, 5), (6, 3), (1, 1))
    scene = Scene(grid, 3, 1, shared=shared)
    taps = torch.arange(-3, 15, dtype=torch.int32).clamp(min=-1)[:, None]
    rows = MADE[name]().copy(scene.rows, scene.table(name, taps), fill)
    flat = F.pad(scene.x.flatten(2), (3, 0), value=fill)[:, :, :18]
    assert torch.equal(scene.reveal(rows), flat.view(3, 3, 6, 3))


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("rows_a_tile", [1, 7, 20, 45, 1000])
def test_tiles_of_any_size_give_one_result(rows_a_tile: int, shared: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiled, "_tile_rows", lambda row_bytes, device: rows_a_tile)
    grid = Grid.regular((4, 5), (3, 3), padding=(1, 1))
    scene = Scene(grid, 3, 0, shared=shared, samples=5)
    weight = random_tensor(4, 3, 3, 3)
    backend = MADE["tiled"]()
    table = scene.table("tiled", grid_taps(grid))
    rows = backend.conv(scene.rows, table, backend.weight(weight, 1), Epilogue())
    torch.testing.assert_close(scene.reveal(rows), F.conv2d(scene.x, weight, padding=1), rtol=1e-12, atol=1e-12)
    repeated = scene.table("tiled", repeat_taps(grid_taps(grid)))
    assert torch.equal(scene.reveal(backend.largest(scene.rows, repeated)), F.max_pool2d(scene.x, 3, 1, 1))
    ones = torch.full((1, grid.positions, 9), 1 / 9, dtype=torch.float64)
    whole = repeat_taps(grid_taps(Grid((4, 5), (4, 5), (3, 3))).clamp(max=19))
    found = scene.reveal(backend.weighted(scene.rows, scene.table("tiled", whole), ones))
    read = to_rows(scene.x, (2, 3))[:, whole.long()].mean(2)
    torch.testing.assert_close(found, from_rows(read, (2, 3), (4, 5), [3]), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("axes", [(2, 3), (1,), (3,), (1, 2), (1, 2, 3)])
def test_rows_and_values_are_inverse(axes: tuple[int, ...]) -> None:
    values = random_tensor(2, 3, 4, 5)
    extents = tuple(values.shape[axis] for axis in axes)
    rest = [size for axis, size in enumerate(values.shape) if axis and axis not in axes]
    assert torch.equal(from_rows(to_rows(values, axes), axes, extents, rest), values)


def test_maps_in_channels_last_become_rows_without_a_copy() -> None:
    values = random_tensor(2, 3, 4, 5).contiguous(memory_format=torch.channels_last)
    assert to_rows(values, (2, 3)).data_ptr() == values.data_ptr()


def test_a_network_runs_inside_and_outside_of_inference_mode() -> None:
    network = secure(nn.Conv2d(3, 4, 3, padding=1).eval(), torch.zeros(1, 3, 8, 8))
    x = shuffle(random_tensor(2, 3, 8, 8, seed=1).float())
    with torch.inference_mode():
        inside = network(x).reveal().clone()
    torch.testing.assert_close(network(x).reveal(), inside, rtol=1e-5, atol=1e-5)
