"""What explain() says of a network, against what is known of it."""

from __future__ import annotations

import pytest
import torch
from keyed_helpers import pictures, randomise, shuffle
from torch import nn

from inference import InputMismatchError, KeyedModule, explain, secure
from inference.layout import KeyedTensor
from inference.models import resnet20
from inference.text_table import in_bytes, text_table

X = pictures(2, (32, 32))
TAP = 4  # bytes


@pytest.fixture(scope="module")
def net() -> KeyedModule:
    return secure(randomise(resnet20()), X)


def test_layers_of_resnet20(net: KeyedModule) -> None:
    layers = {layer.name: layer for layer in explain(net).layers}
    convolutions = [layer for layer in layers.values() if layer.operator == "conv"]
    assert [layer.positions for layer in convolutions] == [1024] * 7 + [256] * 6 + [64] * 6
    assert all(layer.taps == 9 for layer in convolutions)
    assert all(layer.table_bytes >= layer.positions * 9 * TAP for layer in convolutions)
    assert layers["relu_8"].module == "layer2.0"
    assert layers["relu_8"].group == layers["relu_10"].group != layers["relu_9"].group
    assert layers["adaptive_avg_pool2d"].group == ""
    assert layers["adaptive_avg_pool2d"].positions == layers["adaptive_avg_pool2d"].taps == 0
    assert layers["pad"].operator == "aten.pad.default"
    assert layers["pad"].table_bytes == 0
    assert "linear" not in layers  # behind the last shuffled value


def test_totals_are_sums_of_what_is_listed(net: KeyedModule) -> None:
    explanation = explain(net)
    assert explanation.groups == len(net.groups)
    assert explanation.layout_bytes == TAP * sum(group.positions for group in net.groups)
    assert 0 < explanation.table_bytes <= sum(layer.table_bytes for layer in explanation.layers)
    assert explanation.microseconds is None
    assert all(layer.microseconds is None for layer in explanation.layers)


def test_a_layer_whose_columns_follow_the_keys() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(4 * 30 * 30, 2)).eval()
    last = explain(secure(network, X)).layers[-1]
    assert last.operator == "aten.linear.default"
    assert last.table_bytes == 2 * 3600 * TAP  # the weight itself, its columns moved


def test_every_frame_key_needs_a_table_at_the_entry(net: KeyedModule) -> None:
    own, shared = explain(net, shuffle(X)), explain(net, shuffle(X, shared=True))
    entry = [explanation.layers[0].table_bytes for explanation in (own, shared)]
    assert entry[0] == 2 * entry[1]
    assert own.table_bytes == shared.table_bytes + entry[1]


@pytest.mark.parametrize("backend", ["gather", "reference"])
def test_times_are_given_for_an_input(backend: str) -> None:
    explanation = explain(secure(randomise(resnet20()), X, backend=backend), shuffle(X))
    assert all(layer.microseconds and layer.microseconds > 0 for layer in explanation.layers)
    assert explanation.microseconds
    assert explanation.microseconds > 0


def test_printed_table(net: KeyedModule) -> None:
    explanation = explain(net)
    lines = str(explanation).splitlines()
    assert lines[0].split() == ["layer", "operator", "module", "group", "positions", "taps", "tables"]
    assert len(lines) == 1 + len(explanation.layers) + 2
    assert lines[-1].startswith(f"{len(explanation.layers)} keyed layers, backend gather; ")
    timed = str(explain(net, shuffle(X))).splitlines()
    assert timed[0].split()[-1] == "us"
    assert timed[-1].endswith(" ms a call")


def test_a_wrong_input_is_refused(net: KeyedModule) -> None:
    x = shuffle(X)
    with pytest.raises(InputMismatchError):
        explain(net, KeyedTensor(x.values.double(), x.layout))


def test_text_tables_align() -> None:
    assert text_table(("a", "bb"), [("long", "1"), ("s", "")], (1,)) == "a     bb\nlong   1\ns"
    assert [in_bytes(count) for count in (0, 1023, 1536, 3 << 20)] == ["0 B", "1023 B", "1.5 KiB", "3.0 MiB"]


def test_the_network_still_computes_afterwards(net: KeyedModule) -> None:
    expected = net(shuffle(X))
    explain(net)
    torch.testing.assert_close(net(shuffle(X)), expected, rtol=1e-4, atol=1e-4)
