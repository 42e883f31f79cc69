"""Whole networks: keyed results are the plain ones, and nothing inside lies in true order."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from keyed_helpers import pictures, randomise, shuffle, substituted
from order_inside import in_true_order
from torch import Tensor, nn
from torchvision import models

from inference.convert import secure
from inference.layout import KeyedTensor
from inference.models import preresnet110, resnet20, resnet32, vgg16

NETWORKS: dict[str, tuple[Callable[[], nn.Module], tuple[int, int]]] = {
    "resnet20": (resnet20, (32, 32)),
    "resnet32": (resnet32, (32, 32)),
    "vgg16": (vgg16, (32, 32)),
    "preresnet110": (preresnet110, (32, 32)),
    "torchvision resnet18": (lambda: models.resnet18(num_classes=10), (64, 48)),
    "torchvision squeezenet": (lambda: models.squeezenet1_0(num_classes=10), (56, 64)),
}
TOLERANCE = 1e-9  # of the largest value, in float64


@pytest.mark.parametrize("name", NETWORKS)
def test_keyed_network_equals_plain_network(name: str) -> None:
    make, size = NETWORKS[name]
    plain = randomise(make().double())
    x = pictures(2, size, torch.float64)
    with torch.no_grad():
        expected = plain(x)
    spread = float((expected - expected.mean(1, keepdim=True)).abs().max())
    for backend in ("gather", "reference"):
        network = secure(plain, x, backend=backend)
        error = float((network(shuffle(x)) - expected).abs().max())
        assert error <= TOLERANCE * spread, backend
    wrong = float((network(substituted(shuffle(x))) - expected).abs().max())
    assert wrong >= 100_000 * TOLERANCE * spread


def test_nothing_inside_lies_in_true_order() -> None:
    plain, x = randomise(resnet20()), pictures(2, (32, 32))
    network = secure(plain, x)
    seen = [i for i in network.intermediates(shuffle(x)) if isinstance(i.value, KeyedTensor)]
    assert len(seen) > 25
    tensors = {id(i.value.values) for i in seen}
    assert len(tensors) == len(seen)
    for intermediate in seen:
        values, layout = intermediate.value.values, intermediate.value.layout
        for table in layout.table:
            place = torch.arange(len(table))
            assert int((table == place).sum()) <= 12, intermediate.name  # expected: one
            shift = (table - place).abs().double().mean() / len(table)
            assert 0.2 < shift < 0.47, intermediate.name  # expected: a third
        assert not torch.allclose(values, intermediate.value.reveal(), atol=1e-3), intermediate.name
    assert not in_true_order(network, (32, 32), torch.float32)
    found = in_true_order(network, (32, 32), torch.float32, lambda size: torch.arange(size).int())
    assert len(found) >= len(seen) - 2  # without a shuffle, the search finds all but the frames themselves


def test_groups_have_layouts_of_their_own() -> None:
    plain, x = randomise(resnet20()), pictures(1, (32, 32))
    network = secure(plain, x)
    by_group: dict[str, list[Tensor]] = {group.name: [] for group in network.groups}
    owner = {name: group.name for group in network.groups for name in group.operators}
    for intermediate in network.intermediates(shuffle(x)):
        if intermediate.name in owner:
            by_group[owner[intermediate.name]].append(intermediate.value.layout.table)
    assert len(by_group) == 15  # the entry, 3 trunks, 9 inside blocks, 2 shortcuts before their trunk has a position
    for found in by_group.values():
        assert all(torch.equal(found[0], table) for table in found)
    first = [found[0] for found in by_group.values()]
    for index, table in enumerate(first):
        assert not any(table.shape == other.shape and torch.equal(table, other) for other in first[:index])


def test_float32_results_agree_within_rounding() -> None:
    plain, x = randomise(resnet32()), pictures(3, (32, 32))
    with torch.no_grad():
        expected = plain(x)
    for backend in ("gather", "reference"):
        torch.testing.assert_close(secure(plain, x, backend=backend)(shuffle(x)), expected, rtol=1e-4, atol=1e-4)


def test_results_repeat_bit_for_bit() -> None:
    plain, x = randomise(resnet20()), pictures(2, (32, 32))
    network = secure(plain, x)
    assert torch.equal(network(shuffle(x)), network(shuffle(x)))


def test_pretrained_resnet32_on_real_images(privcam_data: Path) -> None:
    archive = torch.load(
        privcam_data / "cifar10-resnet" / "resnet32-d509ac18.th", weights_only=True, map_location="cpu"
    )
    plain = resnet32()
    plain.load_state_dict({name.removeprefix("module."): value for name, value in archive["state_dict"].items()})
    plain.eval()
    with np.load(privcam_data / "cifar10" / "test_first1017.npz") as test:
        images, labels = test["x"][:40], torch.from_numpy(test["y"][:40].astype(np.int64))
    mean, std = (torch.tensor(value).view(1, 3, 1, 1) for value in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    x = (torch.from_numpy(images).permute(0, 3, 1, 2) / 255 - mean) / std
    with torch.no_grad():
        expected = plain(x)
    assert (expected.argmax(1) == labels).float().mean() > 0.8
    for backend in ("gather", "reference"):
        network = secure(plain, x, backend=backend)
        found = network(shuffle(x))
        assert float((found - expected).abs().max()) <= 1e-4
        assert torch.equal(found.argmax(1), expected.argmax(1))
    agreed = (network(substituted(shuffle(x))).argmax(1) == expected.argmax(1)).float().mean()
    assert agreed < 0.5
