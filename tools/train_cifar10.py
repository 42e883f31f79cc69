"""Train a CIFAR-10 network: python tools/train_cifar10.py --model resnet20 --data DIR -o runs/resnet20

Trains on the first 45,000 images; the last 5,000 and the test file are never trained on and
give the accuracy in the model card.  Stop it at any time: the same command resumes at the last
finished epoch.  When done, the folder holds MODEL.safetensors, MODEL.md, its model card, and
result.json, which other tools read.  --transform protects every image in the way of a peer (tools/peers);
--private takes private frames of every image, as they lie in their files, and --init begins with given weights:
together they fine-tune a network on private images.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path

import click
import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save
from torch import Tensor

import cifar10
from accuracy import Accuracy
from checkpoints import stored_precision
from cifar10 import TRAINED_IMAGES, TRAINING_IMAGES
from fingerprint import file_digest, weights_hold_out, weights_metadata
from inference.errors import DeviceUnavailableError
from inference.models import CIFAR10_MEAN, CIFAR10_STD
from inference.weights import load_weights
from keyvault.console import Command, FiniteRange
from keyvault.errors import InputError
from keyvault.files import make_folder, write_whole
from measure import environment
from peers.registry import PEERS
from private_replays import DEFAULT_REPLAYS, SETTINGS, place_of, prepare, stranger_images
from recipe import PLAIN, PRECISIONS, Recipe
from training import (
    TRAINABLE,
    Split,
    Training,
    fastest_precision,
    input_side,
    measure,
    protect,
)
from training_runs import RESULT

MAX_SEED = 2**32 - 1


def _split(images: NDArray[np.uint8], labels: NDArray[np.uint8]) -> Split:
    return Split(torch.from_numpy(images).permute(0, 3, 1, 2).contiguous(), torch.from_numpy(labels).long())


def load_splits(folder: Path, private: str = PLAIN, replays: Path = DEFAULT_REPLAYS) -> dict[str, Split]:
    """The images trained on, the 5,000 held out, and the test file; as private frames show them, if that is asked."""
    train, test = cifar10.load(folder, "train"), cifar10.load(folder, "test")
    if len(train.labels) != TRAINING_IMAGES:
        raise InputError(
            f"{folder} holds {len(train.labels):,} training images, {TRAINING_IMAGES:,} are needed",
            hint="use the complete data set",
        )
    if private != PLAIN:
        place = prepare(SETTINGS[private], replays, folder)
        train, test = stranger_images(place, "train", train), stranger_images(place, "test", test)
    return {
        "train": _split(train.images[:TRAINED_IMAGES], train.labels[:TRAINED_IMAGES]),
        "held out": _split(train.images[TRAINED_IMAGES:], train.labels[TRAINED_IMAGES:]),
        "test": _split(test.images, test.labels),
    }


def digest(split: Split) -> str:
    """SHA-256 of images and labels, hexadecimal."""
    found = sha256(split.images.numpy().data)
    found.update(split.labels.numpy().data)
    return found.hexdigest()


def protect_unseen(training: Training, splits: dict[str, Split]) -> None:
    """Protect the images that are measured on; those trained on are protected after their augmentation."""
    if training.transform:
        for name in ("held out", "test"):
            splits[name] = Split(protect(splits[name].images, training.transform), splits[name].labels)


def begin_with(start: Path | None, model: str) -> tuple[str, bool]:
    """SHA-256 of the weights to begin with, and whether they too never saw the last 5,000 images.

    Raises:
        WeightsError: they cannot be read, or do not fit.
    """
    if start is None:
        return PLAIN, True
    load_weights(TRAINABLE[model](), start)  # refused before images are replayed
    return file_digest(start), weights_hold_out(start, model)


def stored(tensor: Tensor) -> Tensor:
    """A tensor as a file of weights has it: kernels and matrices in float16, batch norms and biases as they are."""
    found = tensor.detach().cpu().contiguous()
    return found.half() if found.dim() > 1 else found


def write_release(training: Training, splits: dict[str, Split], folder: Path, *, holds_out: bool) -> Accuracy:
    """Write the weights and the model card; return the accuracy on the images that were never trained on.

    Those are the last 5,000 training images only if the weights that it began with ``holds_out`` them.  Accuracy is
    that of the weights as they are stored.
    """
    recipe, made = training.recipe, environment()
    network = training.average.module
    weights = {name: stored(tensor) for name, tensor in network.state_dict().items()}
    network.load_state_dict(weights)
    held_out, test = measure(network, splits["held out"]), measure(network, splits["test"])
    content = save(weights, metadata=weights_metadata(recipe.model, holds_out=holds_out))
    write_whole(folder / f"{recipe.model}.safetensors", content)
    parameters = sum(p.numel() for p in network.parameters())
    options = "\n".join(f"- {name.replace('_', ' ')}: {value}" for name, value in asdict(recipe).items())
    card = (
        f"# {recipe.model} for CIFAR-10\n\n"
        f"{parameters:,} parameters, trained by `tools/train_cifar10.py` on the first 45,000 training images; kernels\n"
        f"and matrices are stored in float16. Classes: {', '.join(cifar10.CLASSES)}.\n"
        f"Input: RGB / 255, mean {CIFAR10_MEAN}, std {CIFAR10_STD}.\n\n"
        f"{_accuracies(held_out, test, holds_out=holds_out)}\n"
        f"## Command\n\n`python tools/train_cifar10.py --model {recipe.model} --data DIR --epochs {recipe.epochs} "
        f"--batch {recipe.batch} --lr {recipe.learning_rate} --seed {recipe.seed} --precision {recipe.precision} "
        f"{_protection_options(recipe)} -o DIR`\n\n"
        f"PyTorch {torch.__version__}, {training.device.type}; finished on {made['date'][:10]} on {made['processor']}, "
        f"{made['processors_usable']} cores.\n\n## Recipe\n\n"
        f"SGD with Nesterov momentum, one cycle, moving average of weights.\n\n{options}\n"
    )
    write_whole(folder / f"{recipe.model}.md", card.encode())
    result = {
        "recipe": asdict(recipe),
        "parameters": parameters,
        "accuracy": {"held out": asdict(held_out), "test": asdict(test)},
        "holds_out": holds_out,
        "device": training.device.type,
        "environment": made,
    }
    write_whole(folder / RESULT, json.dumps(result, indent=2).encode())
    return held_out + test if holds_out else test


def _accuracies(held_out: Accuracy, test: Accuracy, *, holds_out: bool) -> str:
    """Of a model card: what was never trained on, and what the weights that it began with may have been."""
    title = "## Accuracy on images never trained on\n\n"
    if holds_out:
        return f"{title}- last 5,000 training images: {held_out}\n- test file: {test}\n- both: {held_out + test}\n"
    return (
        f"{title}- test file: {test}\n\nThe last 5,000 training images were held out here, but the weights that it "
        f"began with may have been\ntrained on them: {held_out}\n"
    )


def _protection_options(recipe: Recipe) -> str:
    start = " --init WEIGHTS" if recipe.init != PLAIN else ""
    private = f" --private {recipe.private}" if recipe.private != PLAIN else ""
    return f"--transform {recipe.transform}{private}{start}"


def _device(name: str) -> torch.device:
    if name == "cuda" and not torch.cuda.is_available():
        raise DeviceUnavailableError("CUDA was asked for and there is none here", hint="use --device cpu")
    return torch.device(name)


@click.command(cls=Command, name="train_cifar10", context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--model", type=click.Choice(sorted(TRAINABLE)), required=True, help="Network to train.")
@click.option("--data", type=click.Path(path_type=Path), required=True, help="CIFAR-10, binary or python layout.")
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="Folder of the run.")
@click.option("--epochs", default=30, show_default=True, type=click.IntRange(1))
@click.option("--batch", default=128, show_default=True, type=click.IntRange(2, TRAINED_IMAGES))
@click.option(
    "--lr",
    default=0.2,
    show_default=True,
    type=FiniteRange(0, min_open=True),
    help="Peak learning rate of the cycle.",
)
@click.option("--seed", default=1, show_default=True, type=click.IntRange(0, MAX_SEED))
@click.option("--device", type=click.Choice(["cpu", "cuda"]), default="cpu", show_default=True)
@click.option("--precision", type=click.Choice(PRECISIONS), help="Of autocast.  [default: the faster one here]")
@click.option(
    "--transform",
    type=click.Choice([PLAIN, *PEERS]),
    default=PLAIN,
    show_default=True,
    help="How every image is protected, under a key drawn from the seed.",
)
@click.option(
    "--private",
    type=click.Choice([PLAIN, *SETTINGS]),
    default=PLAIN,
    show_default=True,
    help="Setting of the private frames that stand in for the images.",
)
@click.option("--replays", type=click.Path(path_type=Path), default=DEFAULT_REPLAYS, show_default=True)
@click.option("--init", "start", type=click.Path(path_type=Path), help="Weights to begin with.  [default: drawn]")
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
    transform: str,
    private: str,
    replays: Path,
    start: Path | None,
    threads: int | None,
) -> None:
    """Train a CIFAR-10 network on the first 45,000 images; resumes where it stopped."""
    if PLAIN not in {transform, private}:
        raise click.UsageError("--transform and --private do not go together")
    if threads:
        torch.set_num_threads(threads)
    side, place = input_side(model, transform), _device(device)
    init, holds_out = begin_with(start, model)
    loaded = load_splits(data, private, replays)
    splits = {name: split.to(place) for name, split in loaded.items()}
    make_folder(output)
    precision = precision or stored_precision(output) or fastest_precision(model, batch, place, side)
    keys = PLAIN if private == PLAIN else "+".join(place_of(SETTINGS[private], replays).keys)
    recipe = Recipe(
        *(model, epochs, batch, lr, seed, precision),
        transform=transform,
        private=private,
        init=init,
        replays=keys,
        data=digest(loaded["train"]),
    )
    training = Training(recipe, output, place, TRAINED_IMAGES, start)
    training.resume()
    protect_unseen(training, splits)
    while training.epoch < epochs:
        loss = training.run_epoch(splits["train"])
        training.save()
        held_out = measure(training.average.module, splits["held out"])
        click.echo(f"epoch {training.epoch}/{epochs}  loss {loss:.3f}  held out {100 * held_out.fraction:.2f} %")
    click.echo(f"unseen images: {write_release(training, splits, output, holds_out=holds_out)}")


if __name__ == "__main__":
    sys.exit(main())
