"""What computing on shuffled inputs costs: the section ``inference`` of tools/benchmark.py."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import Tensor, nn
from torch.fx.experimental.optimization import fuse
from torchvision import models

from inference import KeyedTensor, Layout, secure
from inference.models import resnet32, vgg16
from inference.module import draw_uniform
from measure import Comparison, compare

BATCH = 64


def run(rounds: int) -> Iterator[Comparison]:
    """Every comparison of this section."""
    yield networks("ResNet-32, 32x32", resnet32(), (32, 32), BATCH, rounds)
    yield networks("VGG-16, 32x32", vgg16(), (32, 32), BATCH, max(3, rounds // 3))
    yield networks("ResNet-50, 224x224", models.resnet50(), (224, 224), 4, max(3, rounds // 3), with_reference=False)
    yield rekeying(rounds)


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
