"""What class a private frame's scene is of, told from its values alone: a small network on histograms.

After Chapelle, Haffner and Vapnik, "Support vector machines for histogram-based image
classification", IEEE Transactions on Neural Networks 10(5), 1999: class from a colour histogram.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from audit.attack import Attack, Evidence
from audit.attacks.reidentification import quantiles
from audit.finding import Finding, Scale, Stand
from audit.intervals import commonest_share, share_interval
from audit.material import Material, make_material, white
from audit.views import seen
from keyvault.errors import InputError

Samples = NDArray[np.uint16]
Labels = NDArray[np.int64]
NAME = "histogram_classifier"
FRAMES = 400
SCENES = 10_000
_CAPTURED = 1000  # of them at a time
_ABOVE_CHANCE = 0.1  # of what lies between chance and 1
_BINS = {1: 64, 3: 8}  # a sample, by samples a position
_HIDDEN = 256
_ROUNDS, _BATCH = 25, 256


def joint_histograms(frames: Samples, levels: int) -> NDArray[np.float64]:
    """The share of positions with each colour, coarsely: (n, p, c) to (n, 64) for c = 1 or (n, 512) for c = 3.

    Args:
        frames: uint16 (n, p, c), c 1 or 3.
        levels: samples are below it.
    """
    count, places, parts = frames.shape
    bins = _BINS[parts]
    colour = np.zeros((count, places), np.int64)
    for part in range(parts):
        colour = colour * bins + np.minimum(frames[:, :, part].astype(np.int64) * bins // levels, bins - 1)
    rows = np.arange(count)[:, None] * bins**parts
    counts = np.bincount((colour + rows).ravel(), minlength=count * bins**parts)
    return counts.reshape(count, -1) / places


def features(frames: Samples, levels: int) -> NDArray[np.float32]:
    """What no order of the samples changes: roots of the joint histogram, and quantiles of each sample."""
    rooted = np.sqrt(joint_histograms(frames, levels))
    return np.concatenate([8 * rooted, quantiles(frames, 32) * (4 / levels)], axis=1).astype(np.float32)


@dataclass(frozen=True)
class Classifier:
    """A trained network, and the mean and standard deviation of the features it was trained on."""

    network: nn.Module
    mean: Tensor
    spread: Tensor

    @torch.inference_mode()
    def classes(self, seen: NDArray[np.float32]) -> Labels:
        """The likeliest class of each row of features: (n, f) to (n,)."""
        found = self.network((torch.from_numpy(seen) - self.mean) / self.spread).argmax(1)
        return np.asarray(found.numpy(), np.int64)


def train(known: NDArray[np.float32], labels: Labels, generator: np.random.Generator) -> Classifier:
    """Fit two layers to features (n, f) and their classes (n,) by Adam; the same for the same generator."""
    x, y = torch.from_numpy(known), torch.from_numpy(labels)
    mean, spread = x.mean(0), x.std(0) + 0.05
    x = (x - mean) / spread
    with torch.random.fork_rng():
        torch.manual_seed(int(generator.integers(2**31)))
        network = _network(x.shape[1], int(y.max()) + 1)
        optimizer = torch.optim.AdamW(network.parameters(), lr=2e-3, weight_decay=0.05)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, _ROUNDS)
        for _ in range(_ROUNDS):
            for batch in torch.randperm(len(x)).split(_BATCH):
                optimizer.zero_grad()
                nn.functional.cross_entropy(network(x[batch]), y[batch], label_smoothing=0.1).backward()
                optimizer.step()
            schedule.step()
    return Classifier(network.eval(), mean, spread)


def _network(inputs: int, classes: int) -> nn.Module:
    return nn.Sequential(
        *(nn.Dropout(0.2), nn.Linear(inputs, _HIDDEN), nn.GELU(), nn.Dropout(0.5)),
        nn.Linear(_HIDDEN, classes),
    )


def described(material: Material, stand: Stand) -> NDArray[np.float32]:
    """Features of frames as an attacker at a place has them: (n, f)."""
    return features(seen(material, stand), white(material.policy) + 1)


def correct(evidence: Evidence, material: Material, stand: Stand, generator: np.random.Generator) -> int:
    """How many frames' classes are told by who has learned from frames of known scenes, under keys of his own.

    Raises InputError if no known scene has a class.
    """
    known = np.flatnonzero(evidence.labels >= 0)[:SCENES]
    if not known.size:
        raise InputError(
            "scenes without classes train no classifier", hint="give scenes with classes, such as CIFAR-10"
        )
    parts = np.array_split(known, -(-len(known) // _CAPTURED))
    own = [described(make_material(evidence.scenes[part], material.policy), stand) for part in parts]
    classifier = train(np.concatenate(own), evidence.labels[known], generator)
    return int((classifier.classes(described(material, stand)) == material.labels).sum())


def run(evidence: Evidence, stand: Stand, generator: np.random.Generator) -> Finding:
    """Classify up to 400 frames, and as many of the control; chance is the commonest class.

    Raises InputError if the scenes have no classes.
    """
    material, control = evidence.material.first(FRAMES), evidence.control.first(FRAMES)
    if material.labels.min() < 0:
        raise InputError("frames of scenes without classes", hint="give scenes with classes, such as CIFAR-10")
    hits, of_control = (correct(evidence, one, stand, generator) for one in (material, control))
    chance = commonest_share(material.labels)
    scale = Scale("share of frames classified rightly", chance, chance + _ABOVE_CHANCE * (1 - chance))
    return Finding.judged(
        scale,
        share_interval(hits, len(material)),
        attack=NAME,
        stand=stand,
        policy=evidence.name,
        score=hits / len(material),
        control_broke=share_interval(of_control, len(control)).low > scale.fail,
        frames=len(material),
        smallest_breaking=1,
        note=(
            "Two layers, trained on the histograms of frames of other scenes, see one frame at a time. Chance is the "
            "share of the frames' commonest class."
        ),
    )


ATTACK = Attack(
    name=NAME,
    title="The class is told by the values",
    stands=(Stand.FILE, Stand.MEMORY),
    frames_needed=FRAMES,
    run=run,
)
