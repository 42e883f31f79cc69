"""The compiled kernels against torch: every width of a block, both dtypes, any number of threads, other processors."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch
from keyed_helpers import pictures, random_tensor, shuffle
from torch import Tensor, nn

from inference.convert import secure
from inference.errors import ModelError
from inference.kernels import blocks, loops, vector_code
from inference.kernels.epilogue import Epilogue
from inference.kernels.indirect import IndirectBackend
from inference.kernels.stored import StoredTaps
from inference.kernels.tiled import TiledBackend
from inference.taps import PADDING, Grid

INDIRECT, TILED = IndirectBackend(), TiledBackend()
TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-13}
GRID = Grid((1, 1), (1, 1), (1, 1))  # neither backend looks at it


def random_taps(orders: int, positions: int, reach: int, size: int, *, padded: bool) -> Tensor:
    generator = torch.Generator().manual_seed(orders * positions + reach)
    first = PADDING if padded else 0
    return torch.randint(first, size, (orders, positions, reach), dtype=torch.int32, generator=generator)


def assert_same_convolution(rows: Tensor, taps: Tensor, weight: Tensor, groups: int, epilogue: Epilogue) -> None:
    found, expected = (
        backend.conv(rows, backend.table(taps, GRID, rows.dtype), backend.weight(weight, groups), epilogue)
        for backend in (INDIRECT, TILED)
    )
    scale = float(expected.abs().max())
    assert float((found - expected).abs().max()) <= TOLERANCE[rows.dtype] * scale


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("outputs", [1, 15, 16, 17, 32, 33, 48, 50, 64, 65, 100, 160])
def test_blocks_of_every_width(outputs: int, dtype: torch.dtype) -> None:
    rows, weight = random_tensor(3, 20, 7).to(dtype), random_tensor(outputs, 7, 3, 3, seed=1).to(dtype)
    taps = random_taps(1, 13, 9, 20, padded=True)
    bias, residual = random_tensor(outputs, seed=2).to(dtype), random_tensor(39, outputs, seed=3).to(dtype)
    for one, other, activation in product([None, bias], [None, residual], [None, "relu"]):
        assert_same_convolution(rows, taps, weight, 1, Epilogue(one, other, activation))


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize(
    ("groups", "each", "outputs"), [(4, 4, 4), (32, 2, 3), (3, 5, 40), (6, 1, 2), (70, 1, 1), (2, 1, 1)]
)
def test_groups(groups: int, each: int, outputs: int, dtype: torch.dtype) -> None:
    rows = random_tensor(2, 30, groups * each).to(dtype)
    weight = random_tensor(groups * outputs, each, 1, 5, seed=1).to(dtype)
    bias = random_tensor(groups * outputs, seed=2).to(dtype)
    assert_same_convolution(rows, random_taps(2, 11, 5, 30, padded=True), weight, groups, Epilogue(bias, None, "relu"))


@pytest.mark.parametrize("positions", [1, 5, 12, 23, 24, 25, 700])
@pytest.mark.parametrize("orders", [1, 3])
def test_any_number_of_rows(positions: int, orders: int) -> None:
    rows, weight = random_tensor(3, 40, 6), random_tensor(20, 6, 3, 3, seed=1)
    assert_same_convolution(rows, random_taps(orders, positions, 9, 40, padded=True), weight, 1, Epilogue())


def test_one_order_and_weights_for_each_sample() -> None:
    rows, taps = random_tensor(3, 40, 70), random_taps(3, 25, 4, 40, padded=False)
    for weights in (random_tensor(1, 25, 4), random_tensor(3, 25, 4)):
        found, expected = (
            backend.weighted(rows, backend.table(taps, GRID, rows.dtype), weights) for backend in (INDIRECT, TILED)
        )
        torch.testing.assert_close(found, expected, rtol=1e-13, atol=1e-13)


def test_the_largest_of_something_and_no_number_is_no_number() -> None:
    rows = random_tensor(1, 6, 20)
    rows[0, 2, 5] = float("nan")
    taps = torch.tensor([[[0, 2], [1, 3]]], dtype=torch.int32)
    found = INDIRECT.largest(rows, StoredTaps.of(taps))
    assert torch.equal(found.isnan().nonzero(), torch.tensor([[0, 0, 5]]))


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_results_do_not_depend_on_the_number_of_threads(threads: int) -> None:
    before = torch.get_num_threads()
    rows, taps = random_tensor(2, 400, 32).float(), random_taps(2, 400, 9, 400, padded=True)
    many, few = random_tensor(200, 32, 3, 3).float(), random_tensor(8, 32, 3, 3).float()
    try:
        found = []
        for number in (1, threads):
            torch.set_num_threads(number)
            convolved = (
                INDIRECT.conv(rows, StoredTaps.of(taps), INDIRECT.weight(weight, 1), Epilogue())
                for weight in (many, few)
            )
            some = INDIRECT.conv(rows, StoredTaps.of(taps[:, :30]), INDIRECT.weight(many, 1), Epilogue())
            found.append([*convolved, some, INDIRECT.largest(rows, StoredTaps.of(taps.clamp(min=0)))])
    finally:
        torch.set_num_threads(before)
    for one, other in zip(*found, strict=True):
        assert torch.equal(one, other)


def test_blocks_hold_every_weight_once() -> None:
    weight = random_tensor(90, 3, 2, 2).float()
    made = blocks.convolution_blocks(weight, 1)
    assert made.table[:, blocks.OUTPUTS].sum() == 90
    assert torch.isclose(torch.from_numpy(made.weight).double().sum(), weight.double().sum())


@pytest.mark.parametrize(
    ("features", "expected"), [("+avx,+avx2", 32), ("+sse4.2,-avx512f", 16), ("+avx,+avx512f", 64), ("+neon", 16)]
)
def test_vectors_suit_the_processor(features: str, expected: int) -> None:
    assert vector_code.machine(features)[0] == expected


@pytest.mark.full
@pytest.mark.parametrize(("cpu", "features"), [("haswell", "+avx,+avx2,+fma"), ("nehalem", "+sse4.2")])
def test_other_processors_compute_the_same(cpu: str, features: str, tmp_path: Path) -> None:
    this = Path(__file__)
    chosen = {"NUMBA_CPU_NAME": cpu, "NUMBA_CPU_FEATURES": features, "NUMBA_CACHE_DIR": str(tmp_path)}
    command = [sys.executable, "-m", "pytest", "-k", "width or groups or rows or largest", str(this)]
    result = subprocess.run(command, env={**os.environ, **chosen}, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout[-2000:]


def test_kernels_are_compiled_anew_when_what_they_are_made_of_changes() -> None:
    folder = Path(loops.__file__).parent
    sources = ("blocks.py", "micro_kernels.py", "vector_code.py")
    digest = hashlib.sha256(b"".join((folder / name).read_bytes() for name in sources)).hexdigest()[:16]
    assert digest == loops.SOURCES, f'write SOURCES = "{digest}" into loops.py'


FITTING: dict[str, Any] = {"size": 20, "width": 7, "reach": 9, "outputs": 5, "dtype": torch.float32}


@pytest.mark.parametrize(
    "other",
    [{"size": 19}, {"width": 6}, {"reach": 8}, {"outputs": 4}, {"outputs": 6}, {"dtype": torch.float64}],
)
def test_parts_that_do_not_fit_are_refused_before_an_address_is_computed(other: dict[str, Any]) -> None:
    """A weight, bias and residual of FITTING's sizes, with a table and values of others."""
    weight = INDIRECT.weight(random_tensor(5, 7, 3, 3).float(), 1)

    def convolved(size: int, width: int, reach: int, outputs: int, dtype: torch.dtype) -> Tensor:
        taps = random_taps(1, 13, reach, 20, padded=False)
        taps[0, 0, 0] = 19
        epilogue = Epilogue(random_tensor(outputs).to(dtype), random_tensor(26, outputs).to(dtype), None)
        return INDIRECT.conv(random_tensor(2, size, width).to(dtype), StoredTaps.of(taps), weight, epilogue)

    assert convolved(**FITTING).shape == (2, 13, 5)
    with pytest.raises(ModelError, match="do not fit"):
        convolved(**FITTING | other)


@pytest.mark.parametrize("dtype", [torch.float64, torch.int64, torch.int8, torch.uint8, torch.bool, torch.float16])
@pytest.mark.parametrize("backend", ["gather", "portable", "reference"])
def test_a_sum_with_another_dtype(backend: str, dtype: torch.dtype) -> None:
    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 3, 3, padding=1)

        def forward(self, x: Tensor) -> Tensor:
            return self.conv(x) + (x * 50).to(dtype)

    network, x = Network().eval(), pictures(2, (6, 5))
    with torch.no_grad():
        expected = network(x)
    found = secure(network, x, backend=backend)(shuffle(x)).reveal()
    assert found.dtype == expected.dtype
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
