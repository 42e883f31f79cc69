"""What the peers make of a photograph: python tools/peers_sheet.py -o peers.png

One picture: each protection at 224 x 224 and at 32 x 32 pixels under one key, with the size of the protected 224 x 224
image under lossless compression, relative to the plain one.
"""

from __future__ import annotations

import sys
from pathlib import Path

import click
import cv2
import matplotlib as mpl
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from cifar10 import SIDE
from example_photograph import PHOTOGRAPH
from keyvault.console import Command
from keyvault.errors import InputError
from keyvault.files import make_folder
from peers.block_cipher import Images
from peers.registry import PEERS, Protection
from sensor_sim.photograph import decode
from table2.cost import Compression, compress

mpl.use("Agg")

LARGE = 224
COLUMNS = 3


def square(photograph: Images) -> Images:
    """The middle of an (h, w, 3) image, scaled to (1, 224, 224, 3)."""
    height, width = photograph.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    middle = photograph[top : top + side, left : left + side]
    return np.asarray(cv2.resize(middle, (LARGE, LARGE), interpolation=cv2.INTER_AREA), np.uint8)[None]


def pair(large: Images, small: Images) -> Images:
    """Both side by side, the second enlarged if it is smaller: (224, 456, 3)."""
    gap = np.full((LARGE, 8, 3), 255, np.uint8)
    times = LARGE // small.shape[1]
    return np.hstack([large[0], gap, small[0].repeat(times, 0).repeat(times, 1)])


def caption(protection: Protection, size: Compression) -> str:
    """How large it is, and whether the key takes the protection off."""
    back = "no inverse" if protection.inverse is None else "exact inverse" if protection.exact else "inverse to 1 level"
    return f"PNG x {size.png_ratio:.2f}, WebP x {size.webp_ratio:.2f}, {back}"


def _panel(axes: Axes, image: Images, title: str, text: str) -> None:
    axes.imshow(image, interpolation="nearest")
    axes.set_title(title, fontsize=11, loc="left", fontweight="bold")
    axes.set_xlabel(text, fontsize=8, loc="left")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)


def draw(photograph: Images, seed: int, path: Path) -> None:
    """Write the sheet of an (h, w, 3) uint8 photograph as PNG."""
    large = square(photograph)
    small = np.asarray(cv2.resize(large[0], (SIDE, SIDE), interpolation=cv2.INTER_AREA), np.uint8)[None]
    rows = -(-(len(PEERS) + 1) // COLUMNS)
    figure, grid = plt.subplots(rows, COLUMNS, figsize=(5 * COLUMNS, 2.95 * rows), layout="constrained")
    panels = iter(grid.flat)
    _panel(next(panels), pair(large, small), "Plain", f"{LARGE} x {LARGE} and {SIDE} x {SIDE} pixels")
    for peer in PEERS.values():
        protection = peer.protect(seed, LARGE, LARGE)
        small_image = peer.protection(seed).transform(peer.scale(small))
        text = caption(protection, compress(peer, protection.transform, large))
        _panel(next(panels), pair(protection.transform(large), small_image), peer.title, text)
    for axes in panels:
        axes.set_axis_off()
    figure.savefig(path, dpi=100, format="png")
    plt.close(figure)


@click.command(cls=Command, name="peers_sheet", context_settings={"help_option_names": ["-h", "--help"]})
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), required=True, help="PNG to write.")
@click.option("--seed", default=1, show_default=True, type=click.IntRange(0), help="Of every key.")
@click.option(
    "--photograph",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    default=PHOTOGRAPH,
    help="8-bit image.  [default: the cat that scikit-image ships]",
)
def main(output: Path, seed: int, photograph: Path) -> None:
    """Draw what each peer makes of a photograph."""
    image = decode(photograph)
    if image.dtype != np.uint8:
        raise InputError(f"{photograph} has 16 bits a channel, not 8", hint="convert it")
    make_folder(output.parent)
    draw(np.asarray(image, np.uint8), seed, output)
    click.echo(f"picture: {output}")


if __name__ == "__main__":
    sys.exit(main())
