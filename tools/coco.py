"""COCO's layout: a JSON file of instances and a folder of images; and its average precision."""

from __future__ import annotations

import contextlib
import io
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from image_sources import read_image
from keyvault.errors import InputError

_PRECISIONS = ("ap", "ap50", "ap75")


@dataclass(frozen=True)
class Coco:
    """A data set.

    Attributes:
        folder: of the images.
        files: name of each image's file by its id, in the order of ids.
        content: the instances file: images, categories, annotations.
    """

    folder: Path
    files: Mapping[int, str]
    content: Mapping[str, Any]

    def read(self, number: int) -> NDArray[np.uint8]:
        """The image of an id, uint8 RGB (h, w, 3); InputError if it cannot be read."""
        path = self.folder / self.files[number]
        image = read_image(path)
        if image.dtype != np.uint8:
            raise InputError(f"{path} has more than 8 bits a channel", hint="convert it")
        return image.astype(np.uint8, copy=False)

    def check_images(self, numbers: Iterable[int]) -> None:
        """Raise InputError unless the images of these ids have files."""
        for number in numbers:
            path = self.folder / self.files[number]
            if not path.is_file():
                raise InputError(f"there is no image {path}", hint="check the folder of the images")

    def check_annotations(self, numbers: Iterable[int]) -> None:
        """Raise InputError if no annotation of these images is of one object: precision is measured by these alone."""
        looked_at, annotations = set(numbers), self.content["annotations"]
        if not any(one["image_id"] in looked_at and one["iscrowd"] == 0 for one in annotations):
            raise InputError(
                "the images have no annotations to compare with, crowds aside", hint="give another instances file"
            )

    def check_classes(self, classes: Sequence[str]) -> None:
        """Raise InputError unless the ids of categories are the class numbers of a detector."""
        for category in self.content["categories"]:
            number, name = category["id"], category["name"]
            if not 0 <= number < len(classes) or classes[number] != name:
                raise InputError(
                    f"category {number} is {name!r:.40}, for the detector it is "
                    f"{classes[number] if 0 <= number < len(classes) else 'none'!r}",
                    hint="give a data set with COCO's categories",
                )


def open_coco(instances: Path, folder: Path) -> Coco:
    """Open a data set; InputError if the file is not of COCO's form or the folder is not there."""
    try:
        content = json.loads(instances.read_bytes())
        files = _checked(content)
    except OSError as error:
        raise InputError(f"cannot read {instances}: {error.strerror or error}", hint="check the path") from error
    except (ValueError, OverflowError, RecursionError) as error:
        raise InputError(
            f"{instances} is not COCO's instances file: {error!s:.120}", hint="check the data set"
        ) from error
    if not files:
        raise InputError(f"{instances} names no images", hint="check the data set")
    if not folder.is_dir():
        raise InputError(f"there is no folder {folder}", hint="give the folder of the images")
    return Coco(folder, dict(sorted(files.items())), content)


def _checked(content: Any) -> dict[int, str]:
    """Name of each image's file by its id; ValueError or OverflowError unless pycocotools can use all of it."""
    images, categories, annotations = (_by_id(content, name) for name in ("images", "categories", "annotations"))
    for number, category in categories.items():
        _member(category, "name", str, f"category {number}")
    for number, annotation in annotations.items():
        what = f"annotation {number}"
        if _member(annotation, "image_id", int, what) not in images:
            raise ValueError(f"{what} is of no image")
        if _member(annotation, "category_id", int, what) not in categories:
            raise ValueError(f"{what} is of no category")
        box = _member(annotation, "bbox", list, what)
        if len(box) != 4 or not all(map(_is_finite, box)) or min(box[2:]) < 0:
            raise ValueError(f"bbox of {what} is {box!r:.40}")
        if not _is_finite(_member(annotation, "area", (int, float), what)):
            raise ValueError(f"area of {what} is not finite")
        if _member(annotation, "iscrowd", int, what) not in (0, 1):
            raise ValueError(f"iscrowd of {what} is neither 0 nor 1")
    return {number: _member(image, "file_name", str, f"image {number}") for number, image in images.items()}


def _by_id(content: Any, name: str) -> dict[int, Any]:
    found: dict[int, Any] = {}
    for entry in _member(content, name, list, "the file"):
        number = _member(entry, "id", int, f"one of {name}")
        if number in found:
            raise ValueError(f"two of {name} have id {number}")
        found[number] = entry
    return found


def _member(entry: Any, name: str, kind: type | tuple[type, ...], what: str) -> Any:
    if not isinstance(entry, dict) or name not in entry:
        raise ValueError(f"{what} has no {name}")
    value = entry[name]
    if not isinstance(value, kind) or isinstance(value, bool):
        raise ValueError(f"{name} of {what} is {value!r:.40}")
    return value


def _is_finite(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def average_precision(coco: Coco, detections: Mapping[int, Sequence[Sequence[float]]]) -> dict[str, float]:
    """COCO's AP over thresholds 0.50 to 0.95, and at 0.50 and 0.75, by pycocotools.

    Args:
        coco: the data set.
        detections: of each image that was looked at, by its id: (x1, y1, x2, y2, label, score) each, in
            pixels of the image's file.

    Raises InputError if those images have no annotations.
    """
    results = [
        {"image_id": number, "category_id": int(label), "bbox": [x1, y1, x2 - x1, y2 - y1], "score": score}
        for number, found in detections.items()
        for x1, y1, x2, y2, label, score in found
    ]
    coco.check_annotations(detections)
    if not results:
        return dict.fromkeys(_PRECISIONS, 0.0)
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = {**coco.content, "annotations": _numbered(coco.content["annotations"])}
        truth.createIndex()
        scoring = COCOeval(truth, truth.loadRes(results), "bbox")
        scoring.params.imgIds = sorted(detections)
        scoring.evaluate()
        scoring.accumulate()
        scoring.summarize()
    return {name: float(value) for name, value in zip(_PRECISIONS, scoring.stats, strict=False)}


def _numbered(annotations: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The annotations with ids from 1: pycocotools takes a box that is paired with number 0 for one without a pair."""
    return [{**annotation, "id": number} for number, annotation in enumerate(annotations, 1)]
