"""ConvMixer-512/16 with an adaptive permutation matrix, the network of PrivConv.

ConvMixer: Trockman and Kolter, "Patches Are All You Need?", TMLR 2023, arXiv:2201.09792: a patch embedding, then 16
times a depthwise convolution with a shortcut and a pointwise one, 512 channels throughout.  PrivConv (Qi, MaungMaung
and Kiya, Journal of Imaging 9(4), 85, 2023) puts a learned square matrix over the patches behind the embedding, which
can learn to undo the scrambling of blocks.

With 9 x 9 kernels, 16 x 16 patches and 224 x 224 images there are 5,345,306 parameters, the published 5.35 M;
``convmixer_512_16`` is the same network for 32 x 32 images in 4 x 4 patches.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class ConvMixerShape:
    """Channels, blocks, sides in pixels of an image and of a patch, and side of the depthwise kernel in patches."""

    width: int = 512
    depth: int = 16
    image: int = 32
    patch: int = 4
    kernel: int = 9


class PatchPermutation(nn.Module):
    """(N, C, h, w) features times a learned (h w, h w) matrix over positions."""

    def __init__(self, positions: int) -> None:
        super().__init__()
        self.matrix = nn.Parameter(torch.empty(positions, positions))
        nn.init.kaiming_uniform_(self.matrix, a=math.sqrt(5))

    def forward(self, x: Tensor) -> Tensor:
        """Mix positions; each channel by itself."""
        return (x.flatten(2) @ self.matrix).unflatten(2, x.shape[2:])


class _Layer(nn.Module):
    def __init__(self, shape: ConvMixerShape) -> None:
        super().__init__()
        self.space = nn.Conv2d(shape.width, shape.width, shape.kernel, groups=shape.width, padding="same")
        self.norm1 = nn.BatchNorm2d(shape.width)
        self.channels = nn.Conv2d(shape.width, shape.width, 1)
        self.norm2 = nn.BatchNorm2d(shape.width)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.norm1(nn.functional.gelu(self.space(x)))
        return self.norm2(nn.functional.gelu(self.channels(x)))


class ConvMixer(nn.Module):
    """Classifier of (N, 3, image, image) images."""

    def __init__(self, shape: ConvMixerShape, num_classes: int = 10) -> None:
        super().__init__()
        self.embedding = nn.Conv2d(3, shape.width, shape.patch, shape.patch)
        self.norm = nn.BatchNorm2d(shape.width)
        self.permutation = PatchPermutation((shape.image // shape.patch) ** 2)
        self.layers = nn.Sequential(*[_Layer(shape) for _ in range(shape.depth)])
        self.linear = nn.Linear(shape.width, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """(N, classes) scores."""
        x = self.permutation(self.norm(nn.functional.gelu(self.embedding(x))))
        return self.linear(self.layers(x).mean((2, 3)))


def convmixer_512_16(num_classes: int = 10) -> ConvMixer:
    """For 32 x 32 images in 4 x 4 patches: 4.94 M parameters."""
    return ConvMixer(ConvMixerShape(), num_classes)


def convmixer_512_16_224(num_classes: int = 10) -> ConvMixer:
    """For 224 x 224 images in 16 x 16 patches: 5.35 M parameters."""
    return ConvMixer(ConvMixerShape(image=224, patch=16), num_classes)
