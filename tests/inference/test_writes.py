"""Operators that write into memory: every call gives what the plain network gives, or the network is refused."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from keyed_helpers import Apply, random_tensor, shuffle
from torch import Tensor, nn
from torch.nn import functional as F

from inference.convert import secure
from inference.errors import UnsupportedOperatorError
from inference.layout import KeyedTensor

CALLS = [random_tensor(samples, 4, 3, 5, seed=samples) for samples in (3, 1, 5)]


def pooled(x: Tensor) -> Tensor:
    return x.mean((2, 3))


def into_a_copy(x: Tensor) -> Tensor:
    h = pooled(x)
    y = h.clone()
    y[:, 0] = 0
    return y + h


def into_the_source_of_a_copy(x: Tensor) -> Tensor:
    h = pooled(x)
    y = h.clone()
    h[:, 0] = 0
    return y + h


def into_a_reshaped_copy(x: Tensor) -> Tensor:
    h = pooled(x)
    y = h.t().contiguous()
    y.view(2, -1)[0].zero_()
    return y.t() + h


def into_a_value_behind_dropout(x: Tensor) -> Tensor:
    h = pooled(x)
    y = F.dropout(h, training=False)
    y.relu_()
    return y + h


def into_shuffled_values_behind_dropout(x: Tensor) -> Tensor:
    h = x * 2
    y = F.dropout(h, training=False)
    y.relu_()
    return y + h


def into_a_new_tensor(x: Tensor) -> Tensor:
    total = pooled(x).new_zeros(4)
    total += pooled(x).sum(0)
    return pooled(x) + total


def into_a_tensor_of_zeros(x: Tensor) -> Tensor:
    total = torch.zeros(4, dtype=torch.float64)
    total += pooled(x).sum(0)
    return pooled(x) + total


def into_a_literal(x: Tensor) -> Tensor:
    total = torch.tensor([1.0, 2.0, 3.0, 4.0], dtype=torch.float64)
    total += pooled(x).sum(0)
    return pooled(x) + total


def into_a_part_of_a_new_tensor(x: Tensor) -> Tensor:
    part = pooled(x).new_zeros(4)
    part[0] = pooled(x).mean()
    return pooled(x) + part * 2


def between_two_reads_of_a_constant(x: Tensor) -> Tensor:
    scale = pooled(x).new_ones(4)
    first = pooled(x) * scale
    scale[1:] += 1
    return first + pooled(x) * scale


RIGHT = [
    into_a_copy,
    into_the_source_of_a_copy,
    into_a_reshaped_copy,
    into_a_value_behind_dropout,
    into_shuffled_values_behind_dropout,
    into_a_new_tensor,
    into_a_tensor_of_zeros,
    into_a_literal,
    into_a_part_of_a_new_tensor,
    between_two_reads_of_a_constant,
]


@pytest.mark.parametrize("function", RIGHT)
def test_every_call_gives_what_the_plain_network_gives(function: Callable[[Tensor], Tensor]) -> None:
    network = secure(Apply(function).eval(), CALLS[0])
    for x in CALLS:
        result, expected = network(shuffle(x)), function(x)
        found = result.reveal() if isinstance(result, KeyedTensor) else result
        assert not torch.allclose(expected, expected.new_tensor(0.0))
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


def two_views(x: Tensor) -> Tensor:
    y = x * 2
    one = torch.einsum("nchw->nhwc", y)  # a view that its schema does not declare
    y.relu_()
    return one + 1


def test_a_write_that_is_seen_through_a_view_is_refused() -> None:
    with pytest.raises(UnsupportedOperatorError, match="relu_"):
        secure(Apply(two_views).eval(), CALLS[0])


def test_a_copy_that_nothing_writes_into_is_removed() -> None:
    network = secure(Apply(lambda x: pooled(x).clone().contiguous().relu_()).eval(), CALLS[0])
    assert [str(n.target) for n in network.network.graph.nodes if "clone" in n.name or "contiguous" in n.name] == []


class Counting(nn.Module):
    """Counts its calls, or its samples, in a buffer."""

    def __init__(self, write: Callable[[Tensor, Tensor], object]) -> None:
        super().__init__()
        self.write = write
        self.register_buffer("count", torch.zeros(4, dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        self.write(self.count, x)
        return pooled(x) + self.count


@pytest.mark.parametrize(
    "write",
    [
        lambda count, x: count.add_(1),
        lambda count, x: count[1:].add_(1),
        lambda count, x: count.add_(pooled(x).sum(0)),
        lambda count, x: count[0].copy_(pooled(x).sum()),
    ],
)
def test_a_network_that_writes_into_its_buffers_is_refused(write: Callable[[Tensor, Tensor], object]) -> None:
    network = Counting(write).eval()
    with pytest.raises(UnsupportedOperatorError, match="buffer"):
        secure(network, CALLS[0])
    assert not network.count.any()


class Random(nn.Module):
    """Draws from probabilities that it holds."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("probability", torch.full((512,), 0.5, dtype=torch.float64))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        drawn = torch.cat([torch.bernoulli(self.probability), torch.rand_like(self.probability)])
        return pooled(x), drawn


def test_what_is_drawn_at_random_is_drawn_at_every_call() -> None:
    network = secure(Random().eval(), CALLS[0])
    torch.manual_seed(0)
    (_, one), (_, other) = network(shuffle(CALLS[0])), network(shuffle(CALLS[0]))
    assert not torch.equal(one[:512], other[:512])
    assert not torch.equal(one[512:], other[512:])


@pytest.mark.parametrize(
    "drop", [F.dropout, F.alpha_dropout, F.feature_alpha_dropout, F.dropout2d], ids=lambda drop: drop.__name__
)
@pytest.mark.parametrize("shuffled", [True, False])
def test_dropout_in_training_mode_is_refused(drop: Callable[..., Tensor], *, shuffled: bool) -> None:
    def function(x: Tensor, *, training: bool) -> Tensor:
        return drop(x if shuffled else x.mean((2, 3), keepdim=True), training=training)

    with pytest.raises(UnsupportedOperatorError, match="dropout"):
        secure(Apply(lambda x: function(x, training=True)).eval(), CALLS[0])
    result = secure(Apply(lambda x: function(x, training=False)).eval(), CALLS[0])(shuffle(CALLS[0]))
    found = result.reveal() if isinstance(result, KeyedTensor) else result
    assert torch.equal(found, CALLS[0]) if shuffled else found.shape == (3, 4, 1, 1)


class Scaled(nn.Module):
    """Multiplies by a buffer of another dtype, in place."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("scale", torch.full((4, 1, 1), 1 / 3, dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        return (x + 1).mul_(self.scale)


def test_a_write_that_changes_the_dtype_is_not_rewritten() -> None:
    x = CALLS[0].float()
    assert Scaled()(x).dtype == torch.float32
    with pytest.raises(UnsupportedOperatorError, match="mul_"):
        secure(Scaled().eval(), x)
    found = secure(Scaled().float().eval(), x)(shuffle(x))
    torch.testing.assert_close(found.reveal(), Scaled()(x))
