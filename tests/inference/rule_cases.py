"""Networks of one operator, for every rule at least one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from keyed_helpers import Apply, random_tensor, randomise
from torch import Tensor, nn
from torch._ops import OpOverload
from torch.nn import functional as F

aten = torch.ops.aten
SHAPE = (2, 6, 5, 7)


@dataclass(frozen=True)
class Case:
    """A network that uses an operator on shuffled values of ``shape``."""

    operator: OpOverload
    network: nn.Module
    shape: tuple[int, int, int, int] = SHAPE
    name: str = ""

    def __str__(self) -> str:
        return f"{self.operator}{'-' if self.name else ''}{self.name}".removeprefix("aten.")


class WithConstant(nn.Module):
    """A binary operator of the input and a parameter."""

    def __init__(self, function: Callable[[Tensor, Tensor], Tensor], *shape: int) -> None:
        super().__init__()
        self.constant = nn.Parameter(random_tensor(*shape, seed=3))
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x, self.constant)


def apply(operator: OpOverload, function: Callable[[Tensor], Tensor], name: str = "") -> Case:
    return Case(operator, Apply(function), SHAPE, name)


def layer(operator: OpOverload, module: nn.Module, name: str = "", shape: tuple[int, int, int, int] = SHAPE) -> Case:
    return Case(operator, randomise(module.double()), shape, name)


def pointwise_cases() -> list[Case]:
    functions: dict[OpOverload, Callable[[Tensor], Tensor]] = {
        aten.abs.default: torch.abs,
        aten.celu.default: lambda x: F.celu(x, 0.7),
        aten.clamp_max.default: lambda x: aten.clamp_max(x, 0.1),
        aten.erf.default: torch.erf,
        aten.log.default: lambda x: torch.log(x.abs() + 0.1),
        aten.log_sigmoid.default: F.logsigmoid,
        aten.mish.default: F.mish,
        aten.reciprocal.default: lambda x: torch.reciprocal(x.abs() + 0.5),
        aten.rsqrt.default: lambda x: torch.rsqrt(x.abs() + 0.5),
        aten.selu.default: F.selu,
        aten.square.default: torch.square,
        aten.threshold.default: lambda x: F.threshold(x, 0.2, -1.0),
        aten.to.dtype: lambda x: (x.to(torch.float32) * 2).double() + x,
        aten.clamp.default: lambda x: torch.clamp(x, -0.5, 0.5),
        aten.clamp_min.default: lambda x: aten.clamp_min(x, 0.1),
        aten.elu.default: F.elu,
        aten.exp.default: torch.exp,
        aten.gelu.default: F.gelu,
        aten.hardsigmoid.default: F.hardsigmoid,
        aten.hardswish.default: F.hardswish,
        aten.hardtanh.default: lambda x: F.hardtanh(x, -0.3, 0.4),
        aten.leaky_relu.default: F.leaky_relu,
        aten.neg.default: torch.neg,
        aten.pow.Tensor_Scalar: lambda x: x**2,
        aten.relu.default: torch.relu,
        aten.relu6.default: lambda x: aten.relu6(4 * x),
        aten.rsub.Scalar: lambda x: aten.rsub(x, 1.5),
        aten.sigmoid.default: torch.sigmoid,
        aten.silu.default: F.silu,
        aten.softplus.default: F.softplus,
        aten.sqrt.default: lambda x: torch.sqrt(torch.exp(x)),
        aten.tanh.default: torch.tanh,
        aten.add.Scalar: lambda x: aten.add.Scalar(x, 2.0),
        aten.sub.Scalar: lambda x: aten.sub.Scalar(x, 2.0),
        aten.mul.Scalar: lambda x: aten.mul.Scalar(x, 2.0),
        aten.div.Scalar: lambda x: aten.div.Scalar(x, 2.0),
        aten.sub.Tensor: lambda x: x - F.max_pool2d(x, 3, 1, 1),
        aten.mul.Tensor: lambda x: x * torch.sigmoid(F.avg_pool2d(x, 3, 1, 1)),
        aten.div.Tensor: lambda x: x / (1 + x.abs()),
        aten.maximum.default: lambda x: torch.maximum(x, -x),
        aten.minimum.default: lambda x: torch.minimum(x, F.avg_pool2d(x, 3, 1, 1)),
        aten.add.Tensor: lambda x: F.max_pool2d(x, 3, 1, 1) + x,
    }
    return [apply(operator, function) for operator, function in functions.items()] + [
        apply(aten.mul.Tensor, lambda x: x * torch.sigmoid(x.mean((2, 3), keepdim=True)), "excitation"),
        apply(aten.mul.Tensor, lambda x: torch.sigmoid(x.mean((2, 3), keepdim=True)) * x, "plain-first"),
        apply(aten.relu.default, lambda x: F.relu(x + 1, inplace=True) * 2, "in-place"),
        apply(aten.relu.default, lambda x: F.relu((x + 1)[:, 1:], inplace=True) * 2, "in-place-on-a-part"),
        Case(aten.add.Tensor, WithConstant(torch.add, 6, 1, 1), name="bias"),
        Case(aten.add.Tensor, WithConstant(torch.add, 1, 6, 5, 7), name="position-embedding"),
        Case(aten.add.Tensor, WithConstant(lambda x, c: c + x, 5, 7), name="map-of-lower-rank"),
        Case(aten.mul.Tensor, WithConstant(torch.mul, 7), name="one-row"),
        apply(aten.mul.Tensor, lambda x: x * torch.arange(7, dtype=x.dtype), "numbered-columns"),
        apply(aten.mul.Tensor, lambda x: x.mean(2, keepdim=True) * x, "column-means"),
        apply(aten.cat.default, lambda x: torch.cat([x, F.max_pool2d(x, 3, 1, 1), -x], 1)),
        apply(aten.cat.default, lambda x: torch.cat([tokens(x), tokens(x.exp()[:, :, 2:])], 1), "positions"),
        Case(
            aten.cat.default,
            WithConstant(lambda x, c: torch.cat([c.expand(len(x), -1, -1), tokens(x)], 1) * 2, 1, 1, 6),
            name="class-token",
        ),
        Case(
            aten.add.Tensor,
            WithConstant(lambda x, c: (torch.cat([tokens(x).mean(1, keepdim=True), tokens(x)], 1) + c)[:, 0], 1, 36, 6),
            name="token-embedding",
        ),
        Case(aten.cat.default, WithConstant(lambda x, c: torch.cat([c.expand(len(x), -1, -1, -1), x], 1), 1, 1, 5, 7)),
    ]


def window_cases() -> list[Case]:
    conv, maximum, average = aten.conv2d.default, aten.max_pool2d.default, aten.avg_pool2d.default
    adaptive, transposed = aten.adaptive_avg_pool2d.default, aten.conv_transpose2d.input
    return [
        layer(conv, nn.Conv2d(6, 4, 3, padding=1), "same-size"),
        layer(conv, nn.Conv2d(6, 4, 3, bias=False), "no-bias"),
        layer(conv, nn.Conv2d(6, 4, (3, 2), stride=(2, 1), padding=(2, 1), dilation=(1, 2)), "non-square"),
        layer(conv, nn.Conv2d(6, 4, 1), "pointwise"),
        layer(conv, nn.Conv2d(6, 4, 1, stride=2), "strided-pointwise"),
        layer(conv, nn.Conv2d(6, 9, 3, padding=1, groups=3), "grouped"),
        layer(conv, nn.Conv2d(6, 12, 3, padding=1, groups=6), "depthwise"),
        layer(conv, nn.Conv2d(6, 4, (5, 7)), "whole-map"),
        layer(conv, nn.Sequential(nn.Conv2d(6, 4, 3, padding=1), nn.ReLU()), "relu"),
        layer(conv, nn.Sequential(nn.Conv2d(6, 6, 3, padding=1, groups=2), nn.ReLU()), "grouped-relu"),
        layer(aten.conv2d.padding, nn.Conv2d(6, 4, (2, 4), padding="same", dilation=(2, 1)), "same"),
        layer(aten.conv2d.padding, nn.Conv2d(6, 4, 3, padding="valid"), "valid"),
        layer(conv, nn.Sequential(Apply(all_pairs), nn.Conv2d(6, 4, 1)), "pointwise-on-pairs"),
        layer(aten.conv1d.default, nn.Sequential(nn.Flatten(2), nn.Conv1d(6, 4, 1))),
        layer(transposed, nn.ConvTranspose2d(6, 4, 3, stride=2, padding=1, output_padding=1)),
        layer(transposed, nn.ConvTranspose2d(6, 8, (3, 2), (1, 3), groups=2, bias=False, dilation=(2, 1)), "grouped"),
        layer(transposed, nn.ConvTranspose2d(6, 6, 4, 2, 1, groups=6), "depthwise"),
        layer(transposed, nn.Sequential(nn.ConvTranspose2d(6, 5, 2, 2), nn.BatchNorm2d(5), nn.ReLU()), "relu"),
        layer(transposed, nn.ConvTranspose2d(6, 4, 1), "pointwise"),
        layer(maximum, nn.MaxPool2d(2)),
        layer(maximum, nn.MaxPool2d(3, 2, 1, ceil_mode=True), "ceil"),
        layer(maximum, nn.MaxPool2d((2, 3), (1, 2), (1, 1), dilation=(2, 1)), "dilated"),
        layer(maximum, nn.MaxPool2d((5, 7)), "whole-map"),
        layer(average, nn.AvgPool2d(2)),
        layer(average, nn.AvgPool2d(3, 2, 1, ceil_mode=True), "ceil"),
        layer(average, nn.AvgPool2d(3, 2, 1, ceil_mode=True, count_include_pad=False), "without-padding"),
        layer(average, nn.AvgPool2d((2, 3), 1, (1, 0), divisor_override=5), "divisor"),
        layer(adaptive, nn.AdaptiveAvgPool2d(1), "global"),
        layer(adaptive, nn.AdaptiveAvgPool2d((2, 3)), "uneven"),
        layer(adaptive, nn.AdaptiveAvgPool2d((7, 9)), "larger"),
        layer(adaptive, nn.AdaptiveAvgPool2d((5, 7)), "identity"),
    ]


def resampling_cases() -> list[Case]:
    bilinear, nearest, bicubic = (
        getattr(aten, f"upsample_{mode}2d").vec for mode in ("bilinear", "nearest", "bicubic")
    )
    smooth, sharp, exact = (
        getattr(aten, f"_upsample_{mode}").vec for mode in ("bilinear2d_aa", "bicubic2d_aa", "nearest_exact2d")
    )

    def resize(mode: str, size: tuple[int, int] | None = None, **options: object) -> Callable[[Tensor], Tensor]:
        return lambda x: F.interpolate(x, size, mode=mode, **options)

    return [
        apply(bilinear, resize("bilinear", (9, 16)), "size"),
        apply(bilinear, resize("bilinear", (9, 16), align_corners=True), "aligned"),
        apply(bilinear, resize("bilinear", scale_factor=(2.3, 1.7)), "scale"),
        apply(bilinear, resize("bilinear", scale_factor=(2.3, 1.7), recompute_scale_factor=True), "rounded-scale"),
        apply(bilinear, resize("bilinear", (3, 4)), "smaller"),
        apply(bilinear, lambda x: F.interpolate(x[:, :, :1], (4, 4), mode="bilinear"), "one-row"),
        apply(nearest, resize("nearest", (9, 16)), "size"),
        apply(nearest, resize("nearest", scale_factor=2)),
        apply(nearest, resize("nearest", scale_factor=(0.6, 1.4)), "scale"),
        apply(exact, resize("nearest-exact", (8, 3))),
        apply(bicubic, resize("bicubic", (9, 16))),
        apply(bicubic, resize("bicubic", (9, 16), align_corners=True), "aligned"),
        apply(smooth, resize("bilinear", (3, 4), antialias=True)),
        apply(sharp, resize("bicubic", (3, 4), antialias=True)),
    ]


def movement_cases() -> list[Case]:
    pad = aten.pad.default
    return [
        apply(aten.flatten.using_ints, lambda x: torch.relu(x.flatten(1))),
        apply(aten.flatten.using_ints, lambda x: torch.relu(x.flatten(2)), "positions"),
        apply(aten.reshape.default, lambda x: x.view(x.shape[0], 2, 3, 35), "view"),
        apply(aten.reshape.default, lambda x: x.view(x.shape[0], -1), "batch-size"),
        apply(aten.reshape.default, lambda x: x.reshape(-1, 6, 35)),
        apply(aten.unflatten.int, lambda x: x.unflatten(1, (2, 3))),
        apply(aten.reshape.default, mirrored, "channels-beside-samples"),
        apply(aten.repeat_interleave.self_int, lambda x: x.repeat_interleave(2, 1)),
        apply(aten.squeeze.dim, lambda x: x[:, :1].squeeze(1)),
        apply(aten.squeeze.dims, lambda x: aten.squeeze.dims(x[:, :1], [1])),
        apply(aten.unsqueeze.default, lambda x: x.unsqueeze(2)),
        apply(aten.permute.default, lambda x: x.permute(0, 2, 3, 1)),
        apply(aten.permute.default, lambda x: x.flatten(2).permute(0, 2, 1), "tokens"),
        apply(aten.permute.default, lambda x: x.permute(0, 2, 1, 3), "rows-first"),
        apply(aten.permute.default, lambda x: x.permute(0, 3, 2, 1), "columns-first"),
        apply(
            aten.permute.default, lambda x: (x.flip(2).permute(1, 0, 2, 3) * 2).permute(1, 0, 2, 3), "samples-second"
        ),
        apply(aten.transpose.int, lambda x: x.flatten(2).transpose(1, 2)),
        apply(aten.transpose.int, lambda x: x.transpose(2, 3), "map"),
        apply(aten.slice.Tensor, lambda x: x[:, :, ::2, ::2], "option-a"),
        apply(aten.slice.Tensor, lambda x: x[:, 1:4], "channels"),
        apply(aten.slice.Tensor, lambda x: x[:, :, 1:, :-2], "crop"),
        apply(aten.slice.Tensor, lambda x: x.flatten(2).transpose(1, 2)[:, 3:20], "tokens"),
        apply(aten.select.int, lambda x: x[:, 2]),
        apply(aten.select.int, lambda x: x[:, :, 2], "row"),
        apply(aten.select.int, lambda x: x[:, :, 2, 3], "position"),
        apply(aten.flip.default, lambda x: x.flip(3)),
        apply(aten.flip.default, lambda x: x.flip(1), "channels"),
        apply(aten.roll.default, lambda x: torch.roll(x, (1, -2), (2, 3))),
        apply(pad, lambda x: F.pad(x, (0, 0, 0, 0, 2, 1)), "channels"),
        apply(pad, lambda x: F.pad(x, (1, 0, 2, 1)), "zeros"),
        apply(pad, lambda x: F.pad(x, (1, 0, 2, 1), value=-1.5), "value"),
        apply(pad, lambda x: F.pad(x, (1, -1, 2, 1)), "crop"),
        apply(pad, lambda x: F.pad(x, (2, 1, 1, 2), "reflect"), "reflect"),
        apply(pad, lambda x: F.pad(x, (2, 1, 1, 2), "replicate"), "replicate"),
        layer(pad, nn.Conv2d(6, 4, 3, padding=1, padding_mode="circular"), "circular"),
        apply(pad, lambda x: F.pad(x, (0, 0, 0, 0)).relu(), "nothing"),
        apply(aten.constant_pad_nd.default, lambda x: aten.constant_pad_nd(x, [1, 1, 0, 2])),
    ]


def other_cases() -> list[Case]:
    return [
        apply(aten.linalg_vector_norm.default, lambda x: F.normalize(x, dim=1)),
        apply(aten.linalg_vector_norm.default, lambda x: torch.linalg.vector_norm(x, dim=(2, 3)), "positions"),
        apply(aten.argmax.default, lambda x: x.argmax(1)),
        apply(aten.expand.default, lambda x: x.amax(1, keepdim=True).expand(-1, 4, -1, -1) + 1),
        layer(aten.batch_norm.default, nn.BatchNorm2d(6)),
        layer(aten.batch_norm.default, nn.Sequential(nn.ReLU(), nn.BatchNorm2d(6), nn.Conv2d(6, 3, 3)), "before-conv"),
        layer(aten.layer_norm.default, nn.Sequential(Apply(patches), nn.LayerNorm(24), nn.Linear(24, 5)), "patches"),
        layer(aten.conv2d.default, nn.Sequential(Apply(patches_first), nn.Conv2d(24, 5, 2)), "patches-first"),
        apply(aten.relu.default, lambda x: in_full_precision(torch.relu(x)), "before-a-region"),
        layer(
            aten.batch_norm.default,
            nn.Sequential(Apply(lambda x: tokens(x).flatten(0, 1)), nn.BatchNorm1d(6), nn.Unflatten(0, (-1, 35))),
            "tokens-beside-samples",
        ),
        layer(aten.layer_norm.default, nn.Sequential(Apply(lambda x: x.permute(0, 2, 3, 1)), nn.LayerNorm(6))),
        layer(aten.layer_norm.default, randomised_norm(5, 7), "map"),
        layer(aten.layer_norm.default, nn.Sequential(nn.Flatten(2), nn.Linear(35, 9), randomised_norm(9)), "mixed"),
        layer(aten.group_norm.default, nn.GroupNorm(3, 6)),
        layer(aten.instance_norm.default, nn.InstanceNorm2d(6, affine=True)),
        layer(aten.instance_norm.default, nn.InstanceNorm2d(6, track_running_stats=True), "running"),
        layer(aten.prelu.default, nn.PReLU(6, 0.3)),
        layer(aten.prelu.default, nn.PReLU(), "one-slope"),
        apply(aten.softmax.int, lambda x: x.softmax(1)),
        apply(aten.softmax.int, lambda x: x.flatten(2).softmax(2), "positions"),
        apply(aten.softmax.int, lambda x: x.softmax(3) * x, "columns"),
        apply(aten.log_softmax.int, lambda x: x.log_softmax(1)),
        apply(aten.mean.dim, lambda x: x.mean((2, 3)), "positions"),
        apply(aten.mean.dim, lambda x: x.mean(1), "channels"),
        apply(aten.mean.dim, lambda x: x.mean(3, keepdim=True) * x, "columns"),
        apply(aten.mean.dim, lambda x: x.mean((1, 2, 3), keepdim=True), "everything"),
        apply(aten.sum.dim_IntList, lambda x: x.sum((-1, -2), keepdim=True)),
        apply(aten.var.dim, lambda x: x.var((2, 3), unbiased=False)),
        apply(aten.amax.default, lambda x: x.amax((2, 3))),
        apply(aten.amin.default, lambda x: x.amin(1, keepdim=True)),
        apply(aten.sym_size.int, lambda x: x.reshape(x.shape[0], 6, 35)),
        layer(aten.linear.default, nn.Sequential(nn.Flatten(), nn.Linear(210, 4))),
        layer(aten.linear.default, nn.Sequential(nn.MaxPool2d(2), nn.Flatten(), nn.ReLU(), nn.Linear(36, 4)), "pooled"),
        Case(aten.linear.default, WithConstant(lambda x, w: F.linear(x.permute(0, 2, 3, 1), w), 4, 6), name="channels"),
        Case(aten.linear.default, WithConstant(lambda x, w: F.linear(x.flatten(2), w), 4, 35), name="positions"),
    ]


def randomised_norm(*shape: int) -> nn.Module:
    norm = nn.LayerNorm(shape)
    norm.weight.data, norm.bias.data = random_tensor(*shape, seed=1), random_tensor(*shape, seed=2)
    return norm


def pixel_shuffle_network() -> nn.Module:
    return randomise(nn.Sequential(nn.PixelShuffle(2), nn.Conv2d(2, 3, 3, padding=1)).double())


def tokens(x: Tensor) -> Tensor:
    """(N, 6, 5, 7) as 35 tokens of 6."""
    return x.flatten(2).transpose(1, 2)


def all_pairs(x: Tensor) -> Tensor:
    """(N, 6, 35, 35): of all pairs of positions, the product in each channel."""
    return x.flatten(2)[:, :, :, None] @ x.flatten(2)[:, :, None]


def mirrored(x: Tensor) -> Tensor:
    """The columns of a map (N, 6, 5, 7) backwards, while channels and rows lie beside the samples."""
    return x.reshape(-1, 7).flip(1).reshape(-1, 6, 5, 7) + x


def patches(x: Tensor) -> Tensor:
    """(N, 2, 3, 24): patches of 2 x 2 of a map (N, 6, 5, 7), with their positions as channels, as Swin merges them."""
    patched = x[:, :, :4, :6].permute(0, 2, 3, 1).reshape(-1, 2, 2, 3, 2, 6)
    return patched.permute(0, 1, 3, 4, 2, 5).flatten(3)


def patches_first(x: Tensor) -> Tensor:
    """The same with channels first (N, 24, 2, 3), which lie in front of the positions of a patch."""
    return x[:, :, :4, :6].reshape(-1, 6, 2, 2, 3, 2).permute(0, 1, 3, 5, 2, 4).flatten(1, 3)


def in_full_precision(x: Tensor) -> Tensor:
    """A region without autocast, with two operators in it."""
    with torch.autocast("cpu", enabled=False):
        return F.max_pool2d(x * 2, 3, 1, 1)


def heads(x: Tensor) -> Tensor:
    """Tokens (N, 35, 6) as 3 heads (N, 3, 35, 2)."""
    return x.unflatten(2, (3, 2)).transpose(1, 2)


def window_attention(x: Tensor, bias: Tensor) -> Tensor:
    """Attention in windows of 2 x 3 of a map (N, 6, 6, 15), beside samples in the batch axis, as Swin has it."""
    samples = x.shape[0]
    x = torch.roll(x.permute(0, 2, 3, 1), (-1, 2), (1, 2)).view(samples, 3, 2, 5, 3, 6)
    x = x.permute(0, 1, 3, 2, 4, 5).reshape(samples * 15, 6, 6)
    q, k, v = (x.reshape(-1, 6, 2, 3).transpose(1, 2) * scale for scale in (1.0, -0.5, 2.0))
    scores = q @ k.transpose(-2, -1) + bias[3]
    scores = scores.view(samples, 15, 2, 6, 6) + bias.unsqueeze(1).unsqueeze(0)
    x = (scores.view(-1, 2, 6, 6).softmax(-1) @ v).transpose(1, 2).reshape(samples * 15, 6, 6)
    x = x.view(samples, 3, 5, 2, 3, 6).permute(0, 1, 3, 2, 4, 5).reshape(samples, 6, 15, 6)
    return torch.roll(x, (1, -2), (1, 2))


def grid_attention(x: Tensor, bias: Tensor) -> Tensor:
    """Attention between equal positions of windows of 3 x 5 of a map (N, 6, 6, 15), as MaxViT has it."""
    x = x.reshape(-1, 6, 2, 3, 3, 5).permute(0, 2, 4, 3, 5, 1).reshape(-1, 6, 15, 6).swapaxes(-2, -3)
    q, k, v = x.chunk(3, -1)
    scores = torch.einsum("B G I D, B G J D -> B G I J", q, k) + bias[:6, :6]
    x = torch.einsum("B G I J, B G J D -> B G I D", scores.softmax(-1), v) + q
    x = x.swapaxes(-2, -3).reshape(-1, 2, 3, 3, 5, 2).permute(0, 5, 1, 3, 2, 4)
    return x.reshape(-1, 2, 6, 15)


def multi_head(x: Tensor) -> Tensor:
    """Self-attention with the tokens in front of the samples, as nn.MultiheadAttention computes it."""
    x = tokens(x).transpose(1, 0)
    samples = x.shape[1]
    q, k, v = (
        part.reshape(35, samples * 3, 2).transpose(0, 1).view(samples, 3, 35, 2) for part in (x, x.sigmoid(), -x)
    )
    x = F.scaled_dot_product_attention(q, k, v).permute(2, 0, 1, 3).reshape(35 * samples, 6)
    return x.view(35, samples, 6).transpose(1, 0)


def cross_attention(x: Tensor) -> Tensor:
    """Attention to a smaller map."""
    few = tokens(F.avg_pool2d(x, 2))
    return F.scaled_dot_product_attention(heads(tokens(x)), heads(few), heads(few * 2))


def contraction_cases() -> list[Case]:
    attention, product, einsum = (
        aten.scaled_dot_product_attention.default,
        aten.matmul.default,
        aten.einsum.default,
    )
    windows = (2, 6, 6, 15)
    return [
        apply(product, lambda x: tokens(x) @ (tokens(x) * 2).transpose(1, 2), "both"),
        apply(product, lambda x: x.flatten(2) @ tokens(x), "contracted"),
        apply(product, lambda x: x.flatten(2) @ tokens(F.max_pool2d(x, 3, 1, 1)), "unified"),
        apply(product, lambda x: x.flatten(2) @ tokens(x.transpose(2, 3)), "relaid"),
        apply(product, lambda x: tokens(x) @ x.mean((2, 3))[:, :, None], "plain"),
        Case(product, WithConstant(lambda x, w: w @ x.flatten(2), 3, 6), name="constant"),
        Case(product, WithConstant(lambda x, w: x.flatten(2) @ w, 35, 4), name="constant-positions"),
        Case(product, WithConstant(window_attention, 15, 6, 6), windows, "windows"),
        Case(product, WithConstant(lambda x, w: w.view(5, 7, 35).flatten(0, 1) @ tokens(x), 35, 35), name="mixer"),
        apply(aten.bmm.default, lambda x: torch.bmm(x.flatten(2), tokens(x))),
        apply(einsum, lambda x: torch.einsum("ncp, ndp -> ncd", x.flatten(2), x.flatten(2).exp())),
        apply(einsum, lambda x: torch.einsum("ncp, ncr -> npr", x.flatten(2), x.flatten(2)), "both"),
        Case(einsum, WithConstant(grid_attention, 15, 15), windows, "grid"),
        apply(
            attention, lambda x: F.scaled_dot_product_attention(heads(tokens(x)), heads(tokens(x)), heads(tokens(x)))
        ),
        apply(attention, multi_head, "multi-head"),
        apply(attention, cross_attention, "cross"),
        Case(
            attention,
            WithConstant(lambda x, m: F.scaled_dot_product_attention(*[heads(tokens(x))] * 3, attn_mask=m), 35, 35),
            name="mask",
        ),
    ]


def decomposition_cases() -> list[Case]:
    return [
        apply(aten.chunk.default, lambda x: torch.cat(x.chunk(4, 1)[::-1], 1) * 2),
        apply(aten.split.Tensor, lambda x: x.split(4, 1)[1]),
        apply(aten.split.Tensor, lambda x: x.split(2, 2)[1], "rows"),
        apply(aten.split_with_sizes.default, lambda x: x.split([1, 5], 1)[1] + x.split([1, 5], 1)[0]),
        apply(aten.unbind.int, lambda x: x.unbind(1)[2] - x.unbind(1)[0]),
        apply(aten.stack.default, lambda x: torch.stack([x, -x], 2).flatten(1, 2)),
        apply(aten.channel_shuffle.default, lambda x: F.channel_shuffle(x, 3)),
        apply(aten.swapaxes.default, lambda x: x.swapaxes(2, 3)),
        Case(aten.pixel_shuffle.default, Apply(lambda x: F.pixel_shuffle(x, 2)), (2, 8, 3, 4)),
        Case(aten.pixel_shuffle.default, pixel_shuffle_network(), (2, 8, 3, 4), "before-conv"),
        apply(aten.avg_pool1d.default, lambda x: F.avg_pool1d(x.flatten(2), 3, 2, 1)),
        apply(aten.avg_pool1d.default, lambda x: F.avg_pool1d(x.flatten(2), 4), "apart"),
        apply(aten.im2col.default, lambda x: F.unfold(x, (3, 2), padding=(1, 0), stride=(2, 1))),
        apply(aten.col2im.default, lambda x: F.fold(F.unfold(x, 3, 1, 1, 2) * 2, (5, 7), 3, 1, 1, 2)),
        apply(aten.max.dim, lambda x: x.max(1).values),
        apply(aten.max.dim, lambda x: x.flatten(2).max(2, keepdim=True)[0], "positions"),
        apply(aten.max.dim, lambda x: x.max(1)[1] * 2, "index"),
        apply(aten.reshape_as.default, lambda x: tokens(x).flatten(0, 1).relu().reshape_as(tokens(x))),
        apply(aten.type_as.default, lambda x: x.float().relu().type_as(x) + x),
        apply(aten.addcmul.default, lambda x: torch.addcmul(x, x.sigmoid(), x.exp(), value=0.5)),
        Case(aten.addcmul.default, WithConstant(lambda x, c: torch.addcmul(c, c, x), 6, 1, 1), name="affine"),
        apply(aten.expand_as.default, lambda x: x.amax(1, keepdim=True).expand_as(x)),
        Case(aten.pixel_unshuffle.default, Apply(lambda x: F.pixel_unshuffle(x, 2)), (2, 3, 4, 6)),
    ]


CASES = pointwise_cases() + window_cases() + resampling_cases() + movement_cases() + other_cases()
CASES += contraction_cases() + decomposition_cases()
