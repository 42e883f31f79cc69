"""The part of a detector that is one network: from the frame to feature maps and to what its head says of them."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from inference.taps import Pair


@dataclass(frozen=True, slots=True)
class Geometry:
    """Sizes of a frame as (height, width): as it comes, resized, and with zeros after its last row and column."""

    frame: Pair
    resized: Pair
    padded: Pair

    @classmethod
    def of(cls, transform: nn.Module, frame: Pair) -> Geometry:
        """What a detector's own GeneralizedRCNNTransform makes of a frame of this size."""
        images, _ = transform([torch.zeros(3, *frame)])
        resized, padded = images.image_sizes[0], images.tensors.shape[-2:]
        return cls(frame, (resized[0], resized[1]), (padded[0], padded[1]))


class Dense(nn.Module):
    """Normalisation, bilinear resize and padding as GeneralizedRCNNTransform does them, backbone, convolutional head.

    From frames (N, 3, H, W) in [0, 1] to the backbone's maps by name, and what the head returns for the list of them.
    """

    mean: Tensor
    std: Tensor
    backbone: nn.Module

    def __init__(self, model: Any, head: nn.Module, geometry: Geometry, like: Tensor) -> None:
        super().__init__()
        self.geometry, self.backbone, self.head = geometry, model.backbone, head
        for name, values in (("mean", model.transform.image_mean), ("std", model.transform.image_std)):
            self.register_buffer(name, torch.as_tensor(values, dtype=like.dtype, device=like.device)[:, None, None])
        self.training = False  # this module alone: its parts belong to the model

    def forward(self, frames: Tensor) -> tuple[OrderedDict[str, Tensor], Any]:
        """Feature maps and the head's results."""
        resized, padded = self.geometry.resized, self.geometry.padded
        normal = (frames - self.mean) / self.std
        maps = F.interpolate(normal, size=resized, mode="bilinear", align_corners=False)
        features = self.backbone(F.pad(maps, (0, padded[1] - resized[1], 0, padded[0] - resized[0])))
        if isinstance(features, Tensor):
            features = OrderedDict([("0", features)])
        return features, self.head(list(features.values()))
