"""CIFAR-10 as private frames under the two settings of Table 1: keys, replays, and what a stranger sees of them.

A folder of replays holds, for each setting, a home with its keys and one replay for each split, made by
replay_dataset.py.  What is there already is used again.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

import inference
import replay_dataset
from adc_firmware import decode
from cifar10 import SIDE, Cifar10
from inference.imaging import IspSettings
from inference.imaging.settings import Gamma, Triple
from inference.models import Preset
from inference.session import Session
from keyvault.errors import InputError
from keyvault.files import make_folder
from keyvault.hosts import generate_host_key, save_host_key
from keyvault.issuing import Terms
from keyvault.policy import Cfa, FrameKeys, Policy, Protection
from keyvault.vault import Vault
from shards import Manifest, Sample, iter_shard, read_manifest, shard_name

SPLITS = ("train", "test")
DEFAULT_REPLAYS = Path("runs/replays")
_SENSOR, _HOST = "cam", "lab"
_UNTIL = 2**32  # the data set's keys do not run out


@dataclass(frozen=True)
class Setting:
    """One way of protecting every image.

    Attributes:
        name: for options and folders.
        title: for people.
        policy: of the sensor and its frames.
    """

    name: str
    title: str
    policy: Policy

    @property
    def masked(self) -> bool:
        """Whether the file's samples are masked too."""
        return self.policy.protection is Protection.SHUFFLE_MASK

    def isp_settings(self, chosen: Preset, mean: Triple, std: Triple) -> IspSettings:
        """How frames become the network's input; a stacked sensor's samples stay in their stored order (Eq. 1)."""
        if self.policy.samples_per_photosite == 1:
            return chosen.isp_settings(gamma=Gamma.NONE, mean=mean, std=std)
        return IspSettings(gamma=Gamma.NONE, mean=mean, std=std, keep_order=True)


SETTINGS = {
    setting.name: setting
    for setting in (
        Setting(
            "stacked-fixed",
            "paper's setting: stacked sensor, shuffle, one fixed key",
            Policy(
                *(SIDE, SIDE, Cfa.NONE),
                samples_per_photosite=3,
                bits=8,
                protection=Protection.SHUFFLE,
                frame_keys=FrameKeys.FIXED,
            ),
        ),
        Setting(
            "default",
            "default policy: RGGB quads, shuffle+mask, a key for each frame",
            Policy(2 * SIDE, 2 * SIDE, Cfa.RGGB, bits=8),
        ),
    )
}


@dataclass(frozen=True)
class Place:
    """Where the replays of one setting are."""

    setting: Setting
    folder: Path

    @property
    def home(self) -> Path:
        """Vault, sealed key, host and device of this setting."""
        return self.folder / "home"

    def shards(self, split: str) -> Path:
        """The replay of a split."""
        return self.folder / split

    @property
    def keys(self) -> list[str]:
        """Ids of the keys that the frames are under."""
        return sorted(self.session().grants)

    @property
    def recorded(self) -> str:
        """The same in one word, as a recipe has it in ``replays``."""
        return "+".join(self.keys)

    def session(self) -> Session:
        """An authorised host of these frames."""
        return inference.open_session(
            self.home / "sealed.bin", self.home / "host.pem", self.home / "issuer.pub", home=self.home
        )


def place_of(setting: Setting, replays: Path, limit: int | None = None) -> Place:
    """Where the replays of a setting are in the folder of all; those of the first so many images are apart."""
    return Place(setting, replays / (setting.name if limit is None else f"{setting.name}-first-{limit}"))


def prepare(setting: Setting, replays: Path, data: Path, *, limit: int | None = None, shard: int = 1000) -> Place:
    """Make keys and replay both splits, or finish or reuse what is there.

    Args:
        setting: how every image is protected.
        replays: the folder of all settings.
        data: CIFAR-10.
        limit: only the first so many images of each split, in a folder of their own.
        shard: frames in a shard.

    Raises:
        InputError: the data set is not there, or has another layout.
        OutputError: the replays were made from other data or with other options.
    """
    place = place_of(setting, replays, limit)
    if not place.home.exists():
        _make_home(place)
    for split in SPLITS:
        options = ["--key", place.home / "sealed.bin", "--device", place.home / "sensor.json", "--sampling", "quad"]
        options += ["--format", "cifar10", "--split", split, "--shard-size", shard, "--resume"]
        options += ["--limit", limit] if limit else []
        arguments = [str(word) for word in (*options, "-o", place.shards(split), data)]
        replay_dataset.main.main(arguments, prog_name="replay_dataset", standalone_mode=False)
    return place


def _make_home(place: Place) -> None:
    """Vault, sensor, host and sealed key, in place whole or not at all."""
    make_folder(place.folder)
    with tempfile.TemporaryDirectory(dir=place.folder, prefix=".home-") as temporary:
        base, host = Path(temporary) / "home", generate_host_key()
        base.mkdir(mode=0o700)
        with Vault.create(base, None) as vault:
            vault.enroll_sensor(_SENSOR, base / "sensor.json")
            vault.enroll_host(_HOST, host.public_key())
            terms = Terms((_HOST,), place.setting.policy, 0, _UNTIL)
            (base / "sealed.bin").write_bytes(vault.issue(_SENSOR, terms).data)
        save_host_key(host, base / "host.pem", None)
        base.rename(place.home)


def read_shard(folder: Path, manifest: Manifest, number: int, data: Cifar10) -> list[Sample]:
    """The frames of one shard, held against the data set.

    Raises:
        InputError: the shard is damaged, incomplete, or of another data set.
    """
    path = folder / shard_name(number)
    samples = list(iter_shard(path))
    if len(samples) != manifest.shards[number]:
        raise InputError(
            f"{path} holds {len(samples)} frames, not {manifest.shards[number]}", hint="replay the data set again"
        )
    for sample in samples:
        index = sample.info.get("index")
        if not isinstance(index, int) or not 0 <= index < len(data.labels) or sample.label != data.labels[index]:
            raise InputError(
                f"frame {sample.key} of {path} is not of this data set", hint="give the data set that was replayed"
            )
    return samples


def viewed(samples: NDArray[np.uint16]) -> NDArray[np.uint8]:
    """What one who does not know of the protection takes 8-bit samples for.

    Args:
        samples: (n, 32, 32, 3) of a stacked sensor, or (n, 64, 64) of an RGGB mosaic.

    Returns uint8 (n, 32, 32, 3): the samples, or a pixel of each quad with its greens averaged.
    """
    if samples.ndim == 4:
        return samples.astype(np.uint8)
    green = (samples[:, ::2, 1::2] + samples[:, 1::2, ::2] + 1) // 2
    return np.stack((samples[:, ::2, ::2], green, samples[:, 1::2, 1::2]), axis=-1).astype(np.uint8)


def stranger_images(place: Place, split: str, data: Cifar10) -> Cifar10:
    """The private images of a split as they lie in the files, with their labels; every signature is verified.

    Raises:
        InputError: the replay does not hold every image of the data set in its order, or read_shard refuses a shard.
    """
    manifest, grants = read_manifest(place.shards(split)), place.session().grants
    found, labels, indices = [], list[int | None](), list[int]()
    for number in tqdm(range(len(manifest.shards)), desc=f"private {split} images", unit="shard", disable=None):
        samples = read_shard(place.shards(split), manifest, number, data)
        found.append(viewed(np.stack([decode(sample.frame, grants).samples for sample in samples])))
        labels += [sample.label for sample in samples]
        indices += [sample.info["index"] for sample in samples]
    if indices != list(range(len(data.labels))):
        raise InputError(
            f"{place.shards(split)} does not hold the {len(data.labels):,} images of {split} in their order",
            hint="replay the data set again",
        )
    return Cifar10(np.concatenate(found), np.array(labels, np.uint8))


def batches(samples: list[Sample], size: int) -> Iterator[list[Sample]]:
    """SAMPLES, so many at a time."""
    for first in range(0, len(samples), size):
        yield samples[first : first + size]
