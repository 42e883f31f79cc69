"""Labelled images from where people keep them: CIFAR-10, a folder for each class, single files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import cifar10
from keyvault.console import native_messages_off
from keyvault.errors import InputError
from sensor_sim.errors import SceneError
from sensor_sim.photograph import decode

SUFFIXES = frozenset((".bmp", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"))
_CIFAR10 = ("cifar-10-batches-*", f"{cifar10.TRAIN_FILES[0]}*", f"{cifar10.TEST_FILES[0]}*")


@dataclass(frozen=True, slots=True)
class Item:
    """One image: RGB (h, w, 3) of uint8 or uint16, its class number or None, and its name."""

    image: NDArray[Any]
    label: int | None
    name: str


@dataclass(frozen=True, slots=True)
class ImageSource:
    """A numbered collection of images.

    Attributes:
        kind: ``cifar10``, ``folder`` or ``images``.
        classes: names of the classes, by label; empty without labels.
        read: the item of a number from 0 to length - 1; InputError if it cannot be read.
        length: how many there are.
    """

    kind: str
    classes: tuple[str, ...]
    read: Callable[[int], Item]
    length: int


def open_cifar10(folder: Path, split: str) -> ImageSource:
    """CIFAR-10 in its binary or Python layout; ``split`` is train or test."""
    data = cifar10.load(folder, split)

    def read(index: int) -> Item:
        return Item(data.images[index], int(data.labels[index]), f"{split}/{index}")

    return ImageSource("cifar10", cifar10.CLASSES, read, len(data.labels))


def read_image(path: Path) -> NDArray[Any]:
    """An image file of a data set: RGB (h, w, 3), uint8 or uint16; SceneError if it cannot be read."""
    try:
        with native_messages_off():
            return decode(path)
    except SceneError as error:
        raise SceneError(str(error), hint="check the data set: its images are intact PNG, JPEG and the like") from error


def open_folder(folder: Path) -> ImageSource:
    """A folder with one folder of images for each class; labels number the classes by name.

    Raises:
        InputError: it holds no such folders, or no images.
    """
    classes = tuple(sorted(path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")))
    files = [(path, label) for label, name in enumerate(classes) for path in _images(folder / name)]

    def read(index: int) -> Item:
        path, label = files[index]
        return Item(read_image(path), label, str(path.relative_to(folder)))

    if not files:
        raise InputError(f"no images in folders of {folder}", hint="give a folder that holds one folder for each class")
    return ImageSource("folder", classes, read, len(files))


def open_images(sources: Sequence[Path]) -> ImageSource:
    """Image files, and folders of them, without labels; InputError if there is none."""
    files = image_files(sources)

    def read(index: int) -> Item:
        return Item(read_image(files[index]), None, str(files[index]))

    if not files:
        raise InputError(f"no images in {', '.join(map(str, sources))}", hint=f"known: {' '.join(sorted(SUFFIXES))}")
    return ImageSource("images", (), read, len(files))


def image_files(sources: Sequence[Path]) -> list[Path]:
    """The files that :func:`open_images` reads, in its order."""
    return [file for source in sources for file in (_images(source) if source.is_dir() else [source])]


def open_source(sources: Sequence[Path], kind: str | None, split: str) -> ImageSource:
    """Open what is there; ``kind`` None finds out which of the three it is.

    Raises:
        InputError: it is not there, or not of that kind.
    """
    for path in sources:
        if not path.exists():
            raise InputError(f"there is no {path}", hint="check the path")
    kind = kind or _kind(sources)
    if kind == "images":
        return open_images(sources)
    if len(sources) != 1 or not sources[0].is_dir():
        raise InputError(f"{kind} is one folder, not {', '.join(map(str, sources))}", hint="give one folder")
    return open_cifar10(sources[0], split) if kind == "cifar10" else open_folder(sources[0])


def check_uint8(item: Item) -> NDArray[np.uint8]:
    """The item's image, if its values are 8-bit; InputError otherwise."""
    if item.image.dtype != np.uint8:
        raise InputError(f"{item.name} has {8 * item.image.dtype.itemsize} bits a channel, not 8", hint="convert it")
    return item.image


def _kind(sources: Sequence[Path]) -> str:
    if len(sources) != 1 or not sources[0].is_dir():
        return "images"
    if any(any(sources[0].glob(pattern)) for pattern in _CIFAR10):
        return "cifar10"
    return "images" if _images(sources[0]) else "folder"


def _images(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES and path.is_file())
