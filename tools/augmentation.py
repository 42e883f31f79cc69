"""How images are varied as a network is trained on them."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from recipe import PLAIN, Recipe


def augment(images: Tensor, recipe: Recipe, generator: torch.Generator) -> Tensor:
    """Random crop, flip and cutout of normalised (N, 3, H, W) images, each image its own.

    Private images are cut out of only: whoever has no key cannot move or mirror what is in them.
    """
    n, _, height, width = images.shape
    pad, device = recipe.crop_padding, images.device

    def draw(high: int) -> Tensor:
        return torch.randint(0, high, (n, 1), generator=generator).to(device)

    if recipe.private != PLAIN:
        return _cutout(images, recipe.cutout, draw(height), draw(width))
    rows = torch.arange(height, device=device) + draw(2 * pad + 1)
    columns = torch.arange(width, device=device) + draw(2 * pad + 1)
    columns = torch.where(draw(2) == 1, columns.flip(1), columns)
    padded = F.pad(images, (pad, pad, pad, pad)).permute(0, 2, 3, 1)
    cropped = padded[torch.arange(n, device=device)[:, None, None], rows[:, :, None], columns[:, None, :]]
    return _cutout(cropped.permute(0, 3, 1, 2), recipe.cutout, draw(height), draw(width))


def _cutout(images: Tensor, side: int, centre_row: Tensor, centre_column: Tensor) -> Tensor:
    """A square of ``side`` pixels around each centre (N, 1) set to the mean (DeVries and Taylor, 2017)."""

    def covered(length: int, centre: Tensor) -> Tensor:
        distance = torch.arange(length, device=images.device) - centre + side // 2
        return distance.ge(0) & distance.lt(side)

    rows, columns = covered(images.shape[2], centre_row), covered(images.shape[3], centre_column)
    return images.masked_fill((rows[:, :, None] & columns[:, None, :])[:, None], 0.0)
