"""One adapter a family of detectors: which of its parts run keyed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import nn
from torchvision.models.detection import FCOS, FasterRCNN, RetinaNet
from torchvision.models.detection.ssd import SSD
from torchvision.models.detection.transform import GeneralizedRCNNTransform
from torchvision.ops import MultiScaleRoIAlign

from inference.errors import ModelError


@dataclass(frozen=True, slots=True)
class Branch:
    """What a detector does with regions of its feature maps.

    Attributes:
        name: "box", "mask" or "keypoint".
        pool: the MultiScaleRoIAlign.
        head, predictor: networks, one after the other.
        regions: of one frame, at most.
    """

    name: str
    pool: nn.Module
    head: nn.Module
    predictor: nn.Module
    regions: int


@dataclass(frozen=True, slots=True)
class Adapter:
    """How detectors of one class come apart.

    Attributes:
        name: of the family.
        model: its class; subclasses belong to it.
        head: finds the convolutional head, which gets the list of all feature maps.
        branches: finds what is done with regions.
    """

    name: str
    model: type[nn.Module]
    head: Callable[[Any], nn.Module]
    branches: Callable[[Any], tuple[Branch, ...]]


def _dense_head(model: Any) -> nn.Module:
    return model.head


def _proposal_head(model: Any) -> nn.Module:
    return model.rpn.head


def _no_branches(model: Any) -> tuple[Branch, ...]:  # noqa: ARG001 - one for every family
    return ()


def _region_branches(model: Any) -> tuple[Branch, ...]:
    heads = model.roi_heads
    found = [_branch(heads, "box", model.rpn.post_nms_top_n())]
    for name, present in (("mask", heads.has_mask()), ("keypoint", heads.has_keypoint())):
        if present:
            found.append(_branch(heads, name, heads.detections_per_img))
    return tuple(found)


def _branch(heads: nn.Module, name: str, regions: int) -> Branch:
    pool, head, predictor = (getattr(heads, f"{name}_{part}") for part in ("roi_pool", "head", "predictor"))
    if type(pool) is not MultiScaleRoIAlign:
        raise ModelError(
            f"regions are pooled by {type(pool).__name__}", hint="give the detector torchvision.ops.MultiScaleRoIAlign"
        )
    return Branch(name, pool, head, predictor, regions)


RetinaNetAdapter = Adapter("RetinaNet", RetinaNet, _dense_head, _no_branches)
FCOSAdapter = Adapter("FCOS", FCOS, _dense_head, _no_branches)
SSDAdapter = Adapter("SSD", SSD, _dense_head, _no_branches)  # SSDLite is an SSD with another backbone and head
RCNNAdapter = Adapter("Faster, Mask and Keypoint R-CNN", FasterRCNN, _proposal_head, _region_branches)
ADAPTERS = (RetinaNetAdapter, FCOSAdapter, SSDAdapter, RCNNAdapter)


def adapter_of(model: nn.Module) -> Adapter:
    """The adapter of a detector's family.  Raises ModelError if there is none."""
    found = next((adapter for adapter in ADAPTERS if isinstance(model, adapter.model)), None)
    if found is None:
        families = ", ".join(adapter.name for adapter in ADAPTERS)
        raise ModelError(
            f"a {type(model).__name__} is no detector of a known family",
            hint=f"the families are torchvision's {families}; other networks are for inference.secure()",
        )
    if type(getattr(model, "transform", None)) is not GeneralizedRCNNTransform:
        raise ModelError(
            f"the detector prepares images with {type(getattr(model, 'transform', None)).__name__}",
            hint="give it torchvision's GeneralizedRCNNTransform",
        )
    return found
