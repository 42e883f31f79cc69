"""COCO's layout: a JSON file of instances and a folder of images; and its average precision."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from keyvault.console import native_messages_off
from keyvault.errors import InputError
from sensor_sim.photograph import decode

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
        with native_messages_off():
            image = decode(path)
        if image.dtype != np.uint8:
            raise InputError(f"{path} has more than 8 bits a channel", hint="convert it")
        return image.astype(np.uint8, copy=False)

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
        files = {int(image["id"]): str(image["file_name"]) for image in content["images"]}
        for category in content["categories"]:
            int(category["id"]), str(category["name"])
        for annotation in content["annotations"]:
            _, _, _, _ = map(float, annotation["bbox"])
            if annotation["image_id"] not in files:
                raise ValueError(f"annotation {annotation['id']} is of no image")
            int(annotation["category_id"]), float(annotation["area"]), annotation["iscrowd"]
    except OSError as error:
        raise InputError(f"cannot read {instances}: {error.strerror or error}", hint="check the path") from error
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{instances} is not COCO's instances file: {error!r:.80}", hint="check the data set"
        ) from error
    if not files:
        raise InputError(f"{instances} names no images", hint="check the data set")
    if not folder.is_dir():
        raise InputError(f"there is no folder {folder}", hint="give the folder of the images")
    return Coco(folder, dict(sorted(files.items())), content)


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
    if not any(annotation["image_id"] in detections for annotation in coco.content["annotations"]):
        raise InputError("the images have no annotations to compare with", hint="give another instances file")
    if not results:
        return dict.fromkeys(_PRECISIONS, 0.0)
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = dict(coco.content)
        truth.createIndex()
        scoring = COCOeval(truth, truth.loadRes(results), "bbox")
        scoring.params.imgIds = sorted(detections)
        scoring.evaluate()
        scoring.accumulate()
        scoring.summarize()
    return {name: float(value) for name, value in zip(_PRECISIONS, scoring.stats, strict=False)}
