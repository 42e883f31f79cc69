"""Train a CIFAR-10 network: python tools/train_cifar10.py --model resnet20 --data DIR -o runs/resnet20

Trains on the first 45,000 images; the last 5,000 and the test file are never trained on and
give the accuracy in the model card.  Stop it at any time: the same command resumes at the last checkpoint, which is
made every ten minutes and after each epoch.  When done, the folder holds MODEL.safetensors, MODEL.md, its model card,
and result.json, which other tools read; the same command then writes nothing more.  --transform protects every image
in the way of a peer (tools/peers); --private takes private frames of every image, as they lie in their files, and
--init begins with given weights: together they fine-tune a network on private images.
"""

from __future__ import annotations

import sys
from pathlib import Path

import click
import torch

import cifar10
from accuracy import Accuracy
from checkpoints import stored_precision
from cifar10 import TRAINED_IMAGES, TRAINING_IMAGES, Cifar10
from fingerprint import check_protection, file_digest, weights_hold_out
from inference.errors import DeviceUnavailableError
from inference.weights import load_weights
from keyvault.console import Command, FiniteRange
from keyvault.errors import InputError
from keyvault.files import make_folder
from peers.networks import TRAINABLE
from peers.registry import PEERS
from private_replays import DEFAULT_REPLAYS, SETTINGS, place_of, prepare, stranger_images
from recipe import PLAIN, PRECISIONS, Recipe, protection_of
from release import released, write_release
from training import (
    Split,
    Training,
    check_steps,
    fastest_precision,
    input_side,
    measure,
    protect,
)

MAX_SEED = 2**32 - 1


def split_of(data: Cifar10) -> Split:
    """Images and labels as tensors."""
    return Split(torch.from_numpy(data.images).permute(0, 3, 1, 2).contiguous(), torch.from_numpy(data.labels).long())


def load_parts(folder: Path, private: str = PLAIN, replays: Path = DEFAULT_REPLAYS) -> dict[str, Cifar10]:
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
        "train": train.part(0, TRAINED_IMAGES),
        "held out": train.part(TRAINED_IMAGES),
        "test": test,
    }


def protect_unseen(training: Training, splits: dict[str, Split]) -> None:
    """Protect the images that are measured on; those trained on are protected after their augmentation."""
    if training.transform:
        for name in ("held out", "test"):
            splits[name] = Split(protect(splits[name].images, training.transform), splits[name].labels)


def begin_with(start: Path | None, model: str, protection: str) -> tuple[str, bool]:
    """SHA-256 of the weights to begin with, and whether they too never saw the last 5,000 images.

    Raises:
        WeightsError: they cannot be read, do not fit, or are of images that were protected in another way than these.
    """
    if start is None:
        return PLAIN, True
    load_weights(TRAINABLE[model](), start)  # refused before images are replayed
    check_protection(start, protection, "give weights of plain images, or of images protected as these are")
    return file_digest(start), weights_hold_out(start, model)


def _device(name: str) -> torch.device:
    if name == "cuda" and not torch.cuda.is_available():
        raise DeviceUnavailableError("CUDA was asked for and there is none here", hint="use --device cpu")
    return torch.device(name)


@click.command(
    cls=Command,
    name="train_cifar10",
    goes_on="the same command goes on from there",
    context_settings={"help_option_names": ["-h", "--help"]},
)
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
    check_steps(epochs, batch, TRAINED_IMAGES)
    init, holds_out = begin_with(start, model, protection_of(transform, private))
    loaded = load_parts(data, private, replays)
    splits = {name: split_of(part).to(place) for name, part in loaded.items()}
    make_folder(output)
    precision = precision or stored_precision(output) or fastest_precision(model, batch, place, side)
    keys = PLAIN if private == PLAIN else place_of(SETTINGS[private], replays).recorded
    recipe = Recipe(
        *(model, epochs, batch, lr, seed, precision),
        transform=transform,
        private=private,
        init=init,
        replays=keys,
        data=loaded["train"].digest,
    )
    training = Training(recipe, output, place, TRAINED_IMAGES, start)
    training.resume()
    found = released(training, output)  # refuses another tool's result before hours are spent
    unseen = found if training.epoch == epochs else None
    if unseen:
        click.echo(f"{output} holds this training and its results: nothing is written")
    else:
        unseen = _finish(training, splits, output, holds_out=holds_out)
    click.echo(f"unseen images: {unseen}")


def _finish(training: Training, splits: dict[str, Split], folder: Path, *, holds_out: bool) -> Accuracy:
    """Train what is left, and write the release; its accuracy."""
    protect_unseen(training, splits)
    epochs = training.recipe.epochs
    while training.epoch < epochs:
        loss = training.run_epoch(splits["train"])
        training.save()
        held_out = measure(training.average.module, splits["held out"])
        click.echo(f"epoch {training.epoch}/{epochs}  loss {loss:.3f}  held out {100 * held_out.fraction:.2f} %")
    return write_release(training, splits, folder, holds_out=holds_out)


if __name__ == "__main__":
    sys.exit(main())
