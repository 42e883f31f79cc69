"""The network of the learned inversion: a small U-Net (Ronneberger, Fischer and Brox, MICCAI 2015)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

CELLS = 32  # rows and columns on which it works, at most


class Inverter(nn.Module):
    """From a stored frame (n, c, h, w) to the scene (n, c, h, w): U-Net on the frame and its linear guess.

    Frames of more than 32 rows or columns are folded: the samples of a square cell become channels, so that a step
    costs about the same for all sizes.

    Attributes:
        linear: (p + 1, p), the regression; a buffer.
    """

    linear: Tensor

    def __init__(self, linear: Tensor, channels: int, shape: tuple[int, int], width: int) -> None:
        super().__init__()
        self.register_buffer("linear", linear)
        self.cell = -(-max(shape) // CELLS)
        folded = channels * self.cell**2
        self.into = _block(2 * folded, width)
        self.down1, self.down2 = _block(width, 2 * width), _block(2 * width, 4 * width)
        self.whole = nn.Linear(4 * width, 4 * width)
        self.up1, self.up2 = _block(6 * width, 2 * width), _block(3 * width, width)
        self.out = nn.Conv2d(width, folded, 1)
        for parameter in self.out.parameters():
            nn.init.zeros_(parameter)

    def guess(self, x: Tensor) -> Tensor:
        """What the regression alone makes of stored frames."""
        return (x.flatten(2) @ self.linear[:-1] + self.linear[-1]).view_as(x)

    def forward(self, x: Tensor) -> Tensor:
        """The linear guess, corrected."""
        guess, (height, width) = self.guess(x), x.shape[2:]
        margin = (0, -width % self.cell, 0, -height % self.cell)
        cells = F.pixel_unshuffle(F.pad(torch.cat([x, guess], 1), margin), self.cell)
        return guess + F.pixel_shuffle(self._corrections(cells), self.cell)[..., :height, :width]

    def _corrections(self, cells: Tensor) -> Tensor:
        fine = self.into(cells)
        middle = self.down1(_half(fine))
        coarse = self.down2(_half(middle))
        coarse = coarse + self.whole(coarse.mean((2, 3)))[:, :, None, None]
        middle = self.up1(_beside(coarse, middle))
        corrections: Tensor = self.out(self.up2(_beside(middle, fine)))
        return corrections


def _block(inputs: int, outputs: int) -> nn.Module:
    layers = [nn.Conv2d(inputs, outputs, 3, padding=1), nn.GroupNorm(4, outputs), nn.GELU()]
    return nn.Sequential(*layers, nn.Conv2d(outputs, outputs, 3, padding=1), nn.GELU())


def _half(x: Tensor) -> Tensor:
    return F.avg_pool2d(x, 2, ceil_mode=True)


def _beside(coarse: Tensor, fine: Tensor) -> Tensor:
    """Coarse maps at the size of fine ones, and these."""
    return torch.cat([F.interpolate(coarse, size=fine.shape[2:]), fine], 1)
