"""What a finished training leaves behind: weights, their model card, and the result that other tools read."""

from __future__ import annotations

import json
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor

import cifar10
from accuracy import Accuracy
from fingerprint import file_digest, weights_metadata
from inference.models import CIFAR10_MEAN, CIFAR10_STD
from keyvault.files import write_whole
from peers.registry import PEERS
from private_replays import SETTINGS
from recipe import PLAIN, Recipe, protection_of
from training import Split, Training, measure
from training_runs import RESULT, read_run, unseen


def stored(tensor: Tensor) -> Tensor:
    """A tensor as a file of weights has it: kernels and matrices in float16, batch norms and biases as they are."""
    found = tensor.detach().cpu().contiguous()
    return found.half() if found.dim() > 1 else found


def released(training: Training, folder: Path) -> Accuracy | None:
    """The accuracy that the release of this very training states, or None if it is missing or not complete.

    Raises:
        InputError: the folder holds another tool's result.
    """
    model, result = training.recipe.model, folder / RESULT
    run = read_run(result) if result.is_file() else None
    weights, card = (folder / f"{model}{suffix}" for suffix in (".safetensors", ".md"))
    if run is None or not weights.is_file() or not card.is_file():
        return None
    if run.get("weights") not in {None, file_digest(weights)}:
        return None
    own = run["recipe"] == asdict(training.recipe) and run.get("environments", []) == training.environments
    return unseen(run) if own else None


def write_release(training: Training, splits: dict[str, Split], folder: Path, *, holds_out: bool) -> Accuracy:
    """Write the weights, the model card and last the result; return the accuracy on images that were never trained on.

    Those are the last 5,000 training images only if the weights that it began with ``holds_out`` them.  Accuracy is
    that of the weights as they are stored.
    """
    recipe, network = training.recipe, training.average.module
    weights = {name: stored(tensor) for name, tensor in network.state_dict().items()}
    network.load_state_dict(weights)
    held_out, test = measure(network, splits["held out"]), measure(network, splits["test"])
    protection = protection_of(recipe.transform, recipe.private)
    content = save(weights, metadata=weights_metadata(recipe.model, holds_out=holds_out, protection=protection))
    write_whole(folder / f"{recipe.model}.safetensors", content)
    parameters = sum(p.numel() for p in network.parameters())
    options = "\n".join(f"- {name.replace('_', ' ')}: {value}" for name, value in asdict(recipe).items())
    card = (
        f"# {recipe.model} for CIFAR-10\n\n"
        f"{parameters:,} parameters, trained by `tools/train_cifar10.py` on the first 45,000 training images; kernels\n"
        f"and matrices are stored in float16. Classes: {', '.join(cifar10.CLASSES)}.\n"
        f"Input: RGB / 255, mean {CIFAR10_MEAN}, std {CIFAR10_STD}.\n\n"
        f"## Accuracy on images never trained on\n\n{_protected(recipe)}"
        f"{_accuracies(held_out, test, holds_out=holds_out)}\n"
        f"## Command\n\n`python tools/train_cifar10.py --model {recipe.model} --data DIR --epochs {recipe.epochs} "
        f"--batch {recipe.batch} --lr {recipe.learning_rate} --seed {recipe.seed} --precision {recipe.precision} "
        f"{_further_options(training)} -o DIR`\n\n"
        f"PyTorch {torch.__version__}, {_devices(training)}; {_history(training)}.\n\n## Recipe\n\n"
        f"SGD with Nesterov momentum, one cycle, moving average of weights.\n\n{options}\n"
    )
    write_whole(folder / f"{recipe.model}.md", card.encode())
    result = {
        "recipe": asdict(recipe),
        "parameters": parameters,
        "accuracy": {"held out": asdict(held_out), "test": asdict(test)},
        "holds_out": holds_out,
        "weights": sha256(content).hexdigest(),
        "device": _devices(training),
        "environments": training.environments,
    }
    write_whole(folder / RESULT, json.dumps(result, indent=2).encode())
    return held_out + test if holds_out else test


def _accuracies(held_out: Accuracy, test: Accuracy, *, holds_out: bool) -> str:
    """Of a model card: what was never trained on, and what the weights that it began with may have been."""
    if holds_out:
        return f"- last 5,000 training images: {held_out}\n- test file: {test}\n- both: {held_out + test}\n"
    return (
        f"- test file: {test}\n\nThe last 5,000 training images were held out here, but the weights that it "
        f"began with may have been\ntrained on them: {held_out}\n"
    )


def _protected(recipe: Recipe) -> str:
    """Of a model card: what stood in for the images, if anything did."""
    if recipe.transform != PLAIN:
        what = f"were protected first: {PEERS[recipe.transform].title}\n(`--transform {recipe.transform}`)"
    elif recipe.private != PLAIN:
        title = SETTINGS[recipe.private].title
        what = f"are private frames as they lie in their files: {title}\n(`--private {recipe.private}`)"
    else:
        return ""
    return f"All of these images, as those trained on, {what}. Of plain images this says nothing.\n\n"


def _further_options(training: Training) -> str:
    """Of a model card's command: the device, what protects the images, and the weights that it began with."""
    recipe = training.recipe
    device = "--device cuda " if any(run["device"] == "cuda" for run in training.environments) else ""
    private = f" --private {recipe.private} --replays DIR" if recipe.private != PLAIN else ""
    start = " --init WEIGHTS" if recipe.init != PLAIN else ""
    return f"{device}--transform {recipe.transform}{private}{start}"


def _devices(training: Training) -> str:
    """What it was trained on."""
    return ", ".join(dict.fromkeys(run["device"] for run in training.environments))


def _history(training: Training) -> str:
    """Of a model card: the dates from first to last, and the machines."""
    runs = training.environments
    first, last = runs[0]["date"][:10], runs[-1]["until"][:10]
    when = f"on {last}" if first == last else f"from {first} to {last}"
    machines = dict.fromkeys(f"{run['processor']}, {run['processors_usable']} cores" for run in runs)
    unknown = f"; no record of the first {runs[0]['epoch']} epochs" if runs[0]["epoch"] else ""
    return f"trained {when} on {' and '.join(machines)}{unknown}"
