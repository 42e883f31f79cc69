"""The integer stages of docs/isp.md once more, in plain NumPy on unshuffled frames, written from the text."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

MALVAR_GREEN = ((0, 0, -2, 0, 0), (0, 0, 4, 0, 0), (-2, 4, 8, 4, -2), (0, 0, 4, 0, 0), (0, 0, -2, 0, 0))
MALVAR_ROW = ((0, 0, 1, 0, 0), (0, -2, 0, -2, 0), (-2, 8, 10, 8, -2), (0, -2, 0, -2, 0), (0, 0, 1, 0, 0))
MALVAR_DIAGONAL = ((0, 0, -3, 0, 0), (0, 4, 0, 4, 0), (-3, 0, 12, 0, -3), (0, 4, 0, 4, 0), (0, 0, -3, 0, 0))
BILINEAR_GREEN = ((0, 1, 0), (1, 0, 1), (0, 1, 0))
BILINEAR_ROW = ((0, 0, 0), (2, 0, 2), (0, 0, 0))
BILINEAR_DIAGONAL = ((1, 0, 1), (0, 0, 0), (1, 0, 1))
FILTERS = {
    "malvar": (MALVAR_GREEN, MALVAR_ROW, MALVAR_DIAGONAL, 16),
    "bilinear": (BILINEAR_GREEN, BILINEAR_ROW, BILINEAR_DIAGONAL, 4),
}


def balanced(dn: NDArray[np.uint16], gain: NDArray[np.int64] | int, black: int, white: int) -> NDArray[np.int64]:
    value = np.floor_divide((dn.astype(np.int64) - black) * gain + 512, 1024)
    return np.clip(value, black - white, white - black)


def colour_map(cfa: str, shape: tuple[int, int]) -> NDArray[np.int64]:
    quad = np.array(["RGB".index(letter) for letter in cfa]).reshape(2, 2)
    return np.tile(quad, (shape[0] // 2, shape[1] // 2))


def filtered(image: NDArray[np.int64], weights: tuple[tuple[int, ...], ...], divisor: int) -> NDArray[np.int64]:
    """Correlation with mirrored borders, halves rounded up."""
    kernel = np.array(weights)
    reach = len(kernel) // 2
    padded = np.pad(image, reach, mode="reflect")
    windows = np.lib.stride_tricks.sliding_window_view(padded, kernel.shape)
    return np.floor_divide((windows * kernel).sum((2, 3)) + divisor // 2, divisor)


def demosaiced(dn: NDArray[np.uint16], cfa: str, method: str, levels: tuple[int, int, tuple[int, int, int]]):
    """int64 (h, w, 3) from 0 to white - black."""
    black, white, gains = levels
    colours = colour_map(cfa, dn.shape)
    mosaic = balanced(dn, np.array(gains)[colours], black, white)
    if method == "quad":
        return np.clip(quad_means(mosaic, colours), 0, white - black)
    green, row, diagonal, divisor = FILTERS[method]
    at_green, along, across = (filtered(mosaic, weights, divisor) for weights in (green, row, diagonal))
    upright = filtered(mosaic, tuple(zip(*row, strict=True)), divisor)
    red_row = np.repeat((colours == 0).any(1)[:, None], dn.shape[1], 1)
    red = np.select([colours == 0, colours == 2, red_row], [mosaic, across, along], upright)
    blue = np.select([colours == 2, colours == 0, ~red_row], [mosaic, across, along], upright)
    rgb = np.stack([red, np.where(colours == 1, mosaic, at_green), blue], -1)
    return np.clip(rgb, 0, white - black)


def quad_means(mosaic: NDArray[np.int64], colours: NDArray[np.int64]) -> NDArray[np.int64]:
    height, width = mosaic.shape
    planes = []
    for colour in range(3):
        of_colour = np.where(colours == colour, mosaic, 0).reshape(height // 2, 2, width // 2, 2).sum((1, 3))
        count = 2 if colour == 1 else 1
        planes.append(np.floor_divide(of_colour + count // 2, count))
    return np.stack(planes, -1)


def srgb(x: float) -> float:
    return 12.92 * x if x <= 0.0031308 else 1.055 * x ** (1 / 2.4) - 0.055


def resized(image: NDArray[np.float32], count: int, axis: int) -> NDArray[np.float32]:
    """One axis of an image scaled to ``count`` positions, summed in float32 tap by tap."""
    image = np.moveaxis(image, axis, 0)
    length = len(image)
    support = max(1.0, length / count)
    rows = []
    for i in range(count):
        centre = (i + 0.5) * length / count
        weights = np.maximum(0, 1 - np.abs(np.arange(length) + 0.5 - centre) / support)
        weights = (weights / weights.sum()).astype(np.float32)
        total = np.zeros_like(image[0])
        for weight, row in zip(weights, image, strict=True):
            total = total + weight * row if weight else total
        rows.append(total)
    return np.moveaxis(np.stack(rows), 0, axis)
