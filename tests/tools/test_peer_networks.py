"""The peers' networks: their published sizes, what their parts compute, and that they train."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from peers.networks import NETWORKS
from peers.networks.adaptation import (
    BlockLinear,
    BlockwiseAdaptation,
    SharedAdaptation,
    far_from_permutation,
    roughness,
)
from peers.networks.convmixer import ConvMixer, ConvMixerShape, PatchPermutation
from peers.networks.pyramidnet import PyramidNet, ShakeDrop
from recipe import Recipe
from training import Split, Training, normalise, protect, protection, to_bytes


def parameters(network: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def test_parameters_are_the_published_ones() -> None:
    with torch.device("meta"):
        convmixer = NETWORKS["convmixer-512-16-224"]()
        scrambled = NETWORKS["shakedrop-ele"]()
    assert round(parameters(convmixer) / 1e6, 2) == 5.35
    assert round(parameters(scrambled) / 1e6, 2) == 29.31


@pytest.mark.parametrize("kept", [0.5, 0.9])
def test_shake_drop_scales_by_its_expectation_outside_training(kept: float) -> None:
    x = torch.randn(4, 2, 3, 3)
    torch.testing.assert_close(ShakeDrop(kept).eval()(x), kept * x)


def test_shake_drop_draws_another_factor_for_the_gradient() -> None:
    torch.manual_seed(0)
    shake, x = ShakeDrop(0.0).train(), torch.ones(500, 1, 1, 1, requires_grad=True)
    y = shake(x)
    y.sum().backward()
    forward, backward = y.detach().flatten(), x.grad
    assert backward is not None
    backward = backward.flatten()
    assert -1 <= forward.min() < -0.9
    assert 0.9 < forward.max() <= 1
    assert 0 <= backward.min() < 0.1
    assert 0.9 < backward.max() <= 1
    assert abs(torch.corrcoef(torch.stack([forward, backward]))[0, 1]) < 0.2


def test_shake_drop_keeps_whole_batches_at_its_rate() -> None:
    torch.manual_seed(0)
    shake, x = ShakeDrop(0.75).train(), torch.ones(3, 1, 1, 1)
    kept = sum(bool((shake(x) == 1).all()) for _ in range(400))
    assert 270 < kept < 330


def test_a_patch_permutation_can_undo_the_scrambling_of_blocks() -> None:
    order = torch.randperm(16, generator=torch.Generator().manual_seed(0))
    features = torch.randn(2, 5, 4, 4)
    scrambled = features.flatten(2)[:, :, order].unflatten(2, (4, 4))
    layer = PatchPermutation(16)
    layer.matrix.data = F.one_hot(order, 16).float()
    torch.testing.assert_close(layer(scrambled), features)


def test_blocks_have_matrices_of_norm_one() -> None:
    torch.manual_seed(0)
    layer = BlockLinear(3, 8, 6).train()
    for _ in range(100):  # power iteration
        layer(torch.zeros(1, 3, 8))
    layer.eval()
    matrices = torch.stack([layer(torch.eye(8)[k].expand(1, 3, 8))[0] for k in range(8)], dim=2)
    norms = torch.linalg.matrix_norm(matrices, 2)
    torch.testing.assert_close(norms, torch.ones(3), rtol=1e-3, atol=1e-3)


def test_adaptation_networks_treat_blocks_apart_or_alike() -> None:
    torch.manual_seed(0)
    image = torch.rand(2, 3, 4, 4).tile(1, 1, 8, 8)
    shared, own = SharedAdaptation().eval(), BlockwiseAdaptation().eval()
    own.matrix.data = torch.eye(64)
    for network, alike in ((shared, True), (own, False)):
        features = network(image)
        assert features.shape == (2, 16, 32, 32)
        assert torch.allclose(features[..., :4, :4], features[..., 4:8, 4:8], atol=1e-5) == alike


def test_a_block_is_read_and_written_where_it_stands() -> None:
    torch.manual_seed(0)
    network = BlockwiseAdaptation().eval()
    network.matrix.data = torch.eye(64)
    image = torch.rand(1, 3, 32, 32)
    other = image.clone()
    other[:, :, 8:12, 20:24] += 1
    changed = (network(image) != network(other)).any(1)[0].nonzero()
    assert changed.min(0).values.tolist() == [8, 20]
    assert changed.max(0).values.tolist() == [11, 23]


def test_penalties_are_zero_for_permutations_and_for_flat_features() -> None:
    permutation = torch.eye(8)[torch.randperm(8, generator=torch.Generator().manual_seed(0))]
    assert far_from_permutation(permutation).item() == pytest.approx(0, abs=1e-7)
    assert far_from_permutation(torch.ones(8, 8)).item() == pytest.approx(2 * (8 - 8**0.5) / 8, abs=1e-6)
    assert roughness(torch.ones(2, 3, 8, 8)).item() == 0
    ramp = torch.arange(8.0).expand(1, 1, 8, 8)
    assert roughness(ramp).item() == 1


def test_small_versions_give_scores_for_each_image() -> None:
    images = torch.randn(2, 3, 32, 32)
    for network in (ConvMixer(ConvMixerShape(width=8, depth=2)), PyramidNet(depth=8, widening=6)):
        assert network.eval()(images).shape == (2, 10)
    wide = ConvMixer(ConvMixerShape(width=8, depth=1, image=224, patch=16)).eval()
    assert wide(torch.randn(1, 3, 224, 224)).shape == (1, 10)


def split(count: int) -> Split:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (count, 3, 32, 32), generator=generator, dtype=torch.uint8)
    return Split(images, torch.arange(count) % 10)


def recipe(model: str, transform: str) -> Recipe:
    return Recipe(model, epochs=1, batch=2, learning_rate=0.01, seed=1, precision="float32", transform=transform)


def test_norms_stay_in_full_precision_where_the_rest_does_not() -> None:
    network = BlockwiseAdaptation().train()
    with torch.autocast("cpu", torch.bfloat16):
        features = network(torch.rand(4, 3, 32, 32))
        penalty = network.penalty(features)
    penalty.backward()
    assert penalty.dtype == network.linear.direction.dtype == torch.float32
    assert all(value.grad is not None and value.grad.dtype == torch.float32 for value in network.parameters())


@pytest.mark.parametrize(("model", "transform"), [("shakedrop-ele", "ele"), ("convmixer-512-16", "privconv")])
def test_a_peer_trains_a_step_on_protected_images(model: str, transform: str, tmp_path: Path) -> None:
    training = Training(recipe(model, transform), tmp_path, torch.device("cpu"), 2)
    before = {name: value.clone() for name, value in training.network.named_parameters()}
    loss = training.run_epoch(split(2))
    assert 0 < loss < 20
    after = dict(training.network.named_parameters())
    assert all(value.grad is not None and value.grad.isfinite().all() for value in after.values())
    moved = [name for name, value in after.items() if not torch.equal(value, before[name])]
    assert len(moved) > 0.5 * len(before)  # a factor of 1 does not notice so small a step
    assert any(name.endswith("matrix") for name in moved)


def test_images_are_protected_after_their_augmentation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    training = Training(recipe("resnet20", "le"), tmp_path, torch.device("cpu"), 2)
    monkeypatch.setattr("training.augment", lambda images, _recipe, _generator: images.flip(3))
    seen: list[torch.Tensor] = []

    def keep(images: torch.Tensor, labels: torch.Tensor) -> float:
        seen.append(images)
        return 0.0

    monkeypatch.setattr(training, "_step", keep)
    batch = split(2)
    training.run_epoch(batch)
    transform = protection(training.recipe)
    assert transform is not None
    expected = protect(batch.images.flip(3), transform)
    order = [int((to_bytes(image[None]) == expected).flatten(1).all(1).nonzero()) for image in seen[0]]
    assert sorted(order) == [0, 1]


def test_normalised_images_go_back_to_their_bytes() -> None:
    images = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16).expand(1, 3, 16, 16)
    assert torch.equal(to_bytes(normalise(images)), images)
