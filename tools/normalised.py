"""What a plain network is given of an image."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from inference.imaging.settings import Triple


def normalised(images: Tensor, mean: Triple | None, std: Triple | None) -> Tensor:
    """uint8 (N, 3, h, w) as a network's float32 input, on the same device: (images / 255 - mean) / std by channel.

    Without mean and std the division by 255 is all.
    """
    x = images.float() / 255
    if mean is None or std is None:
        return x
    centre, width = (torch.tensor(triple, device=images.device).view(1, 3, 1, 1) for triple in (mean, std))
    return (x - centre) / width


def planes(images: NDArray[np.uint8]) -> Tensor:
    """Images (N, h, w, 3) uint8 as (N, 3, h, w), not copied."""
    return torch.from_numpy(images).permute(0, 3, 1, 2)
