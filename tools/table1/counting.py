"""One shard of a replay through the plain and the keyed network: every prediction."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

import inference
from adc_firmware import decode
from both_sides import substituted
from cifar10 import SIDE, Cifar10
from inference.imaging import IspSettings
from inference.session import Session
from normalised import normalised, planes
from private_replays import SPLITS, Place, batches, viewed
from shards import Sample
from table1.networks import Candidate
from table1.parts import TRAINED, part_of

#: What is asked for a class: name in the results, and row of the table.
ROWS = {
    "plain": "plain network, plain images",
    "file": "plain network, private images (as in the file)",
    "memory": "plain network, private images (unmasked, shuffled)",
    "keyed": "keyed network, with the key",
    "substituted": "keyed network, permutation substituted",
}

#: In place of a class where a row was not measured.
NOT_ASKED = "-"

#: Of the result of a shard, as JSON values.
COUNTED = {
    "split": SPLITS,
    "indices": [int],
    "labels": str,
    "predictions": {str: str},
    "largest_difference": float,
    "differing": [{"index": int, "margin": float}],
}


@dataclass(frozen=True)
class Bench:
    """A plain network, its keyed counterpart, and a host of the frames of one setting.

    Attributes:
        network: in evaluation mode.
        keyed: the same network, converted.
        session: opens the frames.
        settings: of the keyed ISP; mean and standard deviation are the plain network's too.
        masked: whether frames are masked.
        batch: how many images are computed at once.
    """

    network: nn.Module
    keyed: nn.Module
    session: Session
    settings: IspSettings
    masked: bool
    batch: int

    @classmethod
    def make(cls, candidate: Candidate, place: Place, batch: int) -> Bench:
        """Load and convert a network for the frames of a setting."""
        network, keyed = _converted(candidate, candidate.digest)
        settings = place.setting.isp_settings(candidate.preset, candidate.mean, candidate.std)
        return cls(network, keyed, place.session(), settings, place.setting.masked, batch)

    @property
    def rows(self) -> tuple[str, ...]:
        """The rows that are measured."""
        return rows_of(masked=self.masked)


def rows_of(*, masked: bool) -> tuple[str, ...]:
    """The rows of a setting; without a mask, file and memory hold the same samples."""
    return tuple(name for name in ROWS if masked or name != "memory")


@lru_cache(maxsize=1)
def _converted(candidate: Candidate, _digest: str) -> tuple[nn.Module, nn.Module]:
    """The plain network and its keyed counterpart, which serves every setting."""
    network = candidate.load()
    return network, inference.secure(network, torch.zeros(1, 3, SIDE, SIDE))


def count_shard(
    bench: Bench, split: str, samples: list[Sample], data: Cifar10, generator: np.random.Generator
) -> dict[str, Any]:
    """Predictions on every frame of a shard, as JSON values.

    Args:
        bench: the networks and the host.
        split: train or test.
        samples: the shard's.
        data: the split's images.
        generator: of the substituted permutations.

    Returns ``split``, ``indices`` of the images, ``labels`` and for each row its ``predictions`` as one digit an image
    (a dash where it was not asked: only the plain and the keyed network see batches that are all trained on), the
    ``largest_difference`` of a logit between plain and keyed, and ``differing``: index and margin (best logit less
    second best, plain network) where predictions differ.
    """
    found = dict.fromkeys(bench.rows, "")
    largest, differing = 0.0, []
    for part in batches(samples, bench.batch):
        index = [sample.info["index"] for sample in part]
        unseen = any(part_of(split, at) != TRAINED for at in index)
        logits = _batch(bench, part, data.images[index], generator if unseen else None)
        for name in found:
            found[name] += _digits(logits[name].argmax(1)) if name in logits else NOT_ASKED * len(part)
        largest = max(largest, float((logits["plain"] - logits["keyed"]).abs().max()))
        differing += _differing(index, logits["plain"], logits["keyed"])
    return {
        "split": split,
        "indices": [sample.info["index"] for sample in samples],
        "labels": "".join(str(sample.label) for sample in samples),
        "predictions": found,
        "largest_difference": largest,
        "differing": differing,
    }


@torch.inference_mode()
def _batch(
    bench: Bench, samples: list[Sample], images: NDArray[np.uint8], generator: np.random.Generator | None
) -> dict[str, Tensor]:
    """Logits of every row, or without a generator of the plain and the keyed network alone."""
    session, settings = bench.session, bench.settings
    private = [decode(sample.frame, session.grants) for sample in samples]
    frames = [session.open(frame) for frame in private]
    logits = {
        "plain": bench.network(_input(images, settings)),
        "keyed": bench.keyed(inference.isp(frames, settings=settings)),
    }
    if generator is None:
        return logits
    wrong = inference.isp([substituted(frame, generator) for frame in frames], settings=settings)
    logits["substituted"] = bench.keyed(wrong)
    logits["file"] = bench.network(_seen([frame.samples for frame in private], settings))
    if bench.masked:
        logits["memory"] = bench.network(_seen([frame.samples for frame in frames], settings))
    return logits


def _seen(samples: list[NDArray[np.uint16]], settings: IspSettings) -> Tensor:
    return _input(viewed(np.stack(samples)), settings)


def _input(images: NDArray[np.uint8], settings: IspSettings) -> Tensor:
    """The plain network's input (N, 3, h, w) of uint8 images (N, h, w, 3)."""
    return normalised(planes(images), settings.mean, settings.std)


def _digits(classes: Tensor) -> str:
    return "".join(map(str, classes.tolist()))


def _differing(index: list[int], plain: Tensor, keyed: Tensor) -> list[dict[str, Any]]:
    places = (plain.argmax(1) != keyed.argmax(1)).nonzero().flatten().tolist()
    margins = plain.topk(2, dim=1).values
    return [{"index": index[at], "margin": float(margins[at, 0] - margins[at, 1])} for at in places]


def consistent(counted: dict[str, Any], *, masked: bool) -> bool:
    """Whether a result of the form COUNTED says of every image of its shard what it should."""
    return tuple(counted["predictions"]) == rows_of(masked=masked) and {
        len(counted["indices"]),
        *map(len, counted["predictions"].values()),
    } == {len(counted["labels"])}


def result_file(folder: Path, split: str, number: int) -> Path:
    """Where the result of a shard is kept."""
    return folder / f"{split}-{number:06d}.json"
