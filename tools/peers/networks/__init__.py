"""The networks that the peers train on protected images, by name."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from inference.models import MODELS
from peers.networks.adaptation import ScrambledClassifier, shakedrop_ele, shakedrop_le
from peers.networks.convmixer import ConvMixer, convmixer_512_16, convmixer_512_16_224
from peers.networks.pyramidnet import PyramidNet, shakedrop

__all__ = ["NETWORKS", "SIDES", "TRAINABLE", "ConvMixer", "PyramidNet", "ScrambledClassifier"]

#: For (N, 3, 32, 32) images, but for those in SIDES.
NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "convmixer-512-16": convmixer_512_16,
    "convmixer-512-16-224": convmixer_512_16_224,
    "shakedrop": shakedrop,
    "shakedrop-ele": shakedrop_ele,
    "shakedrop-le": shakedrop_le,
}

#: Every network that can be trained: the package's own and the peers'.
TRAINABLE = {**MODELS, **NETWORKS}

#: Height and width of the images of a network, where they are not 32.
SIDES = {"convmixer-512-16-224": 224}
