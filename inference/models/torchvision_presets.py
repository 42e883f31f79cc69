"""torchvision's classifiers, segmentation networks and detectors by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F
from torchvision import models as zoo

from inference.errors import ModelError, UnknownModelError
from inference.imaging.settings import Fit
from inference.models.presets import TORCHVISION, VOC_CLASSES, Preset, Task, preset, unknown

#: Names in published weights of segmentation networks that serve their training alone.
_AUXILIARY = ("aux_classifier.",)


@dataclass(frozen=True, slots=True)
class DetectorPreset:
    """A detector.

    Attributes:
        name: what ``detector_preset`` was asked for.
        build: makes it with random weights.
        classes: name of each class, as its labels count them.
    """

    name: str
    build: Callable[[], nn.Module]
    classes: tuple[str, ...]


class LabelScores(nn.Module):
    """A segmentation network of torchvision that returns its scores (N, classes, h, w) instead of a dict.

    Parameters have the names that they have in torchvision's network.
    """

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.backbone: nn.Module = network.backbone
        self.classifier: nn.Module = network.classifier
        self._takes_levels = isinstance(network, zoo.segmentation.LRASPP)

    def forward(self, x: Tensor) -> Tensor:
        levels = self.backbone(x)
        scores = self.classifier(levels if self._takes_levels else levels["out"])
        return F.interpolate(scores, size=x.shape[-2:], mode="bilinear", align_corners=False)


def torchvision_preset(name: str) -> Preset:
    """A classifier or segmentation network, ``torchvision:NAME``; UnknownModelError if it is neither."""
    model = name.removeprefix(TORCHVISION)
    if model in zoo.list_models(module=zoo.segmentation):
        return _segmentation(name, model)
    if model in zoo.list_models(module=zoo.detection):
        raise UnknownModelError(f"{name} is a detector", hint="use keyed-infer detect, or inference.secure_detector")
    classifiers = zoo.list_models(module=zoo)
    if model not in classifiers:
        known = classifiers + zoo.list_models(module=zoo.segmentation)
        raise unknown(model, known, f"of torchvision ({len(known)} names)")
    weights: Any = next(iter(zoo.get_model_weights(model)))
    usual = weights.transforms()
    side = usual.crop_size[0]
    return Preset(
        name,
        lambda: zoo.get_model(model, weights=None),
        (side, side),
        tuple(usual.mean),
        tuple(usual.std),
        tuple(weights.meta["categories"]),
        short_side=max(usual.resize_size[0], side),
    )


def _segmentation(name: str, model: str) -> Preset:
    weights: Any = next(iter(zoo.get_model_weights(model)))
    usual = weights.transforms()
    side = usual.resize_size[0]
    return Preset(
        name,
        lambda: LabelScores(zoo.get_model(model, weights=None, weights_backbone=None)),
        (side, side),
        tuple(usual.mean),
        tuple(usual.std),
        VOC_CLASSES,
        task=Task.LABEL_MAP,
        fit=Fit.STRETCH,
        training_only=_AUXILIARY,
    )


def detector_preset(name: str) -> DetectorPreset:
    """The detector ``torchvision:NAME``, with the classes of its published weights.

    Batch norms add torchvision's default 1e-5 to variances, as when such a detector is trained anew.

    Raises:
        UnknownModelError: there is no such network.
        ModelError: the network is no detector.
    """
    known = zoo.list_models(module=zoo.detection)
    model = name.removeprefix(TORCHVISION)
    if not name.startswith(TORCHVISION) or model not in known:
        raise _no_detector(name, known)
    weights: Any = next(iter(zoo.get_model_weights(model)))
    return DetectorPreset(
        name,
        lambda: zoo.get_model(model, weights=None, weights_backbone=None),
        tuple(weights.meta["categories"]),
    )


def _no_detector(name: str, known: list[str]) -> ModelError:
    """The refusal of a name: says what the network does instead, or which detectors there are."""
    try:
        task = preset(name).task
    except UnknownModelError:
        names = ", ".join(f"{TORCHVISION}{one}" for one in known)
        return UnknownModelError(f"no detector is called {name!r:.80}", hint=f"one of: {names}")
    if task is Task.LABEL_MAP:
        return ModelError(f"{name} labels pixels, it finds no boxes", hint="use keyed-infer segment")
    return ModelError(f"{name} classifies images, it finds no boxes", hint="use keyed-infer run")
