"""SqueezeNet v1.0 for ImageNet, as its authors published it for Caffe.

Iandola et al., "SqueezeNet: AlexNet-level accuracy with 50x fewer parameters and <0.5MB model size"
(arXiv:1602.07360).  It differs from torchvision's SqueezeNet 1.0 in that the last convolution, 1x1,
pads the map by one position all around, and in that channels come blue first.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

#: Channels of each fire module: squeezed, and of either half of the result.  None is a max pool.
LAYOUT = {
    "fire2": (16, 64),
    "fire3": (16, 64),
    "fire4": (32, 128),
    "pool4": None,
    "fire5": (32, 128),
    "fire6": (48, 192),
    "fire7": (48, 192),
    "fire8": (64, 256),
    "pool8": None,
    "fire9": (64, 256),
}


class _Fire(nn.Module):
    """Few channels, then many: half of them by 1x1, half by 3x3 convolutions."""

    def __init__(self, inputs: int, squeezed: int, half: int) -> None:
        super().__init__()
        self.conv1x1_1 = nn.Conv2d(inputs, squeezed, 1)
        self.conv1x1_2 = nn.Conv2d(squeezed, half, 1)
        self.conv3x3_2 = nn.Conv2d(squeezed, half, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.conv1x1_1(x))
        return torch.relu(torch.cat([self.conv1x1_2(x), self.conv3x3_2(x)], 1))


def _pool() -> nn.Module:
    return nn.MaxPool2d(3, 2, ceil_mode=True)


class SqueezeNet(nn.Module):
    """SqueezeNet v1.0 for (N, 3, H, W) images: RGB in 0 .. 255 less the mean of each channel."""

    def __init__(self, num_classes: int = 1_000) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 96, 7, 2)
        self.pool1 = _pool()
        channels = 96
        for name, sizes in LAYOUT.items():
            self.add_module(name, _pool() if sizes is None else _Fire(channels, *sizes))
            channels = channels if sizes is None else 2 * sizes[1]
        self.conv_final = nn.Conv2d(channels, num_classes, 1, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool1(torch.relu(self.conv1(x.flip(1))))
        for name in LAYOUT:
            x = self.get_submodule(name)(x)
        x = torch.relu(self.conv_final(x))
        return torch.flatten(F.adaptive_avg_pool2d(x, 1), 1)


def squeezenet(num_classes: int = 1_000) -> SqueezeNet:
    """SqueezeNet v1.0: 1.2 M parameters."""
    return SqueezeNet(num_classes)
