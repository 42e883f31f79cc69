"""What computing on shuffled inputs costs: the section ``inference`` of tools/benchmark.py."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import Tensor, nn
from torch.fx.experimental.optimization import fuse
from torchvision import models

from adc_firmware import PrivateFrame
from bench_video import private_frame
from inference import IspSettings, KeyedTensor, Layout, Session, isp, secure
from inference.imaging import Demosaic
from inference.models import resnet32, vgg16
from inference.module import draw_uniform
from measure import Comparison, compare

BATCH = 64


class Segmenter(nn.Module):
    """A segmentation network of torchvision that returns its map alone."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        """(N, classes, h, w)."""
        found: Tensor = self.network(x)["out"]
        return found


#: Networks at 224x224 and batch sizes, measured with the gather backend alone.
LARGE: dict[str, tuple[Callable[[], nn.Module], int]] = {
    "ResNet-50": (models.resnet50, 1),
    "ResNet-50, many": (models.resnet50, 16),
    "MobileNetV3-large": (models.mobilenet_v3_large, 16),
    "EfficientNet-B0": (models.efficientnet_b0, 16),
    "FCN-ResNet50": (lambda: Segmenter(models.segmentation.fcn_resnet50(weights_backbone=None)), 1),
    "ViT-B/16": (models.vit_b_16, 1),
}


def run(rounds: int) -> Iterator[Comparison]:
    """Every comparison of this section."""
    few = max(5, rounds // 2)
    yield networks("VGG-16, 32x32", vgg16(), (32, 32), BATCH, few)
    yield networks("ResNet-32, 32x32", resnet32(), (32, 32), BATCH, few)
    for title, (make, batch) in LARGE.items():
        name = f"{title.partition(',')[0]}, 224x224"
        yield networks(name, make(), (224, 224), batch, few, with_reference=False)
    yield rekeying(rounds)
    yield first_tables(rounds)


def networks(
    title: str, network: nn.Module, size: tuple[int, int], batch: int, rounds: int, *, with_reference: bool = True
) -> Comparison:
    """A network in eager mode with its batch norms folded, channels last; and keyed, every sample under its own key.

    The keyed networks draw new inner layouts for every batch.
    """
    network = network.eval()
    x = torch.randn(batch, 3, *size)
    shuffled = shuffle(x)
    things: dict[str, Callable[[], object]] = {"plain": plain(network, x)}
    for backend in ("gather", "reference") if with_reference else ("gather",):
        keyed = secure(network, x, backend=backend, rekey_every=1)
        things[f"keyed, {backend}"] = partial(keyed, shuffled)
    threads = f"{torch.get_num_threads()} thread{'s' * (torch.get_num_threads() > 1)}"
    return compare(f"{title}, batch {batch}, {threads}", things, rounds=rounds)


def rekeying(rounds: int) -> Comparison:
    """Drawing all inner layouts of a network and making its tables, beside one plain image."""
    network, x = models.resnet50().eval(), torch.randn(1, 3, 224, 224)
    keyed = secure(network, x)
    keyed(shuffle(x))
    things: dict[str, Callable[[], object]] = {"plain, one image": plain(network, x), "rekey": keyed.rekey}
    return compare("rekeying, ResNet-50, 224x224", things, rounds=rounds)


def first_tables(rounds: int) -> Comparison:
    """From a private frame in memory to the input of a network with its tables: key, mask, ISP, first table."""
    network = secure(models.resnet18().eval(), torch.zeros(1, 3, 224, 224))
    things: dict[str, Callable[[], object]] = {}
    for width, height in ((448, 448), (4000, 3000)):
        frame, session = private_frame(width, height)
        settings = IspSettings(size=(224, 224), demosaic=Demosaic.QUAD)

        def first(frame: PrivateFrame = frame, session: Session = session, settings: IspSettings = settings) -> object:
            return network.prepare(isp(frame, session, settings))

        things[f"{width}x{height} to 224x224, quad demosaic"] = first
    return compare("from frame key to first table, ISP included", things, rounds=rounds)


def plain(network: nn.Module, x: Tensor) -> Callable[[], Tensor]:
    """The network as one would run it otherwise."""
    folded = fuse(network).to(memory_format=torch.channels_last)
    images = x.contiguous(memory_format=torch.channels_last)

    @torch.inference_mode()
    def forward() -> Tensor:
        result: Tensor = folded(images)
        return result

    return forward


def shuffle(x: Tensor) -> KeyedTensor:
    """Maps (N, C, H, W) with a uniform layout for every sample."""
    positions = x.shape[2] * x.shape[3]
    table = torch.stack([draw_uniform(positions) for _ in range(len(x))])
    return KeyedTensor.from_plain(x, Layout(table, (2, 3), (x.shape[2], x.shape[3])))
