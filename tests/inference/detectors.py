"""torchvision's detectors, small and named, with weights under which they find things."""

from __future__ import annotations

from collections.abc import Callable

import torch
import zoo
from keyed_helpers import pictures
from torch import Tensor, nn
from torchvision.models import detection
from torchvision.models.detection import FCOS, FasterRCNN, KeypointRCNN, MaskRCNN, RetinaNet
from torchvision.models.detection.anchor_utils import AnchorGenerator, DefaultBoxGenerator
from torchvision.models.detection.backbone_utils import BackboneWithFPN
from torchvision.models.detection.faster_rcnn import TwoMLPHead
from torchvision.models.detection.keypoint_rcnn import KeypointRCNNHeads
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads
from torchvision.models.detection.ssd import SSD
from torchvision.models.detection.ssdlite import SSDLiteHead
from torchvision.models.resnet import BasicBlock, ResNet
from torchvision.ops import MultiScaleRoIAlign
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool

#: Of the frames that the small detectors get, (height, width); they are resized to 45 x 64 and padded to 64 x 64.
FRAME = (60, 84)
CHANNELS, CLASSES, WIDTH = 32, 4, 64
SIZES = {"min_size": 48, "max_size": 64}
FEW = {"rpn_post_nms_top_n_test": 100, "box_detections_per_img": 5, **SIZES}
RATIOS = (0.5, 1.0, 2.0)


def pyramid() -> nn.Module:
    """Four levels of 32 channels, of 16 x 16 down to 2 x 2 positions."""
    layers = {"layer1": "0", "layer2": "1", "layer3": "2"}
    return BackboneWithFPN(ResNet(BasicBlock, [1, 1, 1, 1]), layers, [64, 128, 256], CHANNELS, LastLevelMaxPool())


class Stages(nn.Module):
    """Two levels with channels of their own, for SSD."""

    def __init__(self) -> None:
        super().__init__()
        self.out_channels = [16, 24]
        self.first = nn.Sequential(nn.Conv2d(3, 16, 3, 4, 1), nn.BatchNorm2d(16), nn.ReLU())
        self.second = nn.Sequential(nn.Conv2d(16, 24, 3, 2, 1), nn.BatchNorm2d(24), nn.ReLU())

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        first = self.first(x)
        return {"first": first, "second": self.second(first)}


def anchors(ratios: tuple[float, ...] = RATIOS) -> AnchorGenerator:
    return AnchorGenerator(((6,), (12,), (24,), (48,)), (ratios,) * 4)


def ssd(**options: object) -> nn.Module:
    return SSD(Stages(), DefaultBoxGenerator([[2], [2]]), (48, 56), CLASSES, detections_per_img=20, **options)


def ssdlite() -> nn.Module:
    return ssd(head=SSDLiteHead([16, 24], [4, 4], CLASSES, nn.BatchNorm2d))


def rcnn(family: Callable[..., nn.Module] = FasterRCNN, **options: object) -> nn.Module:
    """Proposals are few, and so is what is found."""
    box = TwoMLPHead(CHANNELS * 9, WIDTH)
    return family(
        pyramid(),
        rpn_anchor_generator=anchors(),
        box_roi_pool=MultiScaleRoIAlign(["0", "1", "2"], 3, 2, canonical_scale=32),
        box_head=box,
        box_predictor=detection.faster_rcnn.FastRCNNPredictor(WIDTH, CLASSES),
        rpn_post_nms_top_n_test=40,
        box_detections_per_img=8,
        **SIZES,
        **options,
    )


def mask_rcnn(**options: object) -> nn.Module:
    return rcnn(
        MaskRCNN,
        mask_roi_pool=MultiScaleRoIAlign(["0", "1", "2"], 6, 0, canonical_scale=32),
        mask_head=MaskRCNNHeads(CHANNELS, (16,), 1),
        mask_predictor=detection.mask_rcnn.MaskRCNNPredictor(16, 16, CLASSES),
        **options,
    )


def keypoint_rcnn() -> nn.Module:
    return rcnn(
        KeypointRCNN,
        keypoint_roi_pool=MultiScaleRoIAlign(["0", "1", "2"], 6, 2, canonical_scale=32),
        keypoint_head=KeypointRCNNHeads(CHANNELS, (16,)),
        keypoint_predictor=detection.keypoint_rcnn.KeypointRCNNPredictor(16, 5),
    )


def retinanet() -> nn.Module:
    return RetinaNet(pyramid(), CLASSES, anchor_generator=anchors(), detections_per_img=20, **SIZES)


def fcos() -> nn.Module:
    return FCOS(pyramid(), CLASSES, anchor_generator=anchors((1.0,)), detections_per_img=20, **SIZES)


SMALL: dict[str, Callable[[], nn.Module]] = {
    "retinanet": retinanet,
    "fcos": fcos,
    "ssd": ssd,
    "ssdlite": ssdlite,
    "faster_rcnn": rcnn,
    "mask_rcnn": mask_rcnn,
    "keypoint_rcnn": keypoint_rcnn,
}

#: torchvision's builders, and options that keep a test short.
NAMED: dict[str, dict[str, int]] = {
    "retinanet_resnet50_fpn": SIZES,
    "retinanet_resnet50_fpn_v2": SIZES,
    "fcos_resnet50_fpn": SIZES,
    "ssd300_vgg16": {},
    "ssdlite320_mobilenet_v3_large": {},
    "fasterrcnn_mobilenet_v3_large_fpn": SIZES,
    "fasterrcnn_mobilenet_v3_large_320_fpn": SIZES,
    "fasterrcnn_resnet50_fpn": SIZES,
    "fasterrcnn_resnet50_fpn_v2": FEW,
    "maskrcnn_resnet50_fpn": FEW,
    "maskrcnn_resnet50_fpn_v2": FEW,
    "keypointrcnn_resnet50_fpn": FEW,
}


def frames(samples: int = 2, size: tuple[int, int] = FRAME) -> Tensor:
    """Structured frames (N, 3, H, W) in [0, 1], float64, no part of which is flat."""
    noise = torch.rand(samples, 3, *size, dtype=torch.float64, generator=torch.Generator().manual_seed(5))
    return (pictures(samples, size, torch.float64).sigmoid() + 0.3 * noise) / 1.3


def small(family: str) -> nn.Module:
    """A small detector of a family, in float64 and evaluation mode."""
    torch.manual_seed(0)
    return zoo.lively(SMALL[family]().double(), frames())


def named(name: str) -> nn.Module:
    """A detector of torchvision without pretrained weights, in float64 and evaluation mode."""
    classes = {} if "keypoint" in name else {"num_classes": CLASSES}
    torch.manual_seed(0)
    network = detection.__dict__[name](weights=None, weights_backbone=None, **classes, **NAMED[name])
    return zoo.lively(network.double(), frames())
