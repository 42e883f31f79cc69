"""Every shard of both splits for one network and one setting, kept as files so that a run can be interrupted."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from cifar10 import Cifar10
from json_files import read_kept
from keyvault.errors import InputError
from keyvault.files import make_folder, write_whole
from measure import environment
from private_replays import SPLITS, Place, read_shard
from shards import Manifest, read_manifest
from table1.counting import COUNTED, Bench, consistent, count_shard, result_file
from table1.networks import Candidate

_FORM = {
    "options": dict,
    "environment": {"date": str, "processor": str, "processors_usable": int},
    "counted": COUNTED,
}


@dataclass(frozen=True)
class Effort:
    """What decides results besides network, weights and frames; results of another effort are not mixed with these."""

    batch: int
    seed: int
    threads: int


@dataclass(frozen=True)
class Job:
    """One network under one setting.

    Attributes:
        candidate: network and weights.
        place: replays and keys.
        data: each split.
        effort: how it is measured.
        folder: where results of shards are kept.
    """

    candidate: Candidate
    place: Place
    data: dict[str, Cifar10]
    effort: Effort
    folder: Path

    @cached_property
    def options(self) -> dict[str, Any]:
        """What the result of every shard depends on, as JSON values."""
        setting = self.place.setting
        return {
            **asdict(self.effort),
            "network": self.candidate.name,
            "weights": self.candidate.digest,
            "mean": list(self.candidate.mean),
            "std": list(self.candidate.std),
            "setting": setting.name,
            "policy": setting.policy.to_json(),
            "keys": self.place.keys,
            "data": {split: found.digest for split, found in self.data.items()},
        }

    def run(self) -> list[dict[str, Any]]:
        """Results of all shards, those of an earlier run as they were kept.

        Raises:
            InputError: the folder holds results of other options, or a shard cannot be read.
            WeightsError: the weights do not fit the network.
        """
        manifests = {split: read_manifest(self.place.shards(split)) for split in SPLITS}
        shards = [(split, number) for split in SPLITS for number in range(len(manifests[split].shards))]
        found = {at: self._kept(*at, manifests[at[0]]) for at in shards}
        missing = [at for at, result in found.items() if result is None]
        if missing:
            make_folder(self.folder)
            bench = Bench.make(self.candidate, self.place, self.effort.batch)
            frames = sum(manifests[split].shards[number] for split, number in missing)
            title = f"{self.candidate.name}, {self.place.setting.name}"
            with tqdm(total=frames, desc=title, unit="image", disable=None) as progress:
                for at in missing:
                    found[at] = self._measure(bench, *at, manifests[at[0]])
                    progress.update(manifests[at[0]].shards[at[1]])
        return [result for at in shards if (result := found[at]) is not None]

    def _measure(self, bench: Bench, split: str, number: int, manifest: Manifest) -> dict[str, Any]:
        samples = read_shard(self.place.shards(split), manifest, number, self.data[split])
        generator = np.random.default_rng([self.effort.seed, SPLITS.index(split), number])
        counted = count_shard(bench, split, samples, self.data[split], generator)
        content = {"options": self.options, "environment": environment(), "counted": counted}
        write_whole(result_file(self.folder, split, number), json.dumps(content).encode("ascii"))
        return content

    def _kept(self, split: str, number: int, manifest: Manifest) -> dict[str, Any] | None:
        """The result of a shard that an earlier run left, or None."""
        path = result_file(self.folder, split, number)
        if not path.exists():
            return None
        found: dict[str, Any] = read_kept(path, _FORM, "the result of a shard", self._sound)
        if found["options"] != self.options:
            raise InputError(
                f"{path} was measured with {_difference(found['options'], self.options)}",
                hint=f"give the same options, remove {self.folder}, or choose another --work",
            )
        counted = found["counted"]
        if (counted["split"], len(counted["labels"])) != (split, manifest.shards[number]):
            raise InputError(f"{path} is of another shard", hint=f"remove {path}")
        return found

    def _sound(self, found: dict[str, Any]) -> bool:
        return consistent(found["counted"], masked=self.place.setting.masked)


def _difference(found: dict[str, Any], wanted: dict[str, Any]) -> str:
    names = [name for name in sorted({*found, *wanted}) if found.get(name) != wanted.get(name)]
    return ", ".join(f"{name} {found.get(name)!r:.20}, not {wanted.get(name)!r:.20}" for name in names)
