"""ESPNetv2 for semantic segmentation.

The encoder is that of Mehta et al., "ESPNetv2: A Light-weight, Power Efficient, and General
Purpose Convolutional Neural Network" (CVPR 2019).  Its unit, EESP, reduces channels by a grouped
1x1 convolution, looks at the result through parallel depthwise convolutions of growing dilation,
adds every branch to the next (hierarchical feature fusion), and expands the joined branches by
another grouped 1x1 convolution.  Strided units average-pool their shortcut, and get the image
again, pooled to their size.  The decoder merges the encoder's maps from the smallest to the
largest: pyramid pooling, bilinear upsampling, sum.

Modules are called as in the authors' published weights, which therefore load as they are.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from math import ceil, gcd

import torch
from torch import Tensor, nn
from torch.nn import functional as F

BRANCHES = 4
PYRAMID_SCALES = (2.0, 1.5, 1.0, 0.5, 0.1)
SMALLEST_MAP = 5  # side below which no map of the pyramid is scaled
DECODER_CHANNELS = (64, 48, 32)
PYRAMID_CHANNELS = 10


@dataclass(frozen=True)
class _Stage:
    """Units of one map size: output channels, and the dilations of the strided unit and of those behind it."""

    channels: int
    entry: tuple[int, ...]
    units: tuple[tuple[int, ...], ...]


#: Level 2 to level 4 of the network of width 2.0, at 1/4, 1/8 and 1/16 of the image.
STEM_CHANNELS = 32
STAGES = (
    _Stage(128, (1, 2, 3, 4), ()),
    _Stage(256, (1, 2, 3, 4), ((1, 2, 3, 4),) * 3),
    _Stage(512, (1, 2, 3, 4), ((1, 1, 2, 3),) * 7),
)


def _named(**modules: nn.Module) -> nn.Sequential:
    return nn.Sequential(OrderedDict(modules))


def _convolution(
    inputs: int, outputs: int, kernel: int, *, stride: int = 1, groups: int = 1, dilation: int = 1
) -> nn.Conv2d:
    padding = dilation * (kernel // 2)
    return nn.Conv2d(inputs, outputs, kernel, stride, padding, dilation, groups, bias=False)


def _encoder_convolution(inputs: int, outputs: int, kernel: int, *, stride: int = 1, groups: int = 1) -> nn.Sequential:
    """Convolution, batch norm, PReLU."""
    return _named(
        conv=_convolution(inputs, outputs, kernel, stride=stride, groups=groups),
        bn=nn.BatchNorm2d(outputs),
        act=nn.PReLU(outputs),
    )


def _linear_convolution(inputs: int, outputs: int, groups: int = 1) -> nn.Sequential:
    """1x1 convolution and batch norm."""
    return _named(conv=_convolution(inputs, outputs, 1, groups=groups), bn=nn.BatchNorm2d(outputs))


def _norm_act(channels: int) -> nn.Sequential:
    return nn.Sequential(nn.BatchNorm2d(channels), nn.PReLU(channels))


def _decoder_convolution(inputs: int, outputs: int, kernel: int, groups: int = 1) -> nn.Sequential:
    """Convolution, batch norm, PReLU, under the decoder's names."""
    convolution = _convolution(inputs, outputs, kernel, groups=groups)
    return _named(cbr=nn.Sequential(convolution, *_norm_act(outputs)))


def _halve(x: Tensor) -> Tensor:
    return F.avg_pool2d(x, 3, 2, 1)


def _scale(x: Tensor, size: tuple[int, int]) -> Tensor:
    return F.interpolate(x, size, mode="bilinear", align_corners=True)


class _Eesp(nn.Module):
    """Extremely efficient spatial pyramid: reduce, dilated branches, fuse, expand."""

    def __init__(self, inputs: int, outputs: int, stride: int, dilations: tuple[int, ...]) -> None:
        super().__init__()
        reduced = outputs // BRANCHES
        self.proj_1x1 = _encoder_convolution(inputs, reduced, 1, groups=BRANCHES)
        self.spp_dw = nn.ModuleList(
            _named(conv=_convolution(reduced, reduced, 3, stride=stride, groups=reduced, dilation=dilation))
            for dilation in dilations
        )
        self.br_after_cat = _named(bn=nn.BatchNorm2d(outputs), act=nn.PReLU(outputs))
        self.conv_1x1_exp = _linear_convolution(outputs, outputs, BRANCHES)
        self.module_act = nn.PReLU(outputs)
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        reduced = self.proj_1x1(x)
        fused: list[Tensor] = []
        for branch in self.spp_dw:
            seen = branch(reduced)
            fused.append(seen + fused[-1] if fused else seen)
        expanded = self.conv_1x1_exp(self.br_after_cat(torch.cat(fused, 1)))
        if self.stride != 1:
            return expanded
        return self.module_act(expanded + x)


class _StridedEesp(nn.Module):
    """Halves the map: the average-pooled input beside an EESP unit, plus the pooled image."""

    def __init__(self, inputs: int, outputs: int, dilations: tuple[int, ...]) -> None:
        super().__init__()
        self.eesp = _Eesp(inputs, outputs - inputs, 2, dilations)
        self.inp_reinf = nn.Sequential(_encoder_convolution(3, 3, 3), _linear_convolution(3, outputs))
        self.act = nn.PReLU(outputs)

    def forward(self, x: Tensor, image: Tensor) -> Tensor:
        joined = torch.cat([_halve(x), self.eesp(x)], 1)
        return self.act(joined + self.inp_reinf(image))


class _Encoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.level1 = _encoder_convolution(3, STEM_CHANNELS, 3, stride=2)
        self.level2_0, _ = self._stage(STEM_CHANNELS, STAGES[0])
        self.level3_0, self.level3 = self._stage(STAGES[0].channels, STAGES[1])
        self.level4_0, self.level4 = self._stage(STAGES[1].channels, STAGES[2])

    @staticmethod
    def _stage(inputs: int, stage: _Stage) -> tuple[nn.Module, nn.Sequential]:
        units = [_Eesp(stage.channels, stage.channels, 1, dilations) for dilations in stage.units]
        return _StridedEesp(inputs, stage.channels, stage.entry), nn.Sequential(*units)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Maps at 1/2, 1/4, 1/8 and 1/16 of the image."""
        quarter = _halve(_halve(image))
        eighth = _halve(quarter)
        level1 = self.level1(image)
        level2 = self.level2_0(level1, quarter)
        level3 = self.level3(self.level3_0(level2, eighth))
        return level1, level2, level3, self.level4(self.level4_0(level3, _halve(eighth)))


class _Interleave(nn.Module):
    """Channels of ``parts`` equal parts, one of each in turn."""

    def __init__(self, parts: int) -> None:
        super().__init__()
        self.parts = parts

    def forward(self, x: Tensor) -> Tensor:
        return x.unflatten(1, (self.parts, -1)).transpose(1, 2).flatten(1, 2)


class _PyramidPool(nn.Module):
    """Depthwise convolutions at several scales of the map, joined and mixed."""

    def __init__(self, inputs: int, outputs: int, *, last: bool = False) -> None:
        super().__init__()
        joined = PYRAMID_CHANNELS * len(PYRAMID_SCALES)
        self.projection_layer = _decoder_convolution(inputs, PYRAMID_CHANNELS, 1)
        self.stages = nn.ModuleList(
            _convolution(PYRAMID_CHANNELS, PYRAMID_CHANNELS, 3, groups=PYRAMID_CHANNELS) for _ in PYRAMID_SCALES
        )
        self.merge_layer = nn.Sequential(
            _named(br=_norm_act(joined)),
            _Interleave(len(PYRAMID_SCALES)),
            _decoder_convolution(joined, PYRAMID_CHANNELS, 3, groups=PYRAMID_CHANNELS),
            nn.Conv2d(PYRAMID_CHANNELS, outputs, 1, bias=last),
        )
        self.br = nn.Identity() if last else _named(br=_norm_act(outputs))

    def forward(self, x: Tensor) -> Tensor:
        x = self.projection_layer(x)
        seen = [self._at_scale(x, stage, scale) for stage, scale in zip(self.stages, PYRAMID_SCALES, strict=True)]
        return self.br(self.merge_layer(torch.cat(seen, 1)))

    @staticmethod
    def _at_scale(x: Tensor, stage: nn.Module, scale: float) -> Tensor:
        size = (x.shape[2], x.shape[3])
        scaled = (max(ceil(size[0] * scale), SMALLEST_MAP), max(ceil(size[1] * scale), SMALLEST_MAP))
        if scale < 1:
            return _scale(stage(F.adaptive_avg_pool2d(x, scaled)), size)
        if scale > 1:
            return F.adaptive_avg_pool2d(stage(_scale(x, scaled)), size)
        return stage(x)


class _GatedProjection(nn.Module):
    """An encoder map in the decoder's channels, each weighted by what the whole map shows."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.wt_layer = nn.Sequential(nn.AdaptiveAvgPool2d(1), _convolution(inputs, outputs, 1), nn.Sigmoid())
        self.expansion_layer = _decoder_convolution(inputs, outputs, 3, gcd(inputs, outputs))

    def forward(self, x: Tensor) -> Tensor:
        return self.expansion_layer(x) * self.wt_layer(x)


class EspNetV2(nn.Module):
    """Segmentation network: images (N, 3, H, W) to scores (N, classes, H, W)."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        level2, level3, level4 = (stage.channels for stage in STAGES)
        first, second, third = DECODER_CHANNELS
        self.base_net = _Encoder()
        self.bu_dec_l1 = _PyramidPool(level4, first)
        self.bu_dec_l2 = _PyramidPool(first, second)
        self.bu_dec_l3 = _PyramidPool(second, third)
        self.bu_dec_l4 = _PyramidPool(third, num_classes, last=True)
        self.merge_enc_dec_l2 = _GatedProjection(level3, first)
        self.merge_enc_dec_l3 = _GatedProjection(level2, second)
        self.merge_enc_dec_l4 = _GatedProjection(STEM_CHANNELS, third)
        self.bu_br_l2, self.bu_br_l3, self.bu_br_l4 = (_norm_act(channels) for channels in DECODER_CHANNELS)

    def forward(self, x: Tensor) -> Tensor:
        level1, level2, level3, level4 = self.base_net(x)
        y = _sum(self.bu_dec_l1(level4), self.merge_enc_dec_l2(level3))
        y = _sum(self.bu_dec_l2(self.bu_br_l2(y)), self.merge_enc_dec_l3(level2))
        y = _sum(self.bu_dec_l3(self.bu_br_l3(y)), self.merge_enc_dec_l4(level1))
        return _scale(self.bu_dec_l4(self.bu_br_l4(y)), (x.shape[2], x.shape[3]))


def _sum(small: Tensor, large: Tensor) -> Tensor:
    """The decoder's map, doubled, and the encoder's."""
    return large + _scale(small, (large.shape[2], large.shape[3]))


def espnetv2(num_classes: int = 21) -> EspNetV2:
    """ESPNetv2 of width 2.0: 0.79 M parameters for 21 classes."""
    return EspNetV2(num_classes)
