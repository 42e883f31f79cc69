"""VGG-16 with batch normalisation for 32 x 32 images, the network of the paper's Table 1.

Configuration D of Simonyan and Zisserman, "Very Deep Convolutional Networks for Large-Scale
Image Recognition" (ICLR 2015): 13 convolutions, five 2 x 2 max pools, three linear layers.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

CONFIGURATION_D = (64, 64, "M", 128, 128, "M", 256, 256, 256, "M", 512, 512, 512, "M", 512, 512, 512, "M")


def _features() -> nn.Sequential:
    layers: list[nn.Module] = []
    channels = 3
    for entry in CONFIGURATION_D:
        if isinstance(entry, str):
            layers.append(nn.MaxPool2d(2, 2))
            continue
        layers += [nn.Conv2d(channels, entry, 3, padding=1), nn.BatchNorm2d(entry), nn.ReLU(inplace=True)]
        channels = entry
    return nn.Sequential(*layers)


class VGG(nn.Module):
    """VGG-16-BN for (N, 3, 32, 32) images."""

    def __init__(self, num_classes: int = 10) -> None:
        super().__init__()
        self.features = _features()
        self.classifier = nn.Sequential(
            nn.Linear(512, 4096),
            nn.ReLU(inplace=True),
            nn.Dropout(),
            nn.Linear(4096, 4096),
            nn.ReLU(inplace=True),
            nn.Dropout(),
            nn.Linear(4096, num_classes),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(torch.flatten(self.features(x), 1))


def vgg16(num_classes: int = 10) -> VGG:
    """VGG-16 with batch normalisation: 33.6 M parameters."""
    return VGG(num_classes)
