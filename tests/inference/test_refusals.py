"""What secure() and a keyed network refuse, each with an error of this package that says what to do."""

from __future__ import annotations

import copy
import io
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
from keyed_helpers import Apply, random_tensor, shuffle
from torch import Tensor, nn

from inference.convert import secure
from inference.errors import DeviceUnavailableError, InputMismatchError, ModelError, UnsupportedOperatorError

X = random_tensor(3, 4, 6, 5)


def pooled(x: Tensor) -> Tensor:
    return x.mean((2, 3))


@pytest.mark.parametrize(
    "function",
    [
        lambda x: pooled(x.relu()) if x.shape[0] > 3 else pooled(x),
        lambda x: pooled(x.relu()) if x.shape[0] == 3 else pooled(x),
        lambda x: pooled(x) if x.shape[0] % 2 == 0 else pooled(x.relu()),
    ],
)
def test_a_network_that_looks_at_the_batch_size_is_refused(function: Callable[[Tensor], Tensor]) -> None:
    with pytest.raises(ModelError, match="batch"):
        secure(Apply(function).eval(), X)


SAMPLES_ELSEWHERE = {
    "samples third": lambda x: x.permute(1, 2, 0, 3),
    "channels first": lambda x: x.permute(1, 0, 2, 3),
    "tokens first": lambda x: x.flatten(2).permute(2, 0, 1),
    "windows in the batch": lambda x: x.view(-1, 4, 2, 3, 5).transpose(1, 2).flatten(0, 1),
    "samples and channels joined": lambda x: x.flatten(0, 1),
    "an axis in front": lambda x: x.flatten(1)[None] * x.new_ones(3)[:, None, None],
    "one of several": lambda x: {"scores": pooled(x), "maps": [x.relu(), x.transpose(0, 1)]},
}


@pytest.mark.parametrize("name", SAMPLES_ELSEWHERE)
def test_shuffled_results_have_their_samples_first(name: str) -> None:
    with pytest.raises(ModelError, match="samples") as refusal:
        secure(Apply(SAMPLES_ELSEWHERE[name]).eval(), X)
    assert refusal.value.hint


def test_plain_results_may_have_their_samples_anywhere() -> None:
    result = secure(Apply(lambda x: pooled(x).t()).eval(), X)(shuffle(X))
    torch.testing.assert_close(result, pooled(X).t())


@pytest.mark.parametrize("result", [lambda x: (x, None), lambda x: {"map": x, "n": 3}, lambda x: (x, x.shape[0])])
def test_results_that_are_no_tensors_are_refused(result: Callable[[Tensor], Any]) -> None:
    with pytest.raises(ModelError, match="no tensor"):
        secure(Apply(result).eval(), X)


@pytest.mark.parametrize(
    ("example", "message"), [(X[:, :, :1, :1], "one position"), (X[:0], "no values"), (X[:, :, :0], "no values")]
)
def test_examples_without_an_order_are_refused(example: Tensor, message: str) -> None:
    network = nn.Conv2d(4, 4, 1).double().eval()
    with pytest.raises(InputMismatchError, match=message):
        secure(network, example)
    if example.numel():
        with pytest.raises(InputMismatchError, match=message):
            secure(network, shuffle(example))


@pytest.mark.parametrize(
    "function", [lambda x: torch.einsum("nchw->chw", x), lambda x: torch.einsum("nchw->hw", x), lambda x: x.sum(0)]
)
def test_a_sum_over_samples_is_refused(function: Callable[[Tensor], Tensor]) -> None:
    with pytest.raises(UnsupportedOperatorError):
        secure(Apply(function).eval(), X)


class Branches(nn.Module):
    """Decides by its values what to compute."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.cond(x.sum() > 0, lambda x: x.sin(), lambda x: x.cos(), (x,))


def test_control_flow_is_refused_by_name() -> None:
    with pytest.raises(UnsupportedOperatorError, match="cond"):
        secure(Branches().eval(), X)


class Guarded(nn.Module):
    """Regions inside of regions that switch gradients off."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 3).double()

    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            x = self.conv(x)
            with torch.autocast("cpu", enabled=False):
                x = x + self.conv.bias[:, None, None]
        return x.relu()


def test_regions_inside_of_regions_are_inlined() -> None:
    network = Guarded().eval()
    torch.testing.assert_close(secure(network, X)(shuffle(X)).reveal(), network(X))


def test_a_function_is_no_network() -> None:
    with pytest.raises(ModelError, match="function"):
        secure(torch.relu, X)
    with pytest.raises(ModelError, match="function"):
        secure(lambda x: x, X)


@pytest.mark.parametrize("rekey_every", ["4", 1.5, True, None, -1])
def test_rekey_every_is_a_whole_number(rekey_every: object) -> None:
    with pytest.raises(ModelError, match="rekey_every"):
        secure(nn.ReLU().eval(), X, rekey_every=rekey_every)


@pytest.mark.parametrize("device", [3.5, "3.5", "cpu:x"])
def test_a_device_that_is_none_is_refused(device: object) -> None:
    with pytest.raises(DeviceUnavailableError):
        secure(nn.ReLU().eval(), X, device=device)


def test_a_batch_without_samples_is_refused() -> None:
    network = secure(nn.ReLU().eval(), X)
    with pytest.raises(InputMismatchError, match="no samples"):
        network(shuffle(X, shared=True).__class__(X[:0], shuffle(X, shared=True).layout))


def test_the_reference_backend_moves_no_integers() -> None:
    network = Apply(lambda x: x.argmax(1)[..., ::2, ::2]).eval()
    with pytest.raises(ModelError, match="int64"):
        secure(network, X, backend="reference")
    assert torch.equal(secure(network, X)(shuffle(X)).reveal(), network(X))


def test_a_keyed_network_has_no_pickle() -> None:
    network = secure(nn.Conv2d(4, 4, 3).double().eval(), X)
    for write in (pickle.dumps, lambda net: torch.save(net, io.BytesIO()), copy.copy):
        with pytest.raises(ModelError, match="pickle") as refusal:
            write(network)
        assert "inference.save" in refusal.value.hint
    with pytest.raises(ModelError, match="pickle"):
        pickle.dumps(nn.Sequential(network))
    twin = copy.deepcopy(nn.Sequential(network, nn.Identity()))[0]
    assert torch.equal(twin(shuffle(X)).reveal(), network(shuffle(X)).reveal())
    assert twin.network.weight is not network.network.weight
