"""Scenes for an audit: some are photographed, others are those that an attacker knows."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fingerprint import file_digest
from image_sources import ImageSource, Item, check_uint8, open_cifar10, open_source
from keyvault.errors import InputError

Labels = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Scenes:
    """Two sets of images without an image in common.

    Attributes:
        frames: uint8 (n, h, w, 3), of which frames are made.
        frame_labels: int64 (n,), their classes; -1 where unknown.
        known: uint8 (m, h, w, 3), that the attacker has.
        known_labels: int64 (m,).
    """

    frames: NDArray[np.uint8]
    frame_labels: Labels
    known: NDArray[np.uint8]
    known_labels: Labels


@dataclass(frozen=True, slots=True)
class Source:
    """Where scenes come from, and how many are wanted.

    Attributes:
        folder: a data set or a folder of images.
        frames: wanted for frames; none where frames exist already.
        known: wanted for the attacker, at most.
        files: digest of the folder's files, names and contents.
    """

    folder: Path
    frames: int
    known: int
    files: str

    @classmethod
    def of(cls, folder: Path, frames: int, known: int) -> Source:
        """Scenes of a folder as it is now; InputError if a file cannot be read."""
        found = sorted((path.relative_to(folder).as_posix(), file_digest(path)) for path in _files(folder))
        return cls(folder, frames, known, hashlib.sha256(repr(found).encode()).hexdigest())

    def to_json(self) -> dict[str, Any]:
        """What was asked for, as JSON values; the same files in another place are the same scenes."""
        return {"frames": self.frames, "known": self.known, "files": self.files}

    def open(self, shape: tuple[int, int]) -> Scenes:
        """Read the scenes, cropped and resized to ``shape`` (rows, columns) where they have another.

        CIFAR-10: frames show test images, the attacker knows training images, or further test images where there
        are no training images.  Images of a folder are dealt out at random, always in the same way.

        Raises:
            InputError: there is no such data set, it has another layout, or fewer images than frames are wanted.
        """
        source = open_source([self.folder], None, "test")
        if source.kind == "cifar10":
            return self._of_cifar10(source, shape)
        order = np.random.default_rng(0).permutation(source.length)
        return self._dealt(source, order, shape)

    def _of_cifar10(self, test: ImageSource, shape: tuple[int, int]) -> Scenes:
        try:
            train = open_cifar10(self.folder, "train")
        except InputError:
            return self._dealt(test, np.arange(test.length), shape)
        self._check(test.length)
        return Scenes(
            *_read(test, range(self.frames), shape), *_read(train, range(min(self.known, train.length)), shape)
        )

    def _dealt(self, source: ImageSource, order: NDArray[np.int64], shape: tuple[int, int]) -> Scenes:
        self._check(source.length)
        rest = order[self.frames : self.frames + self.known]
        return Scenes(*_read(source, order[: self.frames], shape), *_read(source, rest, shape))

    def _check(self, length: int) -> None:
        if length <= self.frames:
            raise InputError(
                f"{self.folder} has {length} images; {self.frames} frames and scenes that an attacker knows are wanted",
                hint="give more scenes, or a smaller --count",
            )


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file())


def _read(source: ImageSource, numbers: Iterable[int], shape: tuple[int, int]) -> tuple[NDArray[np.uint8], Labels]:
    items = [source.read(int(number)) for number in numbers]
    labels = np.array([-1 if item.label is None else item.label for item in items], np.int64)
    images = [_fitted(item, shape) for item in items]
    return np.stack(images) if images else np.empty((0, *shape, 3), np.uint8), labels


def _fitted(item: Item, shape: tuple[int, int]) -> NDArray[np.uint8]:
    """The middle of an image in the aspect of ``shape``, resized to it."""
    image = check_uint8(item)
    if image.shape[:2] == shape:
        return image
    scale = min(image.shape[0] / shape[0], image.shape[1] / shape[1])
    height, width = max(1, round(scale * shape[0])), max(1, round(scale * shape[1]))
    top, left = (image.shape[0] - height) // 2, (image.shape[1] - width) // 2
    part = image[top : top + height, left : left + width]
    return np.asarray(cv2.resize(part, shape[::-1], interpolation=cv2.INTER_AREA), np.uint8)
