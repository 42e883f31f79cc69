"""Training of a classifier of 32 x 32 images, an epoch at a time, so that it can be stopped and resumed."""

from __future__ import annotations

import io
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from tqdm import tqdm

from accuracy import Accuracy
from checkpoints import CHECKPOINT, PARTS, load_checkpoint, not_a_checkpoint
from cifar10 import SIDE
from inference.models import CIFAR10_MEAN, CIFAR10_STD, MODELS
from inference.weights import load_weights
from keyvault.errors import InputError
from keyvault.files import write_whole
from normalised import normalised
from peers.networks import NETWORKS, SIDES, ScrambledClassifier
from peers.registry import PEERS, Protect
from recipe import PLAIN, PRECISIONS, Recipe

#: Every network that can be trained: the package's own and the peers'.
TRAINABLE = {**MODELS, **NETWORKS}

_OF_NETWORK = 50_000  # from the seed of an epoch's order to that of its network, which draws on every device


@dataclass(frozen=True)
class Split:
    """Normalised images are made from these: (N, 3, 32, 32) uint8 and (N,) int64."""

    images: Tensor
    labels: Tensor

    def to(self, device: torch.device) -> Split:
        """The same images on another device."""
        return Split(self.images.to(device), self.labels.to(device))


def normalise(images: Tensor) -> Tensor:
    """uint8 (N, 3, H, W) to the network's input."""
    return normalised(images, CIFAR10_MEAN, CIFAR10_STD).contiguous(memory_format=torch.channels_last)


def protection(recipe: Recipe) -> Protect | None:
    """What the recipe does to (n, 32, 32, 3) uint8 images before a network sees them."""
    if recipe.transform == PLAIN:
        return None
    peer = PEERS[recipe.transform]
    transform = peer.protection(recipe.seed).transform
    return lambda images: transform(peer.scale(images))


def input_side(model: str, transform: str) -> int:
    """Height and width of what a network sees of an image; InputError if the network takes another size."""
    side = SIDE if transform == PLAIN else PEERS[transform].side
    if side != SIDES.get(model, SIDE):
        raise InputError(
            f"{model} takes {SIDES.get(model, SIDE)} pixels a side, {transform} gives {side}",
            hint="choose a network and a transform of one size",
        )
    return side


def protect(images: Tensor, transform: Protect) -> Tensor:
    """Protected (N, 3, 32, 32) uint8 images as (N, 3, side, side), on the device they came from."""
    pixels = images.permute(0, 2, 3, 1).contiguous().cpu().numpy()
    return torch.from_numpy(transform(pixels)).permute(0, 3, 1, 2).contiguous().to(images.device)


def to_bytes(images: Tensor) -> Tensor:
    """The uint8 images that ``normalise`` would turn into these."""
    mean = torch.tensor(CIFAR10_MEAN, device=images.device).view(1, 3, 1, 1)
    std = torch.tensor(CIFAR10_STD, device=images.device).view(1, 3, 1, 1)
    return ((images * std + mean) * 255).round().clamp(0, 255).to(torch.uint8)


def augment(images: Tensor, recipe: Recipe, generator: torch.Generator) -> Tensor:
    """Random crop, flip and cutout of normalised (N, 3, H, W) images, each image its own.

    Private images are cut out of only: whoever has no key cannot move or mirror what is in them.
    """
    n, _, height, width = images.shape
    pad, device = recipe.crop_padding, images.device

    def draw(high: int) -> Tensor:
        return torch.randint(0, high, (n, 1), generator=generator).to(device)

    if recipe.private != PLAIN:
        return _cutout(images, recipe.cutout, draw(height), draw(width))
    rows = torch.arange(height, device=device) + draw(2 * pad + 1)
    columns = torch.arange(width, device=device) + draw(2 * pad + 1)
    columns = torch.where(draw(2) == 1, columns.flip(1), columns)
    padded = F.pad(images, (pad, pad, pad, pad)).permute(0, 2, 3, 1)
    cropped = padded[torch.arange(n, device=device)[:, None, None], rows[:, :, None], columns[:, None, :]]
    return _cutout(cropped.permute(0, 3, 1, 2), recipe.cutout, draw(height), draw(width))


def _cutout(images: Tensor, side: int, centre_row: Tensor, centre_column: Tensor) -> Tensor:
    """A square of ``side`` pixels around each centre (N, 1) set to the mean (DeVries and Taylor, 2017)."""

    def covered(length: int, centre: Tensor) -> Tensor:
        distance = torch.arange(length, device=images.device) - centre + side // 2
        return distance.ge(0) & distance.lt(side)

    rows, columns = covered(images.shape[2], centre_row), covered(images.shape[3], centre_column)
    return images.masked_fill((rows[:, :, None] & columns[:, None, :])[:, None], 0.0)


@torch.no_grad()
def measure(network: nn.Module, split: Split, batch: int = 500) -> Accuracy:
    """Accuracy of a network in float32."""
    network.eval()
    correct = 0
    for images, labels in zip(split.images.split(batch), split.labels.split(batch), strict=True):
        correct += int((network(normalise(images)).argmax(1) == labels).sum())
    return Accuracy(correct, len(split.labels))


class Training:
    """One run: network, its moving average, optimiser and schedule, saved after each epoch.

    Args:
        recipe: what to do.
        folder: where the checkpoint is.
        device: where to compute.
        images: how many an epoch has.
        start: weights to begin with; None draws them.
    """

    def __init__(
        self, recipe: Recipe, folder: Path, device: torch.device, images: int, start: Path | None = None
    ) -> None:
        torch.manual_seed(recipe.seed)
        self.recipe, self.device = recipe, device
        self.transform = protection(recipe)
        self.checkpoint = folder / CHECKPOINT
        network = TRAINABLE[recipe.model]()
        if start is not None:
            load_weights(network, start)
        self.network = network.to(device).to(memory_format=torch.channels_last)
        self.average = AveragedModel(
            self.network, multi_avg_fn=get_ema_multi_avg_fn(recipe.ema_decay), use_buffers=True
        )
        self.optimiser = torch.optim.SGD(
            self.network.parameters(),
            recipe.learning_rate,
            momentum=recipe.momentum,
            weight_decay=recipe.weight_decay,
            nesterov=True,
        )
        steps = recipe.epochs * (images // recipe.batch)
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(
            self.optimiser, recipe.learning_rate, total_steps=steps, pct_start=0.2, cycle_momentum=False
        )
        self.epoch = 0

    def _parts(self) -> dict[str, nn.Module | torch.optim.Optimizer | torch.optim.lr_scheduler.LRScheduler]:
        return dict(zip(PARTS, (self.network, self.average, self.optimiser, self.schedule), strict=True))

    def resume(self) -> None:
        """Continue from the checkpoint, if there is one; InputError if it is damaged or of another recipe."""
        if not self.checkpoint.exists():
            return
        recipe, saved = load_checkpoint(self.checkpoint, self.device)
        if recipe != self.recipe:
            raise InputError(
                f"{self.checkpoint} belongs to another recipe: {_differences(recipe, self.recipe)}",
                hint="give the same options as before, or another output folder",
            )
        try:
            for name, part in self._parts().items():
                if not part.state_dict().keys() <= saved[name].keys():
                    raise KeyError(name)
                part.load_state_dict(saved[name])
        except (RuntimeError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise not_a_checkpoint(self.checkpoint) from error
        self.epoch = saved["epoch"]

    def save(self) -> None:
        """Write the checkpoint whole."""
        state = {name: part.state_dict() for name, part in self._parts().items()}
        content = io.BytesIO()
        torch.save({"recipe": asdict(self.recipe), "epoch": self.epoch, **state}, content)
        write_whole(self.checkpoint, content.getbuffer())

    def run_epoch(self, split: Split) -> float:
        """One pass over the training images; its order, and what the network draws, depend on seed and epoch only."""
        self.network.train()
        seed = self.recipe.seed * 100_003 + self.epoch
        generator = torch.Generator().manual_seed(seed)
        torch.manual_seed(seed + _OF_NETWORK)
        order = torch.randperm(len(split.labels), generator=generator).to(self.device)
        total, steps = 0.0, len(split.labels) // self.recipe.batch
        batches = order[: steps * self.recipe.batch].split(self.recipe.batch)
        for indices in tqdm(batches, desc=f"epoch {self.epoch + 1}/{self.recipe.epochs}", leave=False, disable=None):
            images = augment(normalise(split.images[indices]), self.recipe, generator)
            if self.transform:
                images = normalise(protect(to_bytes(images), self.transform))
            total += self._step(images, split.labels[indices])
        self.epoch += 1
        return total / steps

    def _step(self, images: Tensor, labels: Tensor) -> float:
        with autocast(self.device, self.recipe.precision):
            logits = self.network(images.contiguous(memory_format=torch.channels_last))
        loss = F.cross_entropy(logits.float(), labels, label_smoothing=self.recipe.label_smoothing)
        if isinstance(self.network, ScrambledClassifier) and self.network.penalty is not None:
            loss = loss + self.network.penalty
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self.optimiser.step()
        self.schedule.step()
        self.average.update_parameters(self.network)
        return float(loss.detach())


def _differences(saved: Recipe, wanted: Recipe) -> str:
    members = asdict(wanted)
    found = [f"{name} {value}, not {members[name]}" for name, value in asdict(saved).items() if value != members[name]]
    return "; ".join(found)


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """The context in which a network is trained."""
    return torch.autocast(device.type, getattr(torch, precision), enabled=precision != "float32")


def fastest_precision(model: str, batch: int, device: torch.device, side: int = SIDE) -> str:
    """bfloat16 or float32, whichever trains a batch faster here; some processors only emulate bfloat16."""
    seconds: dict[str, float] = {}
    images = torch.randn(batch, 3, side, side, device=device)
    for precision in PRECISIONS:
        network = TRAINABLE[model]().to(device)
        taken = []
        for _ in range(3):
            begin = time.perf_counter()
            with autocast(device, precision):
                loss = network(images).float().square().mean()
            loss.backward()
            loss.item()
            taken.append(time.perf_counter() - begin)
        seconds[precision] = min(taken)
    return min(seconds, key=seconds.__getitem__)
