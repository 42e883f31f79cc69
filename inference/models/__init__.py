"""Networks for 32 x 32 images, ready to train and to secure, and presets of these and of torchvision's."""

from __future__ import annotations

from inference.models.presets import (
    CIFAR10_CLASSES,
    CIFAR10_MEAN,
    CIFAR10_STD,
    MODELS,
    Preset,
    preset,
)
from inference.models.resnet import preresnet110, resnet20, resnet32
from inference.models.vgg import vgg16

__all__ = [
    "CIFAR10_CLASSES",
    "CIFAR10_MEAN",
    "CIFAR10_STD",
    "MODELS",
    "Preset",
    "preresnet110",
    "preset",
    "resnet20",
    "resnet32",
    "vgg16",
]
