"""Networks for 32 x 32 images, ready to train and to secure."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from inference.models.resnet import preresnet110, resnet20, resnet32
from inference.models.vgg import vgg16

#: Per-channel mean and standard deviation of the CIFAR-10 training images, RGB in [0, 1].
CIFAR10_MEAN = (0.4914, 0.4822, 0.4465)
CIFAR10_STD = (0.2470, 0.2435, 0.2616)

MODELS: dict[str, Callable[[], nn.Module]] = {
    "preresnet110": preresnet110,
    "resnet20": resnet20,
    "resnet32": resnet32,
    "vgg16": vgg16,
}

__all__ = ["CIFAR10_MEAN", "CIFAR10_STD", "MODELS", "preresnet110", "resnet20", "resnet32", "vgg16"]
