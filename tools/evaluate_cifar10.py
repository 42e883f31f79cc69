"""Keyed against plain on replayed CIFAR-10: python tools/evaluate_cifar10.py --help

Opens every private frame of a replay as an authorised host, runs the keyed network on it and the
plain network on the data set's own image, and says how often they agree.  Also measured: the
keyed network under a substituted permutation, which is what an attacker with a wrong key would
compute if a frame opened for them at all.  (It does not: the frame is opened properly here, its
mask is taken off, and only then is the permutation replaced.)
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from torch import nn
from tqdm import tqdm

import cifar10
import inference
from accuracy import Accuracy
from adc_firmware import decode
from both_sides import substituted
from cifar10 import Cifar10
from fingerprint import check_protection, weights_hold_out
from inference.imaging import Gamma, IspSettings
from inference.models import MODELS
from inference.session import Session
from keyvault.console import Command
from keyvault.errors import InputError
from normalised import normalised, planes
from private_replays import SPLITS, batches, read_shard
from recipe import PLAIN
from shards import Manifest, read_manifest
from table1.parts import part_of, unseen_parts

QUAD_SAMPLING = "quad"


@dataclass(frozen=True)
class Evaluation:
    """What a replay gave.

    Attributes:
        plain, keyed, substituted: top-1 of the plain network, of the keyed one, and of the keyed
            one with a random permutation in place of the frame's.
        agreeing: how many keyed predictions equal the plain ones.
        largest_difference: of any keyed logit from its plain one.
        seen: how many of the images the network was, or may have been, trained on.
    """

    plain: Accuracy
    keyed: Accuracy
    substituted: Accuracy
    agreeing: int
    largest_difference: float
    seen: int

    def report(self) -> str:
        """The figures, one a line."""
        trained = f"{self.seen} of {self.plain.total}: on these, accuracy proves nothing" if self.seen else "none"
        return (
            f"plain network, plain images:      {self.plain}\n"
            f"keyed network, private frames:    {self.keyed}\n"
            f"keyed, permutation substituted:   {self.substituted}\n"
            f"equal predictions:                {self.agreeing} of {self.plain.total}\n"
            f"largest difference of a logit:    {self.largest_difference:.1e}\n"
            f"images that may be trained on:    {trained}"
        )


def evaluate(
    shards: Path, session: Session, network: nn.Module, settings: IspSettings, data: Cifar10, **options: Any
) -> Evaluation:
    """Compare both networks on every frame of a replay.

    Args:
        shards: folder that replay_dataset.py wrote from CIFAR-10 with ``--sampling quad``.
        session: opens the frames.
        network: in evaluation mode.
        settings: of the keyed ISP; its mean and std are the plain network's too.
        data: the split that was replayed.
        options: ``batch``, ``seed`` of the substituted permutations, ``backend``, and whether the weights
            ``holds_out`` the last 5,000 training images.

    Raises:
        InputError: the replay is not of this data, no shard of it is complete, or one is damaged.
    """
    manifest = _replayed(shards)
    if manifest.total > len(data.images):
        raise InputError(
            f"{shards} is of {manifest.total} images, not {len(data.images)}", hint="give the same data set"
        )
    generator = np.random.default_rng(options.get("seed", 0))
    backend = options.get("backend", "gather")
    keyed = inference.secure(network, torch.zeros(1, 3, cifar10.SIDE, cifar10.SIDE), backend=backend)
    split, unseen = manifest.options["split"], unseen_parts(holds_out=options.get("holds_out", False))
    counts, difference, seen = np.zeros(4, np.int64), 0.0, 0
    read = (read_shard(shards, manifest, number, data) for number in range(len(manifest.shards)))
    with tqdm(total=manifest.done, unit="frame", disable=None) as progress, torch.inference_mode():
        for samples in (part for shard in read for part in batches(shard, options.get("batch", 64))):
            frames = [session.open(decode(sample.frame, session.grants)) for sample in samples]
            index = [sample.info["index"] for sample in samples]
            labels = torch.from_numpy(data.labels[index])
            plain = network(normalised(planes(data.images[index]), settings.mean, settings.std))
            private = keyed(inference.isp(frames, settings=settings))
            wrong = keyed(inference.isp([substituted(frame, generator) for frame in frames], settings=settings))
            best, private_best = plain.argmax(1), private.argmax(1)
            hits = (best == labels, private_best == labels, wrong.argmax(1) == labels, private_best == best)
            counts += [int(hit.sum()) for hit in hits]
            difference = max(difference, float((plain - private).abs().max()))
            seen += sum(part_of(split, at) not in unseen for at in index)
            progress.update(len(samples))
    total = manifest.done
    plain_hits, keyed_hits, substituted_hits, agreeing = map(int, counts)
    accuracies = (Accuracy(plain_hits, total), Accuracy(keyed_hits, total), Accuracy(substituted_hits, total))
    return Evaluation(*accuracies, agreeing, difference, seen)


def _replayed(shards: Path) -> Manifest:
    """The manifest of a replay that carries CIFAR-10 images exactly."""
    manifest = read_manifest(shards)
    kind, sampling, split = (manifest.options.get(name) for name in ("kind", "sampling", "split"))
    if (kind, sampling) != ("cifar10", QUAD_SAMPLING) or split not in SPLITS:
        raise InputError(f"{shards} does not carry CIFAR-10 exactly", hint="replay CIFAR-10 with --sampling quad")
    if not manifest.done:
        raise InputError(f"{shards} has no complete shard yet", hint="let replay_dataset.py --resume finish it")
    return manifest


@click.command(cls=Command, name="evaluate_cifar10", context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("shards", type=click.Path(path_type=Path))
@click.option("--key", "keys", multiple=True, required=True, type=click.Path(path_type=Path), help="Sealed key.")
@click.option(
    "--data", type=click.Path(path_type=Path), help="The CIFAR-10 that was replayed.  [default: where it was]"
)
@click.option("--model", type=click.Choice(sorted(MODELS)), required=True, help="Network.")
@click.option("--weights", type=click.Path(path_type=Path), help="[default: those that come with the model]")
@click.option("--mean", type=(float, float, float), help="Of the network's input.  [default: the model's]")
@click.option("--std", type=(float, float, float), help="Of the network's input.  [default: the model's]")
@click.option("--backend", type=click.Choice(["gather", "reference"]), default="gather", show_default=True)
@click.option("--batch", type=click.IntRange(1), default=64, show_default=True)
@click.option("--identity", type=click.Path(path_type=Path), help="This host's key.  [default: host.pem in the home]")
@click.option("--trust", type=click.Path(path_type=Path), help="The vault's key.  [default: issuer.pub in the home]")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the substituted permutations.")
def main(shards: Path, **options: Any) -> None:
    """Compare a keyed network on SHARDS, a replay, with the plain one on the images."""
    chosen = inference.preset(options["model"])
    network = inference.pretrained(chosen, options["weights"])
    if options["weights"]:
        check_protection(options["weights"], PLAIN, "give weights of plain images")
    settings = chosen.isp_settings(gamma=Gamma.NONE, mean=options["mean"], std=options["std"])
    replayed = _replayed(shards).options
    data = cifar10.load(options["data"] or Path(*replayed["source"]), replayed["split"])
    session = inference.open_session(options["keys"], options["identity"], options["trust"])
    further = {name: options[name] for name in ("batch", "seed", "backend")}
    weights = options["weights"] or chosen.weights
    further["holds_out"] = weights is not None and weights_hold_out(weights, chosen.name)
    print(evaluate(shards, session, network, settings, data, **further).report())


if __name__ == "__main__":
    sys.exit(main())
