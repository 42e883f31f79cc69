"""The networks of Table 1: their weights, what their input is made of, and what they were trained on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

import inference
from fingerprint import check_protection, file_digest, weights_hold_out
from inference.imaging.settings import Triple
from inference.models import Preset
from inference.models.presets import IMAGENET_MEAN, IMAGENET_STD
from keyvault.errors import InputError
from recipe import PLAIN
from training_runs import RESULT, budget, card_budget, is_run, read_run, training_command

#: In the order of the table: the paper's, then those whose weights are to be had.
NETWORKS = ("vgg16", "preresnet110", "resnet20", "resnet32")


@dataclass(frozen=True)
class Candidate:
    """A network of the table with the weights that it is measured with.

    Attributes:
        name: of the network.
        weights: their file, or None if there are none.
        imagenet_input: whether its input has ImageNet's mean and standard deviation, not CIFAR-10's.
    """

    name: str
    weights: Path | None
    imagenet_input: bool = False

    @property
    def preset(self) -> Preset:
        """What the package knows of the network."""
        return inference.preset(self.name)

    @property
    def mean(self) -> Triple:
        """Of the network's input."""
        return IMAGENET_MEAN if self.imagenet_input else self.preset.mean

    @property
    def std(self) -> Triple:
        """Of the network's input."""
        return IMAGENET_STD if self.imagenet_input else self.preset.std

    def load(self) -> nn.Module:
        """The plain network in evaluation mode; WeightsError if the weights do not fit, or are of protected images."""
        network = inference.pretrained(self.preset, self.weights)
        if self.weights:
            hint = "give weights of plain images; fine-tuned networks are found by --runs"
            check_protection(self.weights, PLAIN, hint)
        return network

    @property
    def digest(self) -> str:
        """SHA-256 of the file of weights, hexadecimal; InputError if it cannot be read."""
        return "" if self.weights is None else file_digest(self.weights)

    @property
    def holds_out(self) -> bool:
        """Whether the weights are known never to have been trained on the last 5,000 training images."""
        return self.weights is not None and weights_hold_out(self.weights, self.name)

    @property
    def training(self) -> str:
        """How it was trained, from the result of the run that made the weights or the model card beside them."""
        if self.weights is None:
            return ""
        result, card = self.weights.parent / RESULT, self.weights.with_suffix(".md")
        if result.is_file() and is_run(result) and self._made_by(run := read_run(result)):
            return budget(run)
        text = card.read_text(errors="replace") if card.is_file() else ""
        return card_budget(text) or f"by others ({self.weights.name})"

    def _made_by(self, run: Mapping[str, Any]) -> bool:
        """Whether a run in the folder of the weights made them; older results do not say which weights are theirs."""
        if run["recipe"]["model"] != self.name or self.weights is None:
            return False
        return run["weights"] == self.digest if "weights" in run else self.weights.stem == self.name


@dataclass(frozen=True)
class GivenWeights:
    """Weights as the command line gives them: ``NAME=FILE``."""

    name: str
    path: Path

    @classmethod
    def parse(cls, text: str) -> GivenWeights:
        """InputError if it is something else."""
        name, _, path = text.partition("=")
        if not path or name not in NETWORKS:
            raise InputError(f"{text} is not NAME=FILE", hint=f"names: {', '.join(NETWORKS)}")
        return cls(name, Path(path))

    def __str__(self) -> str:
        return f"{self.name}={self.path.name}"


def candidates(names: Sequence[str], weights: Sequence[GivenWeights], imagenet_input: Sequence[str]) -> list[Candidate]:
    """The networks to measure, with weights that are given or those that come with the package.

    Raises:
        InputError: a network is named twice, or something is given for a network that is not among them.
    """
    given = {one.name: one.path for one in weights}
    for option, named in (
        ("--network", names),
        ("--weights", [one.name for one in weights]),
        ("--imagenet-input", imagenet_input),
    ):
        twice = [name for name, count in Counter(named).items() if count > 1]
        if twice:
            raise InputError(f"{option} names {twice[0]} twice", hint="name it once")
        other = set(named) - set(names)
        if other:
            raise InputError(
                f"{option} is given for {min(other)}, which is not measured", hint=f"names: {', '.join(names)}"
            )
    return [
        Candidate(name, given.get(name) or inference.preset(name).weights, name in imagenet_input) for name in names
    ]


def tuning_command(name: str, setting: str) -> str:
    """What fine-tunes a network on private images."""
    return training_command(name, f"{name}-{setting}", init="WEIGHTS", private=setting, lr=0.05)
