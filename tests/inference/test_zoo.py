"""Whole zoos: every family of torchvision gives the plain result, and nothing inside lies in true order."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator

import pytest
import torch
import zoo
from keyed_helpers import pictures, shuffle, substituted, tables
from order_inside import in_true_order
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from inference.convert import secure
from inference.layout import KeyedTensor
from inference.module import KeyedModule

EXACT, ROUNDED = 1e-10, 1e-4  # of the output's scale, in float64 and float32
CONTROL = 1000  # tolerances by which a wrong permutation changes the result, at least


@pytest.fixture(autouse=True)
def memory_given_back() -> Iterator[None]:
    """What a network took goes back to the system: glibc keeps it, and the largest members do not fit beside it."""
    yield
    if sys.platform == "linux" and hasattr(library := ctypes.CDLL(None), "malloc_trim"):
        library.malloc_trim(0)


def revealed(result: object) -> list[Tensor]:
    leaves = pytree.tree_leaves(result, is_leaf=lambda leaf: isinstance(leaf, KeyedTensor))
    return [leaf.reveal() if isinstance(leaf, KeyedTensor) else leaf for leaf in leaves]


def errors(found: object, expected: object) -> list[float]:
    """The largest error of every output, relative to its scale."""
    pairs = zip(revealed(found), revealed(expected), strict=True)
    return [float((one - other).abs().max() / other.abs().max()) for one, other in pairs]


def widened(result: object) -> list[Tensor]:
    """A result in true order and float64."""
    return [one.double() for one in revealed(result)]


def compare(plain: nn.Module, x: Tensor, tolerance: float) -> KeyedModule:
    """Convert a network, and check its result and that it hangs on the keys."""
    network = secure(plain, x)
    with torch.no_grad():
        expected = plain(x)
    assert max(errors(network(shuffle(x)), expected)) <= tolerance
    assert min(errors(network(substituted(shuffle(x))), expected)) >= CONTROL * tolerance
    return network


def cycles(positions: int) -> Tensor:
    """A permutation that leaves nothing in its place."""
    order = tables(1, positions, seed=positions)[0].long()
    return torch.empty(positions, dtype=torch.int32).scatter_(0, order, order.roll(1).int())


def inspect(network: KeyedModule, x: KeyedTensor) -> None:
    """Look at every tensor inside."""
    network.draw = cycles
    network.rekey()
    seen = [i for i in network.intermediates(x) if isinstance(i.value, KeyedTensor)]
    for intermediate in seen:
        table = intermediate.value.layout.table
        in_place = (table == torch.arange(table.shape[1])).double().mean()
        assert table.shape[1] < 16 or in_place <= 0.25, intermediate.name  # by chance: one position
        true, first = intermediate.value.reveal(), intermediate.value.layout.axes[0]
        flat = true.flatten(first, intermediate.value.layout.axes[-1])
        constant = torch.allclose(flat.amax(first), flat.amin(first))
        assert constant or not torch.allclose(intermediate.value.values, true), intermediate.name
    assert len(seen) >= 8


@pytest.mark.parametrize("family", zoo.SMALL)
def test_every_family(family: str) -> None:
    make, size = zoo.SMALL[family]
    torch.manual_seed(0)
    dtype = torch.float32 if family in ("alexnet", "vgg") else torch.float64  # their classifiers are large
    x = pictures(2, size, dtype)
    network = compare(zoo.lively(make().to(dtype), x), x, EXACT if dtype == torch.float64 else ROUNDED / 10)
    inspect(network, shuffle(x))
    assert not in_true_order(network, size, dtype)


@pytest.mark.full
@pytest.mark.parametrize("name", zoo.NAMES)
def test_every_member(name: str) -> None:
    torch.manual_seed(0)
    x = pictures(2, zoo.size_of(name))
    plain = zoo.lively(zoo.member(name), x)
    network = secure(plain, x)
    with torch.no_grad():
        rounded, found = widened(plain(x)), widened(network(shuffle(x)))
        exact = plain.double()(x.double())
    # random weights make a hundred layers magnify rounding: the plain network is as far from the exact result
    assert max(errors(found, exact)) <= max(ROUNDED, 2 * max(errors(rounded, exact)))
    compare(plain, x[:1].double(), EXACT)
