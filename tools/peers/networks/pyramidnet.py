"""PyramidNet-110 with ShakeDrop, the backbone of LE, ELE and EtC.

PyramidNet: Han, Kim and Kim, "Deep Pyramidal Residual Networks", CVPR 2017; additive, widening factor 270, basic
blocks.  ShakeDrop: Yamada, Iwamura, Akiba and Kise, "ShakeDrop Regularization for Deep Residual Learning", IEEE
Access 7, 2019, with a linear decay to 0.5, factors of -1 to 1 forward and 0 to 1 backward, one for each image.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

FIRST_CHANNELS = 16
LAST_KEPT = 0.5


class ShakeDrop(nn.Module):
    """Scales a residual branch of (N, C, H, W) by a random factor, another one in the gradient.

    Args:
        kept: probability that a batch passes unchanged.
    """

    def __init__(self, kept: float) -> None:
        super().__init__()
        self.kept = kept

    def forward(self, x: Tensor) -> Tensor:
        """The expected value outside training."""
        if not self.training:
            return self.kept * x
        shape = (len(x), 1, 1, 1)
        keep = torch.rand((), device=x.device) < self.kept
        one = torch.ones(shape, dtype=x.dtype, device=x.device)
        forward = torch.where(keep, one, torch.empty_like(one).uniform_(-1, 1))
        backward = torch.where(keep, one, torch.empty_like(one).uniform_(0, 1))
        return backward * x + ((forward - backward) * x).detach()


class _Block(nn.Module):
    def __init__(self, in_channels: int, out_channels: int, stride: int, kept: float) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(in_channels)
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, 1, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out_channels)
        self.shake = ShakeDrop(kept)
        self.stride, self.added = stride, out_channels - in_channels

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv1(self.bn1(x))
        y = self.bn3(self.conv2(torch.relu(self.bn2(y))))
        if self.stride != 1:
            x = F.avg_pool2d(x, self.stride)
        return self.shake(y) + F.pad(x, (0, 0, 0, 0, 0, self.added))


class PyramidNet(nn.Module):
    """Pyramidal residual network of depth ``6 n + 2`` for (N, in_channels, 32, 32) images.

    Args:
        depth: layers with weights.
        widening: channels that the last block has more than the first layer.
        in_channels: of the input.
        num_classes: of the output.
    """

    def __init__(self, depth: int = 110, widening: int = 270, in_channels: int = 3, num_classes: int = 10) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, FIRST_CHANNELS, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(FIRST_CHANNELS)
        self.blocks = _blocks(depth, widening)
        channels = FIRST_CHANNELS + widening
        self.bn2 = nn.BatchNorm2d(channels)
        self.linear = nn.Linear(channels, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out")

    def forward(self, x: Tensor) -> Tensor:
        """(N, classes) scores."""
        x = self.blocks(self.bn1(self.conv(x)))
        return self.linear(torch.relu(self.bn2(x)).mean((2, 3)))


def _blocks(depth: int, widening: int) -> nn.Sequential:
    """Three stages; channels grow evenly from block to block, and maps halve where a stage begins."""
    stage = (depth - 2) // 6
    count = 3 * stage
    widths = [FIRST_CHANNELS + round(widening * index / count) for index in range(count + 1)]
    return nn.Sequential(
        *[
            _Block(
                widths[index],
                widths[index + 1],
                stride=2 if index in (stage, 2 * stage) else 1,
                kept=1 - (index + 1) / count * (1 - LAST_KEPT),
            )
            for index in range(count)
        ]
    )


def shakedrop(num_classes: int = 10) -> PyramidNet:
    """PyramidNet-110 with ShakeDrop: 28.5 M parameters."""
    return PyramidNet(num_classes=num_classes)
