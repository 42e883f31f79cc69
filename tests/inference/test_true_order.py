"""Nothing inside lies in true order where operators could bring it back: layers along positions, joined cut-outs."""

from __future__ import annotations

from collections.abc import Callable
from itertools import accumulate

import pytest
import torch
from keyed_helpers import Apply, pictures, random_tensor, shuffle
from order_inside import FRAMES, disorder, in_true_order
from rule_cases import WithConstant
from torch import Tensor, nn
from torch.nn import functional as F

from inference.convert import secure
from inference.errors import UnsupportedOperatorError
from inference.layout import KeyedTensor

SIZE = (8, 10)
X = pictures(2, SIZE, torch.float64)


class Mixer(nn.Module):
    """A layer along positions, with a bias and weights that leave everything nearly where it is."""

    def __init__(self, mix: Callable[[Tensor, Tensor, Tensor], Tensor], outputs: int = 80) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.eye(outputs, 80).double() + 0.02 * random_tensor(outputs, 80))
        self.bias = nn.Parameter(random_tensor(outputs, seed=1))
        self.mix = mix

    def forward(self, x: Tensor) -> Tensor:
        return self.mix(x, self.weight, self.bias)


def tokens(x: Tensor) -> Tensor:
    return x.flatten(2).transpose(1, 2)


MIXERS: dict[str, nn.Module] = {
    "linear": Mixer(lambda x, w, b: F.gelu(F.linear(x.flatten(2), w, b))),
    "linear without bias": Mixer(lambda x, w, _: F.linear(x.flatten(2), w).sigmoid()),
    "two layers and a sum": Mixer(
        lambda x, w, b: tokens(x) + F.linear(F.gelu(F.linear(x.flatten(2), w, b)), w.T, b).transpose(1, 2)
    ),
    "fewer positions": Mixer(lambda x, w, b: F.linear(x.flatten(2), w, b).sigmoid(), 40),
    "matmul from the left": Mixer(lambda x, w, b: (w @ tokens(x) + b[:, None]).sigmoid()),
    "matmul from the right": Mixer(lambda x, w, b: x.flatten(2) @ w.T + b),
    "bmm of computed weights": Mixer(
        lambda x, w, _: torch.bmm(w * x.mean((1, 2, 3))[:, None, None].exp(), tokens(x)).sigmoid()
    ),
    "einsum": Mixer(lambda x, w, b: torch.einsum("ncp,qp->ncq", x.flatten(2), w) * b),
}


@pytest.mark.parametrize("name", MIXERS)
def test_a_layer_along_positions_has_a_result_in_an_order_of_its_own(name: str) -> None:
    network = MIXERS[name].eval()
    keyed = secure(network, X)
    result = keyed(shuffle(X))
    assert isinstance(result, KeyedTensor)
    torch.testing.assert_close(result.reveal(), network(X))
    assert not in_true_order(keyed, SIZE, torch.float64)


@pytest.mark.parametrize("name", ["linear", "einsum", "matmul from the left"])
def test_the_search_finds_what_is_in_true_order(name: str) -> None:
    """Without a shuffle, everything is; so the search of the other tests can find it."""
    keyed = secure(MIXERS[name].eval(), X)
    values = {i.name for i in keyed.intermediates(shuffle(X))}
    found = in_true_order(keyed, SIZE, torch.float64, lambda size: torch.arange(size).int())
    assert values - set(found) <= {"x"}  # which the frames' own layout shuffles


def test_a_layer_on_a_flattened_map_has_a_plain_result() -> None:
    for mix in (lambda x, w, b: F.linear(x[:, 0].flatten(1), w, b), lambda x, w, b: x[:, 0].flatten(1) @ w.T + b):
        network = Mixer(mix).eval()
        result = secure(network, X)(shuffle(X))
        assert isinstance(result, Tensor)
        torch.testing.assert_close(result, network(X))


CHANNELS: dict[str, nn.Module] = {
    "of a constant": WithConstant(lambda x, w: F.layer_norm(tokens(x) @ w, (4,)), 3, 4),
    "beside new positions": WithConstant(lambda x, w: torch.einsum("ncp,cpq->nqc", x.flatten(2), w), 3, 80, 20),
}


@pytest.mark.parametrize("name", CHANNELS)
def test_channels_stay_in_order(name: str) -> None:
    network = CHANNELS[name].eval()
    result = secure(network, X)(shuffle(X))
    assert result.layout.axes == (1,)
    torch.testing.assert_close(result.reveal(), network(X))


KERNEL = random_tensor(3, 3, 1)
JOINED: dict[str, Callable[[Tensor], Tensor]] = {
    "rows": lambda x: torch.cat([x[:, :, row : row + 1] for row in range(8)], 2),
    "columns": lambda x: torch.cat([x[:, :, :, column : column + 1].relu() for column in range(10)], 3),
    "stacked rows": lambda x: torch.stack(x.unbind(2), 2),
    "rows beside channels": lambda x: torch.cat(x.unbind(2), 1),
    "positions": lambda x: torch.stack([x[:, :, row, column] for row in range(8) for column in range(10)], 2),
    "some positions": lambda x: torch.stack([x[:, :, row, row].exp() for row in range(8)], 1),
    "computed rows": lambda x: torch.stack([F.conv1d(x[:, :, row], KERNEL).sigmoid() for row in range(8)], 2),
    "a chain of rows": lambda x: torch.cat(
        list(accumulate(x.split(1, 2), lambda above, row: row + F.max_pool2d(above, (1, 3), 1, (0, 1)))), 2
    ),
    "tokens": lambda x: torch.cat([tokens(x)[:, n : n + 1] * 2 for n in range(80)], 1),
}


@pytest.mark.parametrize("name", JOINED)
def test_what_was_cut_out_is_not_joined_in_true_order(name: str) -> None:
    with pytest.raises(UnsupportedOperatorError, match="cut out") as refusal:
        secure(Apply(JOINED[name]).eval(), X)
    assert {operator.operator.partition(" ")[0] for operator in refusal.value.operators} == {"aten.cat.default"}


JOINABLE: dict[str, Callable[[Tensor], Tensor]] = {
    "patches": lambda x: torch.cat([x[:, :, a::2, b::2] for a in (0, 1) for b in (0, 1)], 1),
    "neighbours": lambda x: torch.cat([x[:, :, 1:], x[:, :, :-1]], 1),
    "crops of several maps": lambda x: torch.cat([(x * scale)[:, :, 1:-1, 1:-1] for scale in range(6)], 1),
    "one position of several maps": lambda x: torch.cat([(x * scale)[:, :, 1, 1] for scale in range(6)], 1),
    "dense": lambda x: torch.cat([x, *(x * scale for scale in range(9))], 1),
    "channels": lambda x: torch.cat(x.split(1, 1)[::-1], 1),
}


@pytest.mark.parametrize("name", JOINABLE)
def test_what_ordinary_networks_join_is_joined(name: str) -> None:
    network = Apply(JOINABLE[name]).eval()
    keyed = secure(network, X)
    result = keyed(shuffle(X))
    torch.testing.assert_close(result.reveal() if isinstance(result, KeyedTensor) else result, network(X))
    assert not in_true_order(keyed, SIZE, torch.float64)


def patches(x: Tensor, side: int) -> Tensor:
    samples, channels, height, width = x.shape
    split = x.reshape(samples, channels, height // side, side, width // side, side)
    return split.permute(0, 2, 4, 3, 5, 1).reshape(samples, -1, channels * side**2)


def test_patches_of_four_become_channels_and_larger_ones_do_not() -> None:
    small, large = (Apply(lambda x, side=side: patches(x, side)).eval() for side in (2, 4))
    torch.testing.assert_close(secure(small, X)(shuffle(X)).reveal(), small(X))
    with pytest.raises(UnsupportedOperatorError, match="patches of 16 positions"):
        secure(large, pictures(2, (8, 12), torch.float64))


def test_no_position_follows_its_number_in_the_disorder() -> None:
    for size in (16, 49, 80):
        number = torch.arange(size)
        assert torch.equal(disorder(size).long().sort().values, number)
        assert abs(float(torch.corrcoef(torch.stack([disorder(size).double(), number.double()]))[0, 1])) < 0.1
    assert FRAMES not in SIZE
