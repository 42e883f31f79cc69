"""Training of a classifier of 32 x 32 images, which can be stopped at any step and goes on as if it had not been."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic, perf_counter
from typing import Any

import click
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.swa_utils import PARAM_LIST, AveragedModel, get_ema_multi_avg_fn
from tqdm import tqdm

from accuracy import Accuracy
from augmentation import augment
from checkpoints import CHECKPOINT, PARTS, Checkpoint, load_checkpoint, not_a_checkpoint
from cifar10 import SIDE
from inference.models import CIFAR10_MEAN, CIFAR10_STD
from inference.weights import load_weights
from keyvault.errors import InputError
from measure import environment
from normalised import normalised
from peers.networks import SIDES, TRAINABLE, ScrambledClassifier
from peers.registry import PEERS, Protect
from recipe import PLAIN, PRECISIONS, Recipe

#: Share of the steps in which the learning rate rises to its peak.
RISING = 0.2
#: Between checkpoints within an epoch.
SAVE_SECONDS = 600

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


def check_steps(epochs: int, batch: int, images: int) -> None:
    """Raise InputError unless a training has so many steps that the learning rate rises before it falls."""
    steps = epochs * (images // batch)
    if steps * RISING <= 1:
        raise InputError(
            f"{steps} steps are too few: the learning rate rises in the first {RISING:.0%} of them",
            hint="give more --epochs or a smaller --batch",
        )


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


@torch.no_grad()
def measure(network: nn.Module, split: Split, batch: int = 500) -> Accuracy:
    """Accuracy of a network in float32."""
    network.eval()
    correct = 0
    for images, labels in zip(split.images.split(batch), split.labels.split(batch), strict=True):
        correct += int((network(normalise(images)).argmax(1) == labels).sum())
    return Accuracy(correct, len(split.labels))


def moving_average(network: nn.Module, decay: float) -> AveragedModel:
    """The average of a network's weights and norms over the steps of its training, as the recipe's ``ema_decay`` says.

    The rising decay is that of TensorFlow's ExponentialMovingAverage with ``num_updates``.
    """

    def update(averages: PARAM_LIST, values: PARAM_LIST, number: Tensor | int) -> None:
        steps = int(number)
        get_ema_multi_avg_fn(min(decay, (1 + steps) / (10 + steps)))(averages, values, number)

    return AveragedModel(network, multi_avg_fn=update, use_buffers=True)


class Training:
    """One run: network, its moving average, optimiser and schedule, and how far it has come.

    Its owner saves it after each epoch; within one it saves itself every SAVE_SECONDS.  A run that goes on from a
    checkpoint draws what one draws that was never stopped.

    Args:
        recipe: what to do.
        folder: where the checkpoint is.
        device: where to compute.
        images: how many an epoch has.
        start: weights to begin with; None draws them.

    Attributes:
        network, average, optimiser, schedule: its parts.
        epoch, step, loss, environments: as a checkpoint has them.
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
        self.average = moving_average(self.network, recipe.ema_decay)
        self.optimiser = torch.optim.SGD(
            self.network.parameters(),
            recipe.learning_rate,
            momentum=recipe.momentum,
            weight_decay=recipe.weight_decay,
            nesterov=True,
        )
        self._images, self._steps = images, images // recipe.batch
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(
            self.optimiser,
            recipe.learning_rate,
            total_steps=recipe.epochs * self._steps,
            pct_start=RISING,
            cycle_momentum=False,
        )
        self.epoch, self.step, self.loss = 0, 0, 0.0
        self.environments = [self._environment()]
        self._random: dict[str, Tensor] = {}
        self._saved = monotonic()

    def _environment(self) -> dict[str, Any]:
        return {"epoch": self.epoch, "step": self.step, "device": self.device.type, **environment()}

    def _parts(self) -> dict[str, nn.Module | torch.optim.Optimizer | torch.optim.lr_scheduler.LRScheduler]:
        return dict(zip(PARTS, (self.network, self.average, self.optimiser, self.schedule), strict=True))

    def resume(self) -> None:
        """Continue from the checkpoint, if there is one; InputError if it is damaged or of another recipe."""
        if not self.checkpoint.exists():
            return
        saved = load_checkpoint(self.checkpoint, self.device)
        if saved.recipe != self.recipe:
            raise InputError(
                f"{self.checkpoint} belongs to another recipe: {_differences(saved.recipe, self.recipe)}",
                hint="give the same options as before, or another output folder",
            )
        if saved.step >= self._steps:
            raise not_a_checkpoint(self.checkpoint)
        self.epoch, self.step, self.loss, self._random = saved.epoch, saved.step, saved.loss, saved.random
        try:
            for name, part in self._parts().items():
                if not part.state_dict().keys() <= saved.parts[name].keys():
                    raise KeyError(name)
                part.load_state_dict(saved.parts[name])
            self._draws()
        except (RuntimeError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise not_a_checkpoint(self.checkpoint) from error
        going_on = [self._environment()] if self.epoch < self.recipe.epochs else []
        self.environments = saved.environments + going_on

    def save(self) -> None:
        """Write the checkpoint whole."""
        self.environments[-1]["until"] = datetime.now(UTC).isoformat(timespec="seconds")
        parts = {name: part.state_dict() for name, part in self._parts().items()}
        place = (self.epoch, self.step, self.loss, self._random, self.environments)
        Checkpoint(self.recipe, *place, parts).write(self.checkpoint)
        self._saved = monotonic()

    def _draws(self) -> tuple[Tensor, dict[str, torch.Generator]]:
        """The order of this epoch's images, and the generators that it draws from as they stand at this step.

        Both depend on seed and epoch only: ``images`` are varied by a generator of their own, the network draws from
        that of its device.
        """
        seed = self.recipe.seed * 100_003 + self.epoch
        torch.manual_seed(seed + _OF_NETWORK)
        generators = {"images": torch.Generator().manual_seed(seed), "cpu": torch.default_generator}
        if self.device.type == "cuda":
            generators["cuda"] = torch.cuda.default_generators[torch.cuda.current_device()]
        order = torch.randperm(self._images, generator=generators["images"])
        for name in generators.keys() & self._random.keys():
            generators[name].set_state(self._random[name])
        return order, generators

    def run_epoch(self, split: Split) -> float:
        """One pass over the training images, or what is left of it; the mean loss of the whole pass."""
        self.network.train()
        order, generators = self._draws()
        batches = order[: self._steps * self.recipe.batch].to(self.device).split(self.recipe.batch)[self.step :]
        title = f"epoch {self.epoch + 1}/{self.recipe.epochs}"
        bar = tqdm(batches, desc=title, initial=self.step, total=self._steps, leave=False, disable=None)
        for indices in bar:
            images = augment(normalise(split.images[indices]), self.recipe, generators["images"])
            if self.transform:
                images = normalise(protect(to_bytes(images), self.transform))
            self.loss += self._step(images, split.labels[indices])
            self.step += 1
            if self.step < self._steps and monotonic() - self._saved >= SAVE_SECONDS:
                self._random = {name: generator.get_state() for name, generator in generators.items()}
                self.save()
                if bar.disable:  # as it is where nobody watches a terminal
                    click.echo(f"{title}  step {self.step}/{self._steps}  loss {self.loss / self.step:.3f}")
        mean = self.loss / self._steps
        self.epoch, self.step, self.loss, self._random = self.epoch + 1, 0, 0.0, {}
        return mean

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
    images = torch.randn(batch, 3, side, side, device=device).to(memory_format=torch.channels_last)
    for precision in PRECISIONS:
        network = TRAINABLE[model]().to(device).to(memory_format=torch.channels_last)
        taken = []
        for _ in range(3):
            begin = perf_counter()
            with autocast(device, precision):
                loss = network(images).float().square().mean()
            loss.backward()
            loss.item()
            taken.append(perf_counter() - begin)
        seconds[precision] = min(taken)
    return min(seconds, key=seconds.__getitem__)
