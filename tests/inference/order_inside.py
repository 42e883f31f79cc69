"""Find values inside a keyed network that lie in true order, whatever the network says of them.

Frames that differ from each other in one place each are put into a network.  Where along an axis of a
value the difference shows is compared with where it was in the frames: in true order, the one
follows the other.  So plain values are looked at as well as shuffled ones, and axes that no layout names.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from keyed_helpers import shuffle
from torch import Tensor

from inference.layout import KeyedTensor
from inference.module import Draw, Intermediate, KeyedModule

#: Frames: a prime, so that it is found in a shape; the last is what the others are compared with.
FRAMES = 19
#: Shorter axes are in true order by chance too often.
SHORTEST = 8
#: Correlation from which on an axis is said to be in true order.
FOLLOWS = 0.95


def disorder(positions: int) -> Tensor:
    """int32 (positions,): a seeded permutation in which no position follows its number by chance."""
    generator = torch.Generator().manual_seed(positions)
    drawn = [torch.randperm(positions, generator=generator) for _ in range(50)]
    number = torch.arange(positions, dtype=torch.float64)
    return min(drawn, key=lambda order: _correlation(order.double(), number)).int()


def in_true_order(
    network: KeyedModule, size: tuple[int, int], dtype: torch.dtype, draw: Draw = disorder
) -> dict[str, float]:
    """Names of intermediate values with an axis in true order or its reverse, and how well it follows the position."""
    frames, places = marked_frames(size, dtype)
    network.draw, network.rekey_every = draw, 2 * FRAMES
    network.rekey()
    found = {i.name: follows(i, places) for i in network.intermediates(shuffle(frames, shared=True))}
    return {name: value for name, value in found.items() if value > FOLLOWS}


def marked_frames(size: tuple[int, int], dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Frames (FRAMES, 3, H, W) with a mark each, but for the last; rows and columns (FRAMES - 1, 2) of the marks."""
    generator = torch.Generator().manual_seed(1)
    base = torch.randn(3, *size, generator=generator)
    places = torch.rand(FRAMES - 1, 2, generator=generator)
    rows, columns = (torch.linspace(0, 1, extent) for extent in size)
    distance = (rows[:, None] - places[:, :1, None]) ** 2 + (columns - places[:, 1:, None]) ** 2
    marks = 2 * torch.exp(-distance / 0.01)[:, None]
    return torch.cat([base + marks, base[None]]).to(dtype), places


def follows(intermediate: Intermediate, places: Tensor) -> float:
    """The largest correlation, over all axes, of where a mark shows with where it was."""
    value = intermediate.value
    stored = _samples_first(value.values if isinstance(value, KeyedTensor) else value)
    best = 0.0
    for centre in _centres(stored):
        best = max(best, *(_correlation(centre, places[:, axis].double()) for axis in (0, 1)))
    return best


def _samples_first(value: Tensor) -> Tensor:
    """(FRAMES, ...), whichever axis holds the samples; nothing, if none does."""
    for axis, size in enumerate(value.shape):
        if size % FRAMES == 0:
            return value.unflatten(axis, (FRAMES, -1)).movedim(axis, 0)
    return value.new_zeros(FRAMES)


def _centres(stored: Tensor) -> Iterator[Tensor]:
    """For every axis, the centre (FRAMES - 1,) along it of the squared difference to the last frame."""
    energy = (stored[:-1] - stored[-1:]).double() ** 2
    for axis in range(1, energy.dim()):
        if energy.shape[axis] >= SHORTEST:
            along = energy.movedim(axis, -1).flatten(1, -2).sum(1) if energy.dim() > 2 else energy
            yield along @ torch.arange(along.shape[1], dtype=torch.float64) / along.sum(1).clamp(min=1e-300)


def _correlation(one: Tensor, other: Tensor) -> float:
    one, other = one - one.mean(), other - other.mean()
    scale = float(one.norm() * other.norm())
    return abs(float(one @ other)) / scale if scale > 1e-9 else 0.0
