"""The paper's Figure 3 as a picture: what a camera sees, what it puts out, and what networks make of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from adc_firmware.frame import PrivateFrame
from inference.models import VOC_CLASSES
from inference.pictures import voc_palette
from keyvault.files import write_whole
from segmentation_bench import Bench, resized
from voc import Example, Voc

COLUMNS = (
    "Input",
    "Private frame\nas its file has it",
    "Plain network\non the input",
    "Keyed network\non the private frame",
    "Keyed network\nwith a wrong key",
)
_PREDICTIONS = ("plain", "keyed", "substituted")
_SIDE = 2.0  # inches of one picture
_LEGEND_COLUMNS = 7


@dataclass(frozen=True)
class Row:
    """Pictures of one image: uint8 RGB, or labels uint8 (h, w) by row of label_maps.ROWS."""

    image: NDArray[np.uint8]
    private: NDArray[np.uint8]
    labels: dict[str, NDArray[np.uint8]]


def choose(voc: Voc, count: int) -> tuple[str, ...]:
    """So many names, evenly spaced over the list."""
    steps = np.linspace(0, len(voc.names) - 1, min(count, len(voc.names)))
    return tuple(voc.names[round(float(step))] for step in steps)


def rows(bench: Bench, voc: Voc, names: Iterable[str]) -> list[Row]:
    """Compute the pictures of images of the list; InputError if one cannot be read."""
    return [_row(bench, voc.read(name), voc.names.index(name)) for name in names]


def _row(bench: Bench, example: Example, number: int) -> Row:
    image = resized(example.image, bench.chosen.size)
    private = bench.captured(image, example.name)
    scores = bench.scores([image], [bench.sides.opened(private)], number)
    labels = {row: scores[row][0].argmax(0).byte().numpy() for row in _PREDICTIONS}
    return Row(image, stored_picture(private), labels)


def stored_picture(frame: PrivateFrame) -> NDArray[np.uint8]:
    """Samples of a private frame as its file has them, as uint8 RGB (h, w, 3); a mosaic is grey."""
    samples = (frame.samples >> max(0, frame.header.policy.bits - 8)).astype(np.uint8)
    return samples if samples.ndim == 3 else np.repeat(samples[..., None], 3, axis=2)


def draw(output: Path, found: list[Row]) -> None:
    """Write the picture, a PNG; OutputError if it cannot be written."""
    present = sorted({int(label) for row in found for labels in row.labels.values() for label in np.unique(labels)})
    lines = -(-len(present) // _LEGEND_COLUMNS)
    head, foot = 0.55, 0.25 * lines + 0.15
    height = _SIDE * len(found) + head + foot
    figure = Figure(figsize=(_SIDE * len(COLUMNS), height), dpi=150)
    axes: Any = figure.subplots(len(found), len(COLUMNS), squeeze=False)
    for row, cells in zip(found, axes, strict=True):
        pictures = [row.image, row.private, *(voc_palette()[row.labels[name]] for name in _PREDICTIONS)]
        for cell, picture in zip(cells, pictures, strict=True):
            cell.imshow(picture, interpolation="antialiased", aspect="auto")
            cell.set_axis_off()
    for cell, title in zip(axes[0], COLUMNS, strict=True):
        cell.set_title(title, fontsize=10, pad=5)
    patches = [
        Patch(facecolor=voc_palette()[label] / 255, edgecolor="0.3", linewidth=0.5, label=VOC_CLASSES[label])
        for label in present
    ]
    figure.legend(handles=patches, loc="lower center", ncols=_LEGEND_COLUMNS, fontsize=8, frameon=False)
    figure.subplots_adjust(0.006, foot / height, 0.994, 1 - head / height, 0.03, 0.03)
    file = BytesIO()
    figure.savefig(file, format="png")
    write_whole(output, file.getvalue())
