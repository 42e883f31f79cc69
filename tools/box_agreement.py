"""Whether two detectors find the same boxes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torchvision.ops import box_iou

Detections = Sequence[Sequence[float]]  # (x1, y1, x2, y2, label, score) each
#: Two boxes count as the same from this intersection over union, or with corners so near, in pixels: small
#: boxes overlap by less, and empty ones not at all.
SAME_OVERLAP = 0.99
SAME_CORNERS = 0.1


@dataclass(frozen=True)
class Agreement:
    """Boxes of one detector that another one finds too.

    Attributes:
        boxes: of the first.
        others: of the second.
        equal: pairs of the same label in the same place; each box is in one pair at most.
        largest_shift: of a corner in a pair, in pixels.
        largest_difference: of the scores in a pair.
    """

    boxes: int = 0
    others: int = 0
    equal: int = 0
    largest_shift: float = 0.0
    largest_difference: float = 0.0

    def __add__(self, other: Agreement) -> Agreement:
        return Agreement(
            self.boxes + other.boxes,
            self.others + other.others,
            self.equal + other.equal,
            max(self.largest_shift, other.largest_shift),
            max(self.largest_difference, other.largest_difference),
        )

    @property
    def more(self) -> int:
        """Boxes that the second detector alone finds."""
        return self.others - self.equal

    def __str__(self) -> str:
        if not self.boxes and not self.others:
            return "nothing found: agreement says nothing"
        counted = f"{self.equal} of {self.boxes} boxes, {self.more} more"
        if not self.equal:
            return counted
        return (
            f"{counted}; in pairs, corners differ by up to {self.largest_shift:.1e} px and scores by "
            f"{self.largest_difference:.1e}"
        )


def agreement(first: Detections, second: Detections) -> Agreement:
    """Pair the boxes of one image, the best scores of ``first`` first, each with the nearest one that is left."""
    if not first or not second:
        return Agreement(len(first), len(second))
    one, other = (torch.tensor(found, dtype=torch.float64) for found in (first, second))
    corners = (one[:, None, :4] - other[None, :, :4]).abs().amax(2)
    scores = (one[:, None, 5] - other[None, :, 5]).abs()
    same = (box_iou(one[:, :4], other[:, :4]) >= SAME_OVERLAP) | (corners <= SAME_CORNERS)
    apart = torch.where(same & (one[:, None, 4] == other[None, :, 4]), torch.maximum(corners, scores), torch.inf)
    equal, shift, difference = 0, 0.0, 0.0
    for index in one[:, 5].argsort(descending=True, stable=True).tolist():
        chosen = int(apart[index].argmin())
        if apart[index, chosen].isinf():
            continue
        shift = max(shift, float(corners[index, chosen]))
        difference = max(difference, float(scores[index, chosen]))
        apart[:, chosen] = torch.inf
        equal += 1
    return Agreement(len(first), len(second), equal, shift, difference)
