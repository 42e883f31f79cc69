"""The networks of torchvision, made so that a comparison can fail: small members of every family, and all members."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial

import torch
from keyed_helpers import randomise
from torch import Tensor, nn
from torchvision import models
from torchvision.models import segmentation
from torchvision.models._utils import IntermediateLayerGetter
from torchvision.models.convnext import CNBlockConfig, ConvNeXt
from torchvision.models.densenet import DenseNet
from torchvision.models.efficientnet import EfficientNet, FusedMBConvConfig, MBConvConfig
from torchvision.models.maxvit import MaxVit
from torchvision.models.resnet import Bottleneck, ResNet
from torchvision.models.segmentation.fcn import FCN, FCNHead
from torchvision.models.swin_transformer import PatchMergingV2, SwinTransformer, SwinTransformerBlockV2
from torchvision.models.vision_transformer import VisionTransformer

Make = Callable[[], nn.Module]
CLASSES = 10

#: Named members whose float64 tests take too long or too much memory for a test of minutes.
LARGEST = frozenset(
    {
        "convnext_large",
        "efficientnet_b7",
        "efficientnet_v2_l",
        "regnet_x_32gf",
        "regnet_y_128gf",
        "regnet_y_16gf",
        "regnet_y_32gf",
        "swin_b",
        "swin_v2_b",
        "vit_h_14",
        "vit_l_16",
        "vit_l_32",
    }
)


def member(name: str, **options: object) -> nn.Module:
    """A named network without pretrained weights."""
    if name in models.list_models(module=segmentation):
        options["weights_backbone"] = None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        network: nn.Module = models.get_model(name, weights=None, num_classes=CLASSES, **options)
    return network


def swin(**options: object) -> nn.Module:
    return SwinTransformer(
        [4, 4], 12, [2, 2], [2, 4], [4, 4], stochastic_depth_prob=0.0, num_classes=CLASSES, **options
    )


def efficientnet_v2() -> nn.Module:
    settings = [
        FusedMBConvConfig(1, 3, 1, 8, 8, 1),
        FusedMBConvConfig(4, 3, 2, 8, 16, 2),
        MBConvConfig(4, 3, 2, 16, 24, 2),
    ]
    return EfficientNet(settings, 0.2, num_classes=CLASSES, last_channel=32)


def fcn() -> nn.Module:
    backbone = IntermediateLayerGetter(models.resnet18(weights=None), {"layer3": "aux", "layer4": "out"})
    return FCN(backbone, FCNHead(512, CLASSES), FCNHead(256, CLASSES))


#: For every family, a member that takes a second or two, and the size of its input.
SMALL: dict[str, tuple[Make, tuple[int, int]]] = {
    "alexnet": (partial(member, "alexnet"), (64, 72)),
    "convnext": (
        lambda: ConvNeXt([CNBlockConfig(8, 16, 1), CNBlockConfig(16, None, 2)], 0.0, num_classes=10),
        (40, 32),
    ),
    "densenet": (lambda: DenseNet(8, (2, 2, 2), 16, num_classes=CLASSES), (48, 64)),
    "efficientnet": (partial(member, "efficientnet_b0"), (64, 48)),
    "efficientnet_v2": (efficientnet_v2, (48, 64)),
    "googlenet": (partial(member, "googlenet", init_weights=False, aux_logits=False), (64, 64)),
    "inception": (partial(member, "inception_v3", init_weights=False, aux_logits=False), (80, 96)),
    "maxvit": (lambda: MaxVit((32, 32), 8, 4, [8, 16], [1, 2], 4, 0.0, num_classes=CLASSES), (32, 32)),
    "mnasnet": (partial(member, "mnasnet0_5"), (64, 64)),
    "mobilenet_v2": (partial(member, "mobilenet_v2"), (64, 48)),
    "mobilenet_v3": (partial(member, "mobilenet_v3_small"), (64, 96)),
    "regnet_x": (partial(member, "regnet_x_400mf"), (64, 64)),
    "regnet_y": (partial(member, "regnet_y_400mf"), (64, 48)),
    "resnet": (partial(member, "resnet18"), (64, 64)),
    "resnext": (lambda: ResNet(Bottleneck, [1, 1, 1, 1], CLASSES, groups=4, width_per_group=8), (64, 64)),
    "shufflenet": (partial(member, "shufflenet_v2_x0_5"), (64, 64)),
    "squeezenet": (partial(member, "squeezenet1_1"), (64, 80)),
    "swin": (swin, (36, 44)),
    "swin_v2": (lambda: swin(block=SwinTransformerBlockV2, downsample_layer=PatchMergingV2), (36, 44)),
    "vgg": (lambda: models.VGG(models.vgg.make_layers([8, "M", 16, "M", 512, "M"], True), CLASSES, False), (32, 40)),
    "vit": (lambda: VisionTransformer(32, 8, 2, 4, 32, 64, num_classes=CLASSES), (32, 32)),
    "wide_resnet": (lambda: ResNet(Bottleneck, [1, 1, 1, 1], CLASSES, width_per_group=128), (64, 64)),
    "deeplabv3": (partial(member, "deeplabv3_mobilenet_v3_large"), (64, 80)),
    "fcn": (fcn, (64, 48)),
    "lraspp": (partial(member, "lraspp_mobilenet_v3_large"), (64, 80)),
}

#: All members by name.
NAMES = sorted(set(models.list_models(module=models) + models.list_models(module=segmentation)) - LARGEST)


def size_of(name: str) -> tuple[int, int]:
    """An input size that a named member takes."""
    return (299, 299) if name == "inception_v3" else (224, 224)


def lively(network: nn.Module, x: Tensor, seed: int = 0) -> nn.Module:
    """The network in evaluation mode, with every parameter and statistic far from what would hide a mistake.

    Statistics of batch norms are those of ``x``, without which signals fade in deep networks; but where
    a norm saw only a few values that hardly differ, its variance is made larger, for else it would
    magnify the rounding of float32 by that much.
    """
    generator = torch.Generator().manual_seed(seed)

    def normal(like: Tensor) -> Tensor:
        return torch.randn(like.shape, generator=generator).to(like)

    for module in randomise(network, seed).modules():
        if isinstance(module, nn.Conv2d | nn.Linear | nn.BatchNorm2d):
            continue
        for name, value in module.named_parameters(recurse=False):
            if name == "in_proj_weight":
                value.data = normal(value) / value.shape[1] ** 0.5
            elif name == "logit_scale":
                continue
            elif "norm" in type(module).__name__.lower() and name == "weight":
                value.data = 1 + 0.2 * normal(value)
            else:
                value.data = 0.5 * normal(value)
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d)]
    for norm in norms:
        norm.train()
        norm.momentum = 1.0
    with torch.no_grad():
        network(torch.cat([x, x.flip(3)]))
        for norm in norms:
            torch.maximum(norm.running_var, 0.1 * norm.running_mean**2, out=norm.running_var)
    return network.eval()
