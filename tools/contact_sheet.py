"""One picture that shows what each party sees of a frame."""

from __future__ import annotations

from pathlib import Path

import cv2
import matplotlib as mpl
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from numpy.typing import NDArray

import inference
from adc_firmware import PrivateFrame
from inference.session import ShuffledFrame

mpl.use("Agg")


def _raw_view(samples: NDArray[np.uint16], white: int) -> NDArray[np.float32]:
    """A mosaic as a viewer without key shows it: grey, display gamma."""
    return np.asarray(np.clip(samples / white, 0, 1) ** (1 / 2.2), np.float32)


def _panel(axes: Axes, image: NDArray[np.generic], title: str, caption: str) -> None:
    axes.imshow(image, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    axes.set_title(title, fontsize=11, loc="left", fontweight="bold")
    axes.set_xlabel(caption, fontsize=9, loc="left")
    axes.set_xticks([])
    axes.set_yticks([])


def draw(scene: Path, private: PrivateFrame, opened: ShuffledFrame, scores: dict[str, float], path: Path) -> None:
    """Write the sheet as PNG.

    Args:
        scene: the photograph.
        private: the frame as it left the chip.
        opened: the same on the host, mask taken off.
        scores: probability by class name, of the keyed network.
        path: where to write.
    """
    header = private.header
    photograph = cv2.cvtColor(cv2.imread(str(scene)), cv2.COLOR_BGR2RGB)
    revealed = inference.isp(opened).reveal()[0].permute(1, 2, 0).numpy()
    label = max(scores, key=scores.__getitem__)
    figure, axes = plt.subplots(2, 2, figsize=(9, 7), layout="constrained")
    _panel(axes[0, 0], photograph / 255, "Scene", "the simulated outside world")
    _panel(
        axes[0, 1],
        _raw_view(private.samples, 2**header.policy.bits - 1),
        "Private frame",
        f"all that leaves the chip: a DNG, key {header.key_id}, frame {header.counter}",
    )
    _panel(
        axes[1, 0],
        _raw_view(opened.samples, header.white_level),
        "On the authorised host",
        f"mask off, still shuffled; the network says: {label}, {100 * scores[label]:.1f} %",
    )
    _panel(axes[1, 1], revealed, "Revealed", "what the key holder could see, and the network never needs")
    figure.savefig(path, dpi=110)
    plt.close(figure)
