"""Layer by layer against the plain network: agreement, and a fault that is found where it is."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from keyed_helpers import pictures, randomise, shuffle
from torch import Tensor, nn
from torchvision import models

import inference
from inference import InputMismatchError, KeyedTensor, ModelError, compare, secure
from inference.comparison import Comparison, LayerError
from inference.layout import Layout
from inference.models import resnet20


@pytest.fixture(scope="module")
def plain() -> nn.Module:
    return randomise(resnet20())


X = pictures(2, (32, 32))


def test_a_right_conversion_diverges_nowhere(plain: nn.Module) -> None:
    comparison = compare(plain, secure(plain, X), shuffle(X))
    assert comparison.first_divergence is None
    assert 0 < comparison.largest_error < comparison.tolerance == 1e-4
    names = [row.name for row in comparison.rows]
    assert names[0] == "x"
    assert names[-1] == "linear"
    assert sum(row.operator.startswith("aten.relu") and row.keyed for row in comparison.rows) == 19
    assert not comparison.rows[-1].keyed
    assert comparison.rows[-1].shape == (2, 10)
    assert "aten.conv2d.default" not in {row.operator for row in comparison.rows}  # all have a batch norm behind them
    assert sum(name.startswith("conv2d") for name in comparison.inside) == 19
    assert "largest error" in str(comparison)


@pytest.mark.parametrize("backend", ["gather", "reference"])
def test_float64_is_held_to_a_narrower_tolerance(plain: nn.Module, backend: str) -> None:
    twin = randomise(resnet20()).double()
    comparison = compare(twin, secure(twin, X.double(), backend=backend), shuffle(X.double()))
    assert comparison.tolerance == 1e-10
    assert comparison.first_divergence is None


def test_folded_norms_and_writes_into_inputs_are_aligned() -> None:
    network = randomise(models.resnet18(num_classes=5))
    x = pictures(1, (64, 48))
    comparison = compare(network, secure(network, x), shuffle(x))
    assert comparison.first_divergence is None
    operators = {row.operator for row in comparison.rows}
    assert {"aten.batch_norm.default", "aten.relu_.default", "aten.max_pool2d.default"} <= operators


def test_windows_that_are_axes_of_their_own_are_compared() -> None:
    network = randomise(models.SwinTransformer([4, 4], 8, [2], [2], [4, 4], num_classes=5)).double()
    x = pictures(2, (32, 32), torch.float64)
    comparison = compare(network, secure(network, x), shuffle(x))
    assert comparison.first_divergence is None
    assert sum(row.keyed and row.operator == "aten.matmul.default" for row in comparison.rows) >= 2


def test_a_wrong_weight_is_named(plain: nn.Module) -> None:
    net = secure(plain, X)
    weights = net.state_dict()
    name = "network.layer2.1.conv2.weight"
    weights[name][0, 0, 1, 1] += 0.5
    net.load_state_dict(weights)
    comparison = compare(plain, net, shuffle(X))
    found = comparison.first_divergence
    assert found is not None
    assert found.module == "layer2.1"
    assert found.operator == "aten.relu.default"
    assert f"first divergence at {found.name} (aten.relu.default in layer2.1)" in str(comparison)
    before = [row for row in comparison.rows if row.module.startswith(("layer1", "conv1", "bn1"))]
    assert before
    assert all(row.error <= comparison.tolerance for row in before)


def test_a_value_that_is_no_number_diverges(plain: nn.Module) -> None:
    row = LayerError("relu", "aten.relu.default", "", (1,), True, 1.0, math.nan)
    comparison = Comparison((row,), 1e-4, ())
    assert comparison.first_divergence is row
    assert math.isnan(comparison.largest_error)


def test_tolerance_can_be_given(plain: nn.Module) -> None:
    comparison = compare(plain, secure(plain, X), shuffle(X), tolerance=0.0)
    first = comparison.first_divergence
    assert first is not None
    assert first.name != "x"  # the input itself is moved, not computed


def test_another_network_is_refused(plain: nn.Module) -> None:
    class Other(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.tanh(x).mean((2, 3))

    with pytest.raises(ModelError, match="no operator"):
        compare(Other().eval(), secure(plain, X), shuffle(X))


def test_training_mode_is_refused(plain: nn.Module) -> None:
    net = secure(plain, X)
    network = resnet20().train()
    with pytest.raises(ModelError, match="training"):
        compare(network, net, shuffle(X))


def test_a_wrong_input_is_refused(plain: nn.Module) -> None:
    net = secure(plain, X)
    small = KeyedTensor(X[:, :, :16, :16], Layout(torch.randperm(256).int()[None], (2, 3), (16, 16)))
    with pytest.raises(InputMismatchError):
        compare(plain, net, small)


def test_what_is_not_a_single_keyed_network_is_refused() -> None:
    plain, x = nn.Conv2d(3, 4, 3).eval(), pictures(1, (6, 6))
    keyed, shuffled = secure(plain, x), shuffle(x)
    refused: dict[str, Callable[[], object]] = {
        "plain Conv2d compared": lambda: inference.compare(plain, plain, shuffled),
        "keyed compared with keyed": lambda: inference.compare(keyed, keyed, shuffled),
        "explained": lambda: inference.explain(plain),
        "exported": lambda: inference.export(plain, shuffled),
        "portable": lambda: inference.portable(plain),
    }
    for what, call in refused.items():
        with pytest.raises(ModelError) as refusal:
            call()
        assert refusal.value.hint, what
