"""Pictures as attacks on peers compare and show them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from audit.peer_evidence import Images, Protected

Floats = NDArray[np.float64]
SHOWN = 6
_WIDEST = 96  # pixels of a picture that is shown


def grey(images: Images) -> Floats:
    """Means of the colours: (n, h, w, 3) to (n, h, w)."""
    return np.stack([image.mean(axis=2, dtype=np.float64) for image in images])


def mean_scene(protected: Protected, count: int) -> Floats:
    """The mean of the known scenes, grey, so many times: what one guesses who has seen no picture: (count, h, w)."""
    mean = protected.known.mean(axis=0, dtype=np.float64).mean(axis=2)
    return np.broadcast_to(mean, (count, *mean.shape))


def side_by_side(images: Images | Floats) -> NDArray[np.uint8]:
    """The first pictures, (n, h, w) or (n, h, w, 3), in a row; larger ones with rows and columns left out."""
    step = -(-images.shape[1] // _WIDEST)
    chosen = np.clip(np.asarray(images[:SHOWN, ::step, ::step]), 0, 255).astype(np.uint8)
    return np.concatenate(list(chosen), axis=1)
