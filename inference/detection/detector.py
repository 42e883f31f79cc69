"""From an ordinary detector to one that works on shuffled frames."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from inference.convert import MAP_AXES, REKEY_EVERY, available, example_values, refuse_training, secure
from inference.detection.adapters import Adapter, Branch, adapter_of
from inference.detection.dense import Dense, Geometry
from inference.detection.holder import FeatureMap, ForwardFeatures, ForwardHead, ForwardTransform, Frames, revealed
from inference.detection.regions import RegionHead, RegionNetwork, RegionPool
from inference.errors import InputMismatchError
from inference.kernels import BACKENDS
from inference.layout import KeyedTensor
from inference.module import KeyedModule


class KeyedDetector(nn.Module):
    """A detector converted by :func:`inference.secure_detector`, for the key holder.

    Calling it with frames (N, 3, H, W), a :class:`~inference.layout.KeyedTensor`, returns what the
    plain detector returns for the list of the N true images: for each a dict with "boxes" (D, 4), as
    (x1, y1, x2, y2) in pixels of the true frame, "labels", "scores", and "masks" or "keypoints" where
    the family has them.

    It is for inference: no gradient flows, and it stays in evaluation mode.
    """

    def __init__(self, dense: KeyedModule, holder: nn.Module, geometry: Geometry) -> None:
        super().__init__()
        self.dense, self.holder, self.geometry = dense, holder, geometry
        self.eval()

    @property
    def parts(self) -> Mapping[str, KeyedModule]:
        """The keyed networks: "dense" for whole frames; "box", "mask", "keypoint" for regions, where they exist."""
        regions = {part.name: part.network for part in self.holder.modules() if isinstance(part, RegionNetwork)}
        return {"dense": self.dense} | regions

    def forward(self, frames: KeyedTensor) -> list[dict[str, Tensor]]:
        """Detect.

        Raises InputMismatchError, before anything is computed, if ``frames`` is not a KeyedTensor of
        the detector's frame size, dtype and device.
        """
        with torch.no_grad():
            maps, shuffled = self.dense(frames)
            head = revealed(shuffled)
            features = {name: FeatureMap(value, head) for name, value in maps.items()}
            found: list[dict[str, Tensor]] = self.holder(Frames(frames.shape[0], self.geometry, features))
        return found

    def rekey(self) -> None:
        """Draw new inner layouts of all parts now."""
        for part in self.parts.values():
            part.rekey()

    def train(self, mode: bool = True) -> KeyedDetector:  # noqa: ARG002 - the signature of nn.Module
        """Stays in evaluation mode."""
        super().train(False)
        return self


@dataclass(frozen=True, slots=True)
class _Conversion:
    """How parts are converted: an example of the frames, and the arguments of ``secure``."""

    example: Tensor
    backend: str
    rekey_every: int

    def dense(self, network: nn.Module) -> KeyedModule:
        """A network that gets frames."""
        return secure(network, self.example, backend=self.backend, rekey_every=self.rekey_every)

    def branch(self, branch: Branch, channels: int) -> KeyedModule:
        """A network that gets the regions of frames."""
        pool: Any = branch.pool
        example = self.example.new_zeros(2, channels, *pool.output_size)
        network = RegionHead(branch.head, branch.predictor)
        return secure(network, example, backend=self.backend, rekey_every=self.rekey_every * branch.regions)


def secure_detector(
    model: nn.Module,
    example_input: Tensor | KeyedTensor,
    *,
    backend: str = "gather",
    rekey_every: int = REKEY_EVERY,
    device: str | torch.device | None = None,
) -> KeyedDetector:
    """Convert a pretrained detector of torchvision; its weights are used as they are.

    Args:
        model: a RetinaNet, FCOS, SSD, SSDLite, Faster, Mask or Keypoint R-CNN in evaluation mode; it
            is not changed, and the result shares nothing with it.
        example_input: a tensor (N, 3, H, W), or a KeyedTensor, of the size, dtype and device that
            frames will have; any batch size.
        backend: as for :func:`inference.secure`.
        rekey_every: frames after which inner layouts are drawn anew; networks of regions count
            regions, as many as so many frames have at most.
        device: where the detector is to run; where it is if None.

    Raises ModelError if the model is of no known family, is in training mode or cannot be exported,
    UnsupportedOperatorError if operators have no rule, InputMismatchError for an example of the wrong
    form, DeviceUnavailableError.
    """
    adapter = adapter_of(model)
    refuse_training(model)
    values, axes = example_values(example_input)
    if axes != MAP_AXES or values.dim() != 4 or values.shape[1] != 3:
        raise InputMismatchError(
            f"a detector takes frames (N, 3, H, W), not {tuple(values.shape)}", hint="give an example of that form"
        )
    if device is not None:
        model, values = copy.deepcopy(model).to(available(device)), values.to(device)
    return _converted(model, adapter, _Conversion(values, backend, rekey_every))


def _converted(model: Any, adapter: Adapter, conversion: _Conversion) -> KeyedDetector:
    height, width = conversion.example.shape[2:]
    geometry = Geometry.of(model.transform, (height, width))
    head, branches = adapter.head(model), adapter.branches(model)
    dense = conversion.dense(Dense(model, head, geometry, conversion.example))
    replaced = {model.backbone: ForwardFeatures(), head: ForwardHead()}
    replaced[model.transform] = ForwardTransform(copy.deepcopy(model.transform))
    for branch in branches:
        network = conversion.branch(branch, model.backbone.out_channels)
        replaced[branch.pool] = RegionPool(copy.deepcopy(branch.pool), BACKENDS[conversion.backend]())
        replaced[branch.head] = nn.Identity()
        replaced[branch.predictor] = RegionNetwork(branch.name, network)
    holder = copy.deepcopy(model, {id(part): other for part, other in replaced.items()})
    return KeyedDetector(dense, holder, geometry)
