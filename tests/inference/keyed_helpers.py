"""Shuffling, comparing and randomising, for the tests of keyed networks."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from inference.layout import KeyedTensor, Layout


class Apply(nn.Module):
    """A function as a network without weights."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


def tables(orders: int, positions: int, seed: int = 0) -> Tensor:
    """int32 (orders, positions): seeded permutations."""
    generator = torch.Generator().manual_seed(seed)
    return torch.stack([torch.randperm(positions, generator=generator) for _ in range(orders)]).int()


def shuffle(x: Tensor, seed: int = 0, *, shared: bool = False) -> KeyedTensor:
    """Maps (N, C, H, W) under a seeded layout, one for each sample or one for all."""
    extents = (x.shape[2], x.shape[3])
    table = tables(1 if shared else x.shape[0], extents[0] * extents[1], seed)
    return KeyedTensor.from_plain(x, Layout(table, (2, 3), extents))


def random_tensor(*shape: int, seed: int = 0) -> Tensor:
    """float64 normal values."""
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def substituted(x: KeyedTensor) -> KeyedTensor:
    """The same values under a permutation that is not theirs."""
    return KeyedTensor(x.values, Layout(tables(*x.layout.table.shape, seed=99), x.layout.axes, x.layout.extents))


def randomise(network: nn.Module, seed: int = 0) -> nn.Module:
    """Weights that keep signals of order one, batch norms far from the identity, evaluation mode."""
    generator = torch.Generator().manual_seed(seed)

    def uniform(like: Tensor, low: float, high: float) -> Tensor:
        return torch.rand(like.shape, generator=generator).to(like) * (high - low) + low

    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.copy_(uniform(module.running_mean, -0.3, 0.3))
            module.running_var.copy_(uniform(module.running_var, 0.6, 1.6))
            if module.affine:
                module.weight.data = uniform(module.weight, 0.5, 1.2)
                module.bias.data = uniform(module.bias, -0.3, 0.3)
        elif isinstance(module, nn.Conv2d | nn.Linear):
            fan_in = module.weight[0].numel()
            module.weight.data = torch.randn(module.weight.shape, generator=generator).to(module.weight) / fan_in**0.5
            if module.bias is not None:
                module.bias.data = uniform(module.bias, -0.3, 0.3)
    return network.eval()


def pictures(samples: int, size: tuple[int, int], dtype: torch.dtype = torch.float32) -> Tensor:
    """Structured images (N, 3, H, W) whose parts differ: ramps, stripes and a bright disc, each sample its own."""
    y = torch.linspace(-1, 1, size[0], dtype=dtype)[:, None]
    x = torch.linspace(-1, 1, size[1], dtype=dtype)[None, :]
    images = []
    for sample in range(samples):
        centre = 0.5 - sample / samples
        disc = ((x - centre) ** 2 + (y + centre) ** 2 < 0.15).to(dtype)
        stripes = torch.sin(9 * x + (3 + sample) * y)
        images.append(torch.stack([x + y * disc, stripes + disc, 2 * disc - y * stripes]))
    return torch.stack(images)
