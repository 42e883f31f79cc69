"""Residual networks for 32 x 32 images.

``resnet20`` and ``resnet32`` are the CIFAR-10 networks of He et al., "Deep Residual
Learning for Image Recognition" (CVPR 2016, section 4.2), with option-A shortcuts: where a
stage halves the map, the shortcut takes every second position and pads new channels with
zeros, so it has no weights.  ``preresnet110`` is the pre-activation variant of He et al.,
"Identity Mappings in Deep Residual Networks" (ECCV 2016), the network of the paper's Table 2.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

STAGE_CHANNELS = (16, 32, 64)


class _Shortcut(nn.Module):
    """Option A: stride-2 slice and zero channels, without weights."""

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.before = (out_channels - in_channels) // 2
        self.after = out_channels - in_channels - self.before

    def forward(self, x: Tensor) -> Tensor:
        if self.stride != 1:
            x = x[:, :, :: self.stride, :: self.stride]
        if self.before or self.after:
            x = F.pad(x, (0, 0, 0, 0, self.before, self.after))
        return x


class _BasicBlock(nn.Module):
    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.shortcut = _Shortcut(in_channels, out_channels, stride)

    def forward(self, x: Tensor) -> Tensor:
        y = torch.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        return torch.relu(y + self.shortcut(x))


class _PreActivationBlock(nn.Module):
    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(in_channels)
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, 1, 1, bias=False)
        self.shortcut = _Shortcut(in_channels, out_channels, stride)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv1(torch.relu(self.bn1(x)))
        y = self.conv2(torch.relu(self.bn2(y)))
        return y + self.shortcut(x)


def _stages(block: type[nn.Module], blocks_per_stage: int) -> list[nn.Sequential]:
    stages = []
    in_channels = STAGE_CHANNELS[0]
    for index, channels in enumerate(STAGE_CHANNELS):
        strides = [1 if index == 0 else 2] + [1] * (blocks_per_stage - 1)
        blocks = []
        for stride in strides:
            blocks.append(block(in_channels, channels, stride))
            in_channels = channels
        stages.append(nn.Sequential(*blocks))
    return stages


def _initialise(network: nn.Module) -> None:
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight)


class ResNet(nn.Module):
    """Post-activation residual network of depth ``6 n + 2`` for (N, 3, 32, 32) images."""

    def __init__(self, depth: int, num_classes: int = 10) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, STAGE_CHANNELS[0], 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(STAGE_CHANNELS[0])
        self.layer1, self.layer2, self.layer3 = _stages(_BasicBlock, (depth - 2) // 6)
        self.linear = nn.Linear(STAGE_CHANNELS[-1], num_classes)
        _initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.linear(torch.flatten(F.adaptive_avg_pool2d(x, 1), 1))


class PreResNet(nn.Module):
    """Pre-activation residual network of depth ``6 n + 2`` for (N, 3, 32, 32) images."""

    def __init__(self, depth: int, num_classes: int = 10) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, STAGE_CHANNELS[0], 3, 1, 1, bias=False)
        self.layer1, self.layer2, self.layer3 = _stages(_PreActivationBlock, (depth - 2) // 6)
        self.bn = nn.BatchNorm2d(STAGE_CHANNELS[-1])
        self.linear = nn.Linear(STAGE_CHANNELS[-1], num_classes)
        _initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        x = self.layer3(self.layer2(self.layer1(self.conv1(x))))
        x = F.adaptive_avg_pool2d(torch.relu(self.bn(x)), 1)
        return self.linear(torch.flatten(x, 1))


def resnet20(num_classes: int = 10) -> ResNet:
    """ResNet-20: 0.27 M parameters."""
    return ResNet(20, num_classes)


def resnet32(num_classes: int = 10) -> ResNet:
    """ResNet-32: 0.46 M parameters."""
    return ResNet(32, num_classes)


def preresnet110(num_classes: int = 10) -> PreResNet:
    """PreResNet-110: 1.7 M parameters."""
    return PreResNet(110, num_classes)
