"""PASCAL VOC's layout: images, masks of class numbers, and a list of names."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from image_sources import read_image
from inference.models import VOC_CLASSES
from keyvault.errors import InputError

VOID = 255
#: Where a folder keeps images, masks and the list of names: a subset's way, and that of VOC itself.
LAYOUTS = (
    ("images", "masks", "val_subset.txt"),
    ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation/val.txt"),
)


@dataclass(frozen=True, slots=True)
class Example:
    """An image, uint8 RGB (h, w, 3), and the class of each pixel, uint8 (h, w), 255 for void."""

    name: str
    image: NDArray[np.uint8]
    mask: NDArray[np.uint8]


@dataclass(frozen=True)
class Voc:
    """A folder of images with masks.

    Attributes:
        images, masks: folders; files are NAME.jpg and NAME.png.
        names: of the examples, in the list's order.
    """

    images: Path
    masks: Path
    names: tuple[str, ...]

    def check_files(self, names: Iterable[str]) -> None:
        """Raise InputError unless examples have both files."""
        for name in names:
            for path in self.paths(name):
                if not path.is_file():
                    raise InputError(f"there is no {path}", hint="check the data set")

    def paths(self, name: str) -> tuple[Path, Path]:
        """The files of an example's image and mask."""
        return self.images / f"{name}.jpg", self.masks / f"{name}.png"

    def read(self, name: str) -> Example:
        """One example; InputError if a file cannot be read or the two differ in size."""
        picture, path = self.paths(name)
        image = read_image(picture)
        try:
            with Image.open(path) as file:
                mask = np.array(file)
        except OSError as error:
            raise InputError(
                f"cannot read mask {path}: {error.strerror or error}", hint="check the data set"
            ) from error
        if image.dtype != np.uint8 or mask.dtype != np.uint8 or mask.shape != image.shape[:2]:
            raise InputError(f"{path} is not a mask of its image: one class number a pixel", hint="check the data set")
        if ((mask >= len(VOC_CLASSES)) & (mask != VOID)).any():
            raise InputError(f"{path} has classes above {len(VOC_CLASSES) - 1}", hint="check the data set")
        return Example(name, image.astype(np.uint8, copy=False), mask)


def _names(path: Path) -> tuple[str, ...]:
    try:
        names = path.read_text(encoding="utf-8").split()
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text", hint="one name a line") from error
    if not names:
        raise InputError(f"{path} is empty", hint="one name a line")
    return tuple(names)


def open_voc(folder: Path) -> Voc:
    """Find images, masks and list of a folder; InputError if they are not there."""
    for images, masks, listed in LAYOUTS:
        if (folder / listed).is_file():
            return Voc(folder / images, folder / masks, _names(folder / listed))
    known = " or ".join(layout[2] for layout in LAYOUTS)
    raise InputError(f"{folder} is no VOC folder", hint=f"it has a list of names, {known}")
