"""Networks ready to secure, those for CIFAR-10 also to train, and presets of these and of torchvision's."""

from __future__ import annotations

from inference.models.espnetv2 import espnetv2
from inference.models.presets import (
    CIFAR10_CLASSES,
    CIFAR10_MEAN,
    CIFAR10_STD,
    MODELS,
    VOC_CLASSES,
    Preset,
    Task,
    preset,
)
from inference.models.resnet import preresnet110, resnet20, resnet32
from inference.models.squeezenet import squeezenet
from inference.models.vgg import vgg16

__all__ = [
    "CIFAR10_CLASSES",
    "CIFAR10_MEAN",
    "CIFAR10_STD",
    "MODELS",
    "VOC_CLASSES",
    "Preset",
    "Task",
    "espnetv2",
    "preresnet110",
    "preset",
    "resnet20",
    "resnet32",
    "squeezenet",
    "vgg16",
]
