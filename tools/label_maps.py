"""Figures of label maps: against masks, and keyed against plain."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from inference.models import VOC_CLASSES
from voc import VOID, Example

#: What is compared, and how a report calls it; a label map of each is made from every image.
ROWS = {
    "plain": "plain network, plain images",
    "keyed": "keyed network, private frames",
    "substituted": "keyed, permutation substituted",
    "unkeyed": "plain network, shuffled frames",
    "rounding": "plain network in float64",
}


@dataclass(frozen=True)
class Confusion:
    """Pixels by true and by predicted class, int64 (classes, classes)."""

    counts: NDArray[np.int64] = field(default_factory=lambda: np.zeros((len(VOC_CLASSES),) * 2, np.int64))

    def add(self, mask: NDArray[np.uint8], labels: NDArray[np.uint8]) -> None:
        """Count a label map, scaled to the mask by nearest neighbour, where the mask is not void."""
        classes = len(self.counts)
        resized = cv2.resize(labels, mask.shape[::-1], interpolation=cv2.INTER_NEAREST_EXACT)
        known = mask != VOID
        pairs = classes * mask[known].astype(np.int64) + resized[known]
        self.counts[...] += np.bincount(pairs, minlength=classes**2).reshape(classes, classes)

    @property
    def mean_iou(self) -> float:
        """Intersection over union, the mean of all classes that are in a mask or a label map."""
        hits = np.diag(self.counts)
        union = self.counts.sum(0) + self.counts.sum(1) - hits
        return float(np.mean(hits[union > 0] / union[union > 0]))

    @property
    def pixel_accuracy(self) -> float:
        """Share of pixels with the right class."""
        return float(np.trace(self.counts) / self.counts.sum())

    def __str__(self) -> str:
        if not self.counts.any():
            return "no pixel of a mask has a class"
        return f"mIoU {100 * self.mean_iou:.2f} %, pixel accuracy {100 * self.pixel_accuracy:.2f} %"


def _confusions() -> dict[str, Confusion]:
    return {row: Confusion() for row in ROWS}


@dataclass
class Evaluation:
    """What the images gave: against their masks, and against the plain network at the network's positions.

    Attributes:
        confusions: of each of ROWS.
        images, positions: how many were counted.
        equal: positions that have the plain network's label, of each of ROWS.
        largest_difference: of a keyed score from its plain one.
    """

    confusions: dict[str, Confusion] = field(default_factory=_confusions)
    images: int = 0
    positions: int = 0
    equal: dict[str, int] = field(default_factory=lambda: dict.fromkeys(ROWS, 0))
    largest_difference: float = 0.0

    def add(self, examples: list[Example], scores: Mapping[str, Tensor]) -> None:
        """Count a batch from the scores (N, classes, h, w) of each of ROWS."""
        maps = {row: scores[row].argmax(1).byte().numpy() for row in ROWS}
        for row, labels in maps.items():
            for example, one in zip(examples, labels, strict=True):
                self.confusions[row].add(example.mask, one)
            self.equal[row] += int((labels == maps["plain"]).sum())
        self.images += len(examples)
        self.positions += maps["plain"].size
        self.largest_difference = max(self.largest_difference, float((scores["plain"] - scores["keyed"]).abs().max()))

    def to_json(self) -> dict[str, Any]:
        """All counts as JSON values."""
        return {
            "images": self.images,
            "positions": self.positions,
            "equal": self.equal,
            "largest_difference": self.largest_difference,
            "confusions": {row: confusion.counts.tolist() for row, confusion in self.confusions.items()},
        }

    @classmethod
    def from_json(cls, counts: Mapping[str, Any]) -> Evaluation:
        """What :meth:`to_json` made; KeyError, TypeError or ValueError if it is something else."""
        confusions = {row: Confusion(np.array(counts["confusions"][row], np.int64)) for row in ROWS}
        if any(confusion.counts.shape != (len(VOC_CLASSES),) * 2 for confusion in confusions.values()):
            raise ValueError("counts are of other classes")
        equal = {row: int(counts["equal"][row]) for row in ROWS}
        numbers = int(counts["images"]), int(counts["positions"])
        return cls(confusions, *numbers, equal, float(counts["largest_difference"]))

    def figures(self, *, trained: bool) -> dict[str, Any]:
        """The figures as JSON values; without those against masks if it is not trained, or no mask has a class."""
        rows: dict[str, dict[str, float]] = {row: {"equal_to_plain": self.equal[row] / self.positions} for row in ROWS}
        if trained:
            counted = {row: confusion for row, confusion in self.confusions.items() if confusion.counts.any()}
            for row, confusion in counted.items():
                rows[row] |= {"mean_iou": confusion.mean_iou, "pixel_accuracy": confusion.pixel_accuracy}
        return {
            "images": self.images,
            "positions": self.positions,
            "positions_equal": self.equal["keyed"],
            "largest_difference": self.largest_difference,
            "rows": rows,
        }

    def report(self, *, trained: bool = True) -> str:
        """The figures, one a line."""
        lines = [f"{'images:':35}{self.images}"]
        if trained:
            lines += [f"{title + ':':35}{self.confusions[row]}" for row, title in ROWS.items()]
        else:
            lines.append("random weights: labels mean nothing, only agreement does")
        lines += [
            f"positions of equal label:          {self.equal['keyed']} of {self.positions}",
            f"equal, permutation substituted:    {self.equal['substituted']} of {self.positions}",
            f"equal, plain on shuffled frames:   {self.equal['unkeyed']} of {self.positions}",
            f"equal, plain in float64:           {self.equal['rounding']} of {self.positions}",
            f"largest difference of a score:     {self.largest_difference:.1e}",
        ]
        return "\n".join(lines)
