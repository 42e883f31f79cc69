"""Architectures of timm, at least one of every family, each tried at a small input size."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
import zoo
from keyed_helpers import pictures, shuffle
from test_zoo import CONTROL, EXACT, ROUNDED, errors, substituted
from torch import nn

from inference.convert import secure
from inference.errors import UnsupportedOperatorError

CLASSES = 10


@dataclass(frozen=True)
class Trial:
    """Size of the input, and what the architecture has to be told of it."""

    size: tuple[int, int]
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """What became of a trial.

    Attributes:
        error: largest error, relative to the output's scale.
        control: the same under a substituted permutation.
        tolerance: what the error may be, at most.
        refused: operators that cannot be converted, with the reasons.
    """

    error: float = 0.0
    control: float = 0.0
    tolerance: float = EXACT
    refused: tuple[str, ...] = ()

    @property
    def equal(self) -> bool:
        """Whether the keyed network gives the plain result, and hangs on the keys."""
        return not self.refused and self.error <= self.tolerance and self.control >= CONTROL * self.tolerance


def free(*names: str, size: tuple[int, int] = (64, 64)) -> dict[str, Trial]:
    """Networks that take any size."""
    return {name: Trial(size) for name in names}


def fixed(*names: str, size: tuple[int, int] = (64, 64)) -> dict[str, Trial]:
    """Networks that are made for one size."""
    return {name: Trial(size, {"img_size": size}) for name in names}


RESIDUAL = free(
    "resnet18", "resnet10t", "resnet18d", "resnet26t", "resnet32ts", "resnet33ts", "resnet50_gn", "resnetblur18",
    "resnext26ts", "resnext50_32x4d", "seresnet33ts", "seresnext26t_32x4d", "ecaresnet26t", "ecaresnext26t_32x4d",
    "gcresnet33ts", "gcresnext26ts", "wide_resnet50_2", "legacy_seresnet18", "skresnet18", "skresnext50_32x4d",
    "resnest14d", "res2net50_26w_4s", "res2next50", "resnetv2_18", "resnetv2_50d_frn", "resnetv2_50d_evos",
    "resnetv2_50x1_bit", "rexnet_100", "rexnetr_100", "tresnet_m", "resnetrs50",
    size=(64, 80),
)  # fmt: skip
REGULAR = free(
    "regnetx_002", "regnety_002", "regnetv_040", "regnetz_005", "regnetz_b16", "gernet_s", "repvgg_a0", "mobileone_s0",
    "vgg11_bn", "resnetaa50d", "seresnextaa101d_32x8d", "nf_resnet26", "nf_regnet_b0", "nf_ecaresnet26", "eca_nfnet_l0",
    "dm_nfnet_f0",
)  # fmt: skip
DENSE = free(
    "densenet121", "densenetblur121d", "dla34", "dla46x_c", "dla60_res2net", "dpn48b", "dpn68", "hrnet_w18_small",
    "hrnet_w18_ssld", "cspresnet50", "cspresnext50", "cspdarknet53", "darknet17", "darknetaa53", "cs3darknet_focus_s",
    "cs3darknet_s", "cspnext_tiny", "ese_vovnet19b_slim", "ese_vovnet19b_slim_dw", "vovnet39a", "selecsls42b",
    "hgnet_tiny", "hgnetv2_b0", "rdnet_tiny",
)  # fmt: skip
INCEPTION = free(
    "inception_v3", "inception_v4", "inception_resnet_v2", "legacy_xception", "xception41", "xception41p",
    "nasnetalarge", "pnasnet5large",
    size=(96, 96),
)  # fmt: skip
MOBILE = free(
    "efficientnet_b0", "efficientnet_lite0", "efficientnet_es", "efficientnet_blur_b0", "efficientnet_b0_g16_evos",
    "efficientnet_cc_b0_4e", "efficientnetv2_rw_t", "tf_efficientnet_b0", "tf_efficientnet_lite0",
    "tf_efficientnetv2_b0", "tf_mobilenetv3_small_075", "tf_mixnet_s", "mixnet_s", "mobilenetv1_100", "mobilenetv2_050",
    "mobilenetv3_small_050", "mobilenetv3_large_100", "mobilenetv4_conv_small_035", "mobilenetv4_conv_aa_medium",
    "mobilenetv4_conv_blur_medium", "mobilenetv4_hybrid_medium", "mobilenet_edgetpu_v2_xs", "mobilenetv5_base",
    "mnasnet_small", "semnasnet_075", "fbnetc_100", "fbnetv3_b", "spnasnet_100", "hardcorenas_a", "lcnet_035",
    "lcnetv2_small", "tinynet_e", "ghostnet_050", "ghostnetv2_100", "ghostnetv3_050", "repghostnet_050",
)  # fmt: skip
MODERN = free(
    "convnext_atto", "convnext_atto_rms", "convnextv2_atto", "convmixer_768_32", "edgenext_xx_small", "fastvit_t8",
    "fastvit_sa12", "poolformer_s12", "poolformerv2_s12", "convformer_s18", "caformer_s18", "focalnet_tiny_srf",
    "inception_next_atto", "fasternet_t0", "starnet_s050", "mambaout_femto", "repvit_m0_9", "efficientvit_b0",
    "efficientvit_l1", "mobilevit_xxs", "mobilevitv2_050", "nextvit_small", "shvit_s1", "iformer_t", "pvt_v2_b0",
    "davit_tiny", "hieradet_small", "lowformer_b0", "cpubone_nano", "swiftformer_xs", "efficientvim_m1", "csatv2",
    "tiny_vit_5m_224",
)  # fmt: skip
ATTENTION = fixed(
    "vit_tiny_patch16_224", "deit_tiny_patch16_224", "deit_tiny_distilled_patch16_224", "deit3_small_patch16_224",
    "vit_tiny_r_s16_p8_224", "vit_relpos_small_patch16_224", "vit_srelpos_small_patch16_224", "beit_base_patch16_224",
    "cait_xxs24_224", "coat_tiny", "coat_lite_tiny", "convit_tiny", "efficientformerv2_s0", "gcvit_xxtiny",
    "hiera_tiny_224", "levit_128s", "levit_conv_128s", "maxvit_nano_rw_256", "coatnet_nano_rw_224", "mixer_s32_224",
    "gmixer_12_224", "gmlp_ti16_224", "resmlp_12_224", "mvitv2_tiny", "nest_tiny", "pit_ti_224", "samvit_base_patch16",
    "sequencer2d_s", "swin_tiny_patch4_window7_224", "swinv2_tiny_window8_256", "swinv2_cr_tiny_ns_224",
    "tnt_s_patch16_224", "twins_pcpvt_small", "twins_svt_small", "visformer_tiny", "vitamin_small_224", "volo_d1_224",
    "xcit_nano_12_p16_224", "botnet26t_256", "lambda_resnet26t", "efficientvit_m0",
) | fixed("eva02_tiny_patch14_224", size=(56, 56)) | free("crossvit_9_240", size=(240, 240))  # fmt: skip
LARGE = free("efficientformer_l1", size=(224, 224)) | free("bat_resnext26ts", "halonet26t", size=(256, 256))

#: Everything that is tried, by name.
ARCHITECTURES = dict(sorted((RESIDUAL | REGULAR | DENSE | INCEPTION | MOBILE | MODERN | ATTENTION | LARGE).items()))

#: Networks that compute a part of themselves in float32 whatever the input is: they are compared in float32.
SINGLE = frozenset({"efficientvit_b0", "efficientvit_l1", "resnetv2_50d_frn"})


def make(name: str) -> nn.Module:
    """An architecture without pretrained weights."""
    import timm  # noqa: PLC0415 - it may be missing

    network: nn.Module = timm.create_model(name, pretrained=False, num_classes=CLASSES, **ARCHITECTURES[name].options)
    return network


def attempt(name: str) -> Outcome:
    """Convert an architecture with randomised weights and statistics, and compare it with the plain one."""
    torch.manual_seed(0)
    dtype, tolerance = (torch.float32, ROUNDED) if name in SINGLE else (torch.float64, EXACT)
    x = pictures(2, ARCHITECTURES[name].size, dtype)
    plain = zoo.lively(make(name).to(dtype), x)
    try:
        network = secure(plain, x)
    except UnsupportedOperatorError as refusal:
        return Outcome(refused=tuple(dict.fromkeys(operator.operator for operator in refusal.operators)))
    with torch.no_grad():
        expected = plain(x)
    error, control = (errors(network(images), expected) for images in (shuffle(x), substituted(shuffle(x))))
    return Outcome(max(error), min(control), tolerance)
