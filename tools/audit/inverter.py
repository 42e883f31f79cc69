"""The network of the learned inversion: a small U-Net (Ronneberger, Fischer and Brox, MICCAI 2015)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Inverter(nn.Module):
    """From a stored frame (n, c, h, w) to the scene (n, c, h, w): U-Net on the frame and its linear guess.

    Attributes:
        linear: (p + 1, p), the regression; a buffer.
    """

    linear: Tensor

    def __init__(self, linear: Tensor, channels: int, width: int) -> None:
        super().__init__()
        self.register_buffer("linear", linear)
        self.into = _block(2 * channels, width)
        self.down1, self.down2 = _block(width, 2 * width), _block(2 * width, 4 * width)
        self.whole = nn.Linear(4 * width, 4 * width)
        self.up1, self.up2 = _block(6 * width, 2 * width), _block(3 * width, width)
        self.out = nn.Conv2d(width, channels, 1)
        for parameter in self.out.parameters():
            nn.init.zeros_(parameter)

    def forward(self, x: Tensor) -> Tensor:
        """The linear guess, corrected."""
        guess = (x.flatten(2) @ self.linear[:-1] + self.linear[-1]).view_as(x)
        fine = self.into(torch.cat([x, guess], 1))
        middle = self.down1(F.avg_pool2d(fine, 2))
        coarse = self.down2(F.avg_pool2d(middle, 2))
        coarse = coarse + self.whole(coarse.mean((2, 3)))[:, :, None, None]
        middle = self.up1(torch.cat([_twice(coarse), middle], 1))
        return guess + self.out(self.up2(torch.cat([_twice(middle), fine], 1)))


def _block(inputs: int, outputs: int) -> nn.Module:
    layers = [nn.Conv2d(inputs, outputs, 3, padding=1), nn.GroupNorm(4, outputs), nn.GELU()]
    return nn.Sequential(*layers, nn.Conv2d(outputs, outputs, 3, padding=1), nn.GELU())


def _twice(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2.0)
