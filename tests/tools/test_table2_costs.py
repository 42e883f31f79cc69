"""Costs of the peers: sizes of files, and times that take turns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torch import nn
from torch.fx import symbolic_trace
from torch.nn.modules.module import register_module_forward_hook

from measure import Comparison, Timing
from peers.networks import TRAINABLE
from peers.networks.adaptation import BlockwiseAdaptation
from peers.registry import PEERS
from sensor_sim.photograph import decode
from table2 import inference_cost
from table2.cost import BASELINE, compress, lossless_bytes, sizes, time_transformations
from table2.inference_cost import measure_inference


def test_files_are_lossless_and_shuffled_images_larger(tmp_path: Path) -> None:
    ramp = np.linspace(0, 255, 32).astype(np.uint8)
    image = np.stack([np.tile(ramp, (32, 1)), np.tile(ramp[:, None], (1, 32)), np.full((32, 32), 9, np.uint8)], axis=2)
    for form in ("png", "webp"):
        path = tmp_path / f"image.{form}"
        path.write_bytes(lossless_bytes(image, form))
        np.testing.assert_array_equal(decode(path), image)
    peer = PEERS["pixel-shuffle"]
    found = compress(peer, peer.protection(1).transform, image[None])
    assert found.plain == sizes(image[None])
    assert min(found.png_ratio, found.webp_ratio) > 1.5


def test_grey_based_images_are_stored_as_one_grey_image(tmp_path: Path) -> None:
    images = np.random.default_rng(3).integers(0, 256, (2, 32, 32, 3), np.uint8)
    stored = PEERS["etc-grey"].stored(images)
    assert stored.shape == (2, 32, 96)
    np.testing.assert_array_equal(stored[1, :, 32:64], images[1, :, :, 1])
    assert PEERS["etc"].stored(images) is images
    path = tmp_path / "grey.png"
    path.write_bytes(lossless_bytes(stored[0], "png"))
    np.testing.assert_array_equal(cv2.imread(str(path), cv2.IMREAD_UNCHANGED), stored[0])


def test_transformations_take_turns_and_are_held_against_a_pixel_shuffle() -> None:
    images = np.zeros((3, 32, 32, 3), np.uint8)
    found = time_transformations({"le": PEERS["le"]}, images, seed=1, rounds=2)
    assert found.keys() == {BASELINE, "le"}
    assert found[BASELINE].ratio == 1
    assert (found["le"].images, found["le"].rounds) == (3, 2)


def test_networks_are_timed_as_one_would_run_them(monkeypatch: pytest.MonkeyPatch) -> None:
    things: dict[str, Callable[[], object]] = {}

    def note(_title: str, given: dict[str, Callable[[], object]], **_options: Any) -> Comparison:
        things.update(given)
        return Comparison("", "", 1, tuple(Timing(name, 1.0, 1.0, 1.0) for name in given))

    monkeypatch.setattr(inference_cost, "compare", note)
    assert measure_inference(replace(PEERS["le"], network="preresnet110"), batch=1, rounds=1) is not None
    norms = sum(isinstance(module, nn.BatchNorm2d) for module in TRAINABLE["preresnet110"]().modules())
    assert things.keys() == {"baseline", "network"}
    for thing in things.values():
        ran: list[nn.Module] = []
        counting = register_module_forward_hook(lambda module, _x, _y, ran=ran: ran.append(module))
        thing()
        counting.remove()
        assert 0 < sum(isinstance(module, nn.BatchNorm2d) for module in ran) < 0.6 * norms  # the others are folded


def test_an_adaptation_network_can_be_traced_as_folding_does() -> None:
    network = BlockwiseAdaptation().eval()
    x = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        torch.testing.assert_close(symbolic_trace(network)(x), network(x))
