"""Train a CIFAR-10 network: python tools/train_cifar10.py --model resnet20 --data DIR -o runs/resnet20

Trains on the first 45,000 images; the last 5,000 and the test file are never trained on and
give the accuracy in the model card.  Stop it at any time: the same command resumes at the last
finished epoch.  When done, the folder holds MODEL.safetensors and MODEL.md, its model card.
"""

from __future__ import annotations

import io
import math
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from tqdm import tqdm

import cifar10
from accuracy import Accuracy
from inference.errors import DeviceUnavailableError
from inference.models import CIFAR10_MEAN, CIFAR10_STD, MODELS
from keyvault.console import Command
from keyvault.errors import InputError
from keyvault.files import make_folder, write_whole

TRAINED_IMAGES = 45_000
MAX_SEED = 2**32 - 1


@dataclass(frozen=True)
class Recipe:
    """Everything that decides the result besides the data."""

    model: str
    epochs: int
    batch: int
    learning_rate: float
    seed: int
    momentum: float = 0.9
    weight_decay: float = 5e-4
    label_smoothing: float = 0.1
    crop_padding: int = 4
    cutout: int = 8
    ema_decay: float = 0.998


@dataclass(frozen=True)
class Split:
    """Normalised images are made from these: (N, 3, 32, 32) uint8 and (N,) int64."""

    images: Tensor
    labels: Tensor

    def to(self, device: torch.device) -> Split:
        """The same images on another device."""
        return Split(self.images.to(device), self.labels.to(device))


def _split(images: NDArray[np.uint8], labels: NDArray[np.uint8]) -> Split:
    return Split(torch.from_numpy(images).permute(0, 3, 1, 2).contiguous(), torch.from_numpy(labels).long())


def load_splits(folder: Path) -> dict[str, Split]:
    """The images trained on, the 5,000 held out, and the test file."""
    train, test = cifar10.load(folder, "train"), cifar10.load(folder, "test")
    if len(train.labels) <= TRAINED_IMAGES:
        raise InputError(
            f"{folder} holds {len(train.labels)} training images, 50,000 are needed",
            hint="use the complete data set",
        )
    return {
        "train": _split(train.images[:TRAINED_IMAGES], train.labels[:TRAINED_IMAGES]),
        "held out": _split(train.images[TRAINED_IMAGES:], train.labels[TRAINED_IMAGES:]),
        "test": _split(test.images, test.labels),
    }


def normalise(images: Tensor) -> Tensor:
    """uint8 (N, 3, 32, 32) to the network's input."""
    mean = torch.tensor(CIFAR10_MEAN, device=images.device).view(1, 3, 1, 1)
    std = torch.tensor(CIFAR10_STD, device=images.device).view(1, 3, 1, 1)
    return ((images.float() / 255 - mean) / std).contiguous(memory_format=torch.channels_last)


def augment(images: Tensor, recipe: Recipe, generator: torch.Generator) -> Tensor:
    """Random crop, flip and cutout of normalised (N, 3, H, W) images, each image its own."""
    n, _, height, width = images.shape
    pad, device = recipe.crop_padding, images.device

    def draw(high: int) -> Tensor:
        return torch.randint(0, high, (n, 1), generator=generator).to(device)

    rows = torch.arange(height, device=device) + draw(2 * pad + 1)
    columns = torch.arange(width, device=device) + draw(2 * pad + 1)
    columns = torch.where(draw(2) == 1, columns.flip(1), columns)
    padded = F.pad(images, (pad, pad, pad, pad)).permute(0, 2, 3, 1)
    cropped = padded[torch.arange(n, device=device)[:, None, None], rows[:, :, None], columns[:, None, :]]
    return _cutout(cropped.permute(0, 3, 1, 2), recipe.cutout, draw(height), draw(width))


def _cutout(images: Tensor, side: int, centre_row: Tensor, centre_column: Tensor) -> Tensor:
    """A square of ``side`` pixels set to the mean (DeVries and Taylor, 2017)."""
    _, _, height, width = images.shape
    rows = (torch.arange(height, device=images.device) - centre_row + side // 2).ge(0) & (
        torch.arange(height, device=images.device) - centre_row
    ).lt(side - side // 2)
    columns = (torch.arange(width, device=images.device) - centre_column + side // 2).ge(0) & (
        torch.arange(width, device=images.device) - centre_column
    ).lt(side - side // 2)
    hole = rows[:, :, None] & columns[:, None, :]
    return images.masked_fill(hole[:, None], 0.0)


@torch.no_grad()
def measure(network: nn.Module, split: Split, batch: int = 500) -> Accuracy:
    """Accuracy of a network in float32."""
    network.eval()
    correct = 0
    for images, labels in zip(split.images.split(batch), split.labels.split(batch), strict=True):
        correct += int((network(normalise(images)).argmax(1) == labels).sum())
    return Accuracy(correct, len(split.labels))


class Training:
    """One run: network, its moving average, optimiser and schedule, saved after each epoch."""

    def __init__(self, recipe: Recipe, folder: Path, device: torch.device, precision: torch.dtype) -> None:
        torch.manual_seed(recipe.seed)
        self.recipe, self.device, self.precision = recipe, device, precision
        self.checkpoint = folder / "checkpoint.pt"
        self.network = MODELS[recipe.model]().to(device).to(memory_format=torch.channels_last)
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
        steps = recipe.epochs * (TRAINED_IMAGES // recipe.batch)
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(
            self.optimiser, recipe.learning_rate, total_steps=steps, pct_start=0.2, cycle_momentum=False
        )
        self.epoch = 0

    def _parts(self) -> dict[str, nn.Module | torch.optim.Optimizer | torch.optim.lr_scheduler.LRScheduler]:
        return {
            "network": self.network,
            "average": self.average,
            "optimiser": self.optimiser,
            "schedule": self.schedule,
        }

    def resume(self) -> None:
        """Continue from the checkpoint, if there is one of the same recipe."""
        if not self.checkpoint.exists():
            return
        saved = _load_checkpoint(self.checkpoint, {"recipe", "epoch", *self._parts()}, self.device)
        if saved["recipe"] != asdict(self.recipe):
            raise InputError(
                f"{self.checkpoint} belongs to another recipe: {saved['recipe']}",
                hint="give the same options as before, or another output folder",
            )
        for name, part in self._parts().items():
            part.load_state_dict(saved[name])
        self.epoch = saved["epoch"]

    def save(self) -> None:
        """Write the checkpoint whole."""
        state = {name: part.state_dict() for name, part in self._parts().items()}
        content = io.BytesIO()
        torch.save({"recipe": asdict(self.recipe), "epoch": self.epoch, **state}, content)
        write_whole(self.checkpoint, content.getbuffer())

    def run_epoch(self, split: Split) -> float:
        """One pass over the training images in an order that depends on seed and epoch only."""
        self.network.train()
        generator = torch.Generator().manual_seed(self.recipe.seed * 100_003 + self.epoch)
        order = torch.randperm(len(split.labels), generator=generator).to(self.device)
        total, steps = 0.0, TRAINED_IMAGES // self.recipe.batch
        batches = order[: steps * self.recipe.batch].split(self.recipe.batch)
        for indices in tqdm(batches, desc=f"epoch {self.epoch + 1}/{self.recipe.epochs}", leave=False, disable=None):
            images = augment(normalise(split.images[indices]), self.recipe, generator)
            total += self._step(images, split.labels[indices])
        self.epoch += 1
        return total / steps

    def _step(self, images: Tensor, labels: Tensor) -> float:
        reduced = self.precision != torch.float32
        with torch.autocast(self.device.type, self.precision, enabled=reduced):
            logits = self.network(images.contiguous(memory_format=torch.channels_last))
        loss = F.cross_entropy(logits.float(), labels, label_smoothing=self.recipe.label_smoothing)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self.optimiser.step()
        self.schedule.step()
        self.average.update_parameters(self.network)
        return float(loss.detach())


def _load_checkpoint(path: Path, names: set[str], device: torch.device) -> dict[str, Any]:
    """What :meth:`Training.save` wrote; InputError for anything else."""
    try:
        saved: Any = torch.load(path, map_location=device, weights_only=True)
    except OSError:
        raise
    except Exception as error:  # of a file that is none of its own, torch.load raises anything
        raise InputError(f"{path} is not a checkpoint", hint="remove it to begin anew") from error
    if not isinstance(saved, dict) or saved.keys() != names:
        raise InputError(f"{path} is not a checkpoint of this script", hint="remove it to begin anew")
    return saved


def write_release(training: Training, splits: dict[str, Split], folder: Path) -> Accuracy:
    """Write the weights and the model card; return the accuracy on all unseen images."""
    recipe = training.recipe
    network = training.average.module
    held_out, test = measure(network, splits["held out"]), measure(network, splits["test"])
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    content = save(weights, metadata={"model": recipe.model, "dataset": "CIFAR-10"})
    write_whole(folder / f"{recipe.model}.safetensors", content)
    parameters = sum(p.numel() for p in network.parameters())
    options = "\n".join(f"- {name.replace('_', ' ')}: {value}" for name, value in asdict(recipe).items())
    card = (
        f"# {recipe.model} for CIFAR-10\n\n"
        f"{parameters:,} parameters, float32, trained by `tools/train_cifar10.py` on the first 45,000 training\n"
        f"images. Classes: {', '.join(cifar10.CLASSES)}. Input: RGB / 255, mean {CIFAR10_MEAN}, std {CIFAR10_STD}.\n\n"
        f"## Accuracy on images never trained on\n\n"
        f"- last 5,000 training images: {held_out}\n"
        f"- test file: {test}\n"
        f"- both: {held_out + test}\n\n"
        f"## Command\n\n`python tools/train_cifar10.py --model {recipe.model} --data DIR --epochs {recipe.epochs} "
        f"--batch {recipe.batch} --lr {recipe.learning_rate} --seed {recipe.seed} -o DIR`\n\n"
        f"PyTorch {torch.__version__}, {training.device.type}, {str(training.precision).removeprefix('torch.')} "
        f"autocast.\n\n## Recipe\n\nSGD with Nesterov momentum, one cycle, moving average of weights.\n\n{options}\n"
    )
    write_whole(folder / f"{recipe.model}.md", card.encode())
    return held_out + test


def fastest_precision(model: str, batch: int, device: torch.device) -> torch.dtype:
    """bfloat16 or float32, whichever trains a batch faster here; some processors only emulate bfloat16."""
    seconds = {}
    images = torch.randn(batch, 3, cifar10.SIDE, cifar10.SIDE, device=device)
    for precision in (torch.float32, torch.bfloat16):
        network = MODELS[model]().to(device)
        taken = []
        for _ in range(3):
            begin = time.perf_counter()
            with torch.autocast(device.type, precision, enabled=precision != torch.float32):
                loss = network(images).float().square().mean()
            loss.backward()
            loss.item()
            taken.append(time.perf_counter() - begin)
        seconds[precision] = min(taken)
    return min(seconds, key=seconds.__getitem__)


def _finite(_context: click.Context, _option: click.Parameter, value: float) -> float:
    if not math.isfinite(value):
        raise click.BadParameter(f"{value} is not finite")
    return value


def _device(name: str) -> torch.device:
    if name == "cuda" and not torch.cuda.is_available():
        raise DeviceUnavailableError("CUDA was asked for and there is none here", hint="use --device cpu")
    return torch.device(name)


@click.command(cls=Command, name="train_cifar10", context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--model", type=click.Choice(sorted(MODELS)), required=True, help="Network to train.")
@click.option("--data", type=click.Path(path_type=Path), required=True, help="CIFAR-10, binary or python layout.")
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="Folder of the run.")
@click.option("--epochs", default=30, show_default=True, type=click.IntRange(1))
@click.option("--batch", default=128, show_default=True, type=click.IntRange(2, TRAINED_IMAGES))
@click.option(
    "--lr",
    default=0.2,
    show_default=True,
    type=click.FloatRange(0, min_open=True),
    callback=_finite,
    help="Peak learning rate of the cycle.",
)
@click.option("--seed", default=1, show_default=True, type=click.IntRange(0, MAX_SEED))
@click.option("--device", type=click.Choice(["cpu", "cuda"]), default="cpu", show_default=True)
@click.option(
    "--precision", type=click.Choice(["bfloat16", "float32"]), help="Of autocast.  [default: the faster one here]"
)
@click.option("--threads", type=click.IntRange(1), default=None, help="CPU threads; all by default.")
def main(
    model: str,
    data: Path,
    output: Path,
    epochs: int,
    batch: int,
    lr: float,
    seed: int,
    device: str,
    precision: str | None,
    threads: int | None,
) -> None:
    """Train a CIFAR-10 network on the first 45,000 images; resumes where it stopped."""
    if threads:
        torch.set_num_threads(threads)
    recipe, place = Recipe(model, epochs, batch, lr, seed), _device(device)
    splits = {name: split.to(place) for name, split in load_splits(data).items()}
    make_folder(output)
    chosen = getattr(torch, precision) if precision else fastest_precision(model, batch, place)
    training = Training(recipe, output, place, chosen)
    training.resume()
    while training.epoch < epochs:
        loss = training.run_epoch(splits["train"])
        training.save()
        held_out = measure(training.average.module, splits["held out"])
        click.echo(f"epoch {training.epoch}/{epochs}  loss {loss:.3f}  held out {100 * held_out.fraction:.2f} %")
    click.echo(f"unseen images: {write_release(training, splits, output)}")


if __name__ == "__main__":
    sys.exit(main())
