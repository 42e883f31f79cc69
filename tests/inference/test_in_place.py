"""Writing in place: what is written over, what must not be, and that results stay."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from keyed_helpers import pictures, randomise, shuffle
from torch import Tensor, nn
from torch.nn import functional as F

from inference.convert import secure

WRITING = {"add_", "gelu_", "hardsigmoid_", "hardswish_", "hardtanh_", "mul_", "relu_", "sigmoid_", "silu_"}


class Network(nn.Module):
    def __init__(self, body: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.first, self.second, self.body = nn.Conv2d(3, 4, 3), nn.Conv2d(3, 4, 3), body

    def forward(self, x: Tensor) -> Tensor:
        return self.body(self.first(x), self.second(x))


def squeezed(x: Tensor, other: Tensor) -> Tensor:
    x = F.silu(x)
    return x * F.adaptive_avg_pool2d(x, 1).sigmoid() + other


CASES: dict[str, tuple[Callable[[Tensor, Tensor], Tensor], set[str]]] = {
    "an activation": (lambda x, y: F.silu(x) + F.hardswish(y), {"silu_", "hardswish_", "add_"}),
    "squeeze and excitation": (squeezed, {"silu_", "mul_"}),
    "read later": (lambda x, y: F.silu(x) * y.mean((1, 2, 3), keepdim=True) + x, {"mul_", "add_"}),
    "read later through a view": (
        lambda x, y: torch.cat((x[:, :2], y[:, 2:]), 1) * F.silu(x) + x[:, :1],
        {"mul_", "add_"},
    ),
    "twice the same": (lambda x, y: x * x + y, {"mul_"}),
    "wider than the argument": (lambda x, y: F.adaptive_avg_pool2d(x, 1).sigmoid() * y, {"mul_"}),
    "scaled sum": (lambda x, y: torch.add(F.silu(x), F.silu(y), alpha=2), {"silu_", "add_"}),
}


@pytest.mark.parametrize("backend", ["gather", "portable", "reference"])
@pytest.mark.parametrize("case", CASES)
def test_results_stay(case: str, backend: str) -> None:
    body, writing = CASES[case]
    network = Network(body).double().eval()
    randomise(network)
    x = pictures(2, (8, 9), torch.float64)
    keyed = secure(network, x, backend=backend)
    names = {
        node.target.overloadpacket.__name__
        for node in keyed.network.graph.nodes
        if hasattr(node.target, "overloadpacket")
    }
    assert names & WRITING == writing
    with torch.no_grad():
        expected = network(x)
    for _ in range(2):
        torch.testing.assert_close(keyed(shuffle(x)).reveal(), expected, rtol=1e-10, atol=1e-10)


def test_what_intermediates_shows_is_not_written_over() -> None:
    network = Network(lambda x, y: F.silu(x) + y).double().eval()
    randomise(network)
    x = pictures(1, (8, 9), torch.float64)
    keyed = secure(network, x)
    seen = {one.name: one.value.reveal() for one in keyed.intermediates(shuffle(x))}
    with torch.no_grad():
        before = network.first(x)
    assert any(value.shape == before.shape and torch.allclose(value, before) for value in seen.values())
    assert any(value.shape == before.shape and torch.allclose(value, F.silu(before)) for value in seen.values())
