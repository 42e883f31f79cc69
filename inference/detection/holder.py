"""What takes the place of the convolutional parts in the key holder's copy of a detector.

The copy runs the model's own ``forward``.  Where that would compute on images, the modules here hand
on what the keyed networks have computed, so anchors, box decoding, suppression, and whatever else a
family does with the results of its head, are the model's own code.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree
from torchvision.models.detection.image_list import ImageList

from inference.detection.dense import Geometry
from inference.layout import KeyedTensor


@dataclass(frozen=True, slots=True, eq=False)
class FeatureMap:
    """A feature map as a detector's code may know it: all but its values.

    Attributes:
        value: the map (N, C, h, w), shuffled unless it has a single position.
        head: what the head made of all maps of this call, in true order.
    """

    value: KeyedTensor | Tensor
    head: Any

    @property
    def shape(self) -> torch.Size:
        """(N, C, h, w)."""
        return self.value.shape

    @property
    def dtype(self) -> torch.dtype:
        """Of its values."""
        return _values(self.value).dtype

    @property
    def device(self) -> torch.device:
        """Where it lies."""
        return _values(self.value).device

    def size(self, axis: int) -> int:
        """One size of its shape."""
        return self.shape[axis]


@dataclass(frozen=True, slots=True, eq=False)
class Frames:
    """A batch of frames as a detector's code may know it: first the list of images, then the tensor of all of them.

    Attributes:
        count: of frames.
        geometry: of each of them.
        features: the backbone's maps by name.
    """

    count: int
    geometry: Geometry
    features: Mapping[str, FeatureMap]

    def __iter__(self) -> Iterator[Tensor]:
        """One tensor without storage an image."""
        return iter(torch.empty(self.count, 3, *self.geometry.frame, device="meta"))

    @property
    def shape(self) -> torch.Size:
        """Of the resized and padded batch."""
        return torch.Size((self.count, 3, *self.geometry.padded))


class ForwardTransform(nn.Module):
    """In place of the model's GeneralizedRCNNTransform: images are resized already, results go back through it."""

    def __init__(self, transform: nn.Module) -> None:
        super().__init__()
        self.transform = transform

    def forward(self, frames: Frames, targets: None) -> tuple[ImageList, None]:
        """The batch, and the size that every frame has in it."""
        return ImageList(frames, [frames.geometry.resized] * frames.count), targets

    def postprocess(self, *arguments: Any) -> Any:
        """The model's own: results in coordinates of the true frame."""
        transform: Any = self.transform
        return transform.postprocess(*arguments)


class ForwardFeatures(nn.Module):
    """In place of the backbone."""

    def forward(self, frames: Frames) -> Mapping[str, FeatureMap]:
        """The maps that the keyed backbone has computed."""
        return frames.features


class ForwardHead(nn.Module):
    """In place of the convolutional head."""

    def forward(self, features: list[FeatureMap]) -> Any:
        """What the keyed head has computed."""
        return features[0].head


def revealed(results: Any) -> Any:
    """Nested results of a keyed network in true order: for the key holder."""
    return pytree.tree_map(
        lambda leaf: leaf.reveal() if isinstance(leaf, KeyedTensor) else leaf,
        results,
        is_leaf=lambda leaf: isinstance(leaf, KeyedTensor),
    )


def _values(value: KeyedTensor | Tensor) -> Tensor:
    return value.values if isinstance(value, KeyedTensor) else value
