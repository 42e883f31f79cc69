"""How the network of ``audit.inverter`` learns: from known scenes under known orders, on top of linear regression."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import solve
from torch import Tensor
from torch.nn import functional as F
from tqdm import tqdm

from audit.inverter import Inverter

Floats = NDArray[np.float32]
_RIDGE = 3e-2  # of the variance of a sample
_REGRESSED = 40_000_000  # samples that the regression looks at, at most; 160 MB a copy
_PART = 64  # frames inverted at a time


@dataclass(frozen=True, slots=True)
class Budget:
    """How long the network learns: steps of ``batch`` frames, and how wide it is; the same for frames of all sizes."""

    steps: int = 300
    batch: int = 32
    width: int = 16
    learning_rate: float = 3e-3

    def __str__(self) -> str:
        return f"{self.steps} steps of {self.batch} frames"


@dataclass(frozen=True, eq=False)
class Pairs:
    """Scenes and the orders under which frames of a policy store them.

    Attributes:
        plain: float32 (n, p, c) in [0, 1], true order.
        tables: int (m, p), ``tables[j, s]`` stores position s.  Any scene may be stored under any of them.
        shape: rows and columns of the scene.
    """

    plain: Floats
    tables: NDArray[np.int32]
    shape: tuple[int, int]

    def stored(self, scenes: NDArray[np.int64], orders: NDArray[np.int64]) -> Floats:
        """Those scenes under those orders: (b, p, c)."""
        out = np.empty_like(self.plain[scenes])
        np.put_along_axis(out, self.tables[orders][:, :, None].astype(np.int64), self.plain[scenes], axis=1)
        return out


def regress(stored: Floats, plain: Floats) -> Floats:
    """Ridge regression of each true position on all stored ones, the same for all c: (p + 1, p), constant last.

    Args:
        stored, plain: float32 (n, p, c).
    """
    x, y = (one.transpose(0, 2, 1).reshape(-1, one.shape[1]) for one in (stored, plain))
    middle, target = (one.mean(0, dtype=np.float64).astype(np.float32) for one in (x, y))
    x, y = x - middle, y - target
    ridge = np.float32(_RIDGE * len(x) * x.var(dtype=np.float64))
    weights = solve(x.T @ x + ridge * np.eye(x.shape[1], dtype=np.float32), x.T @ y, assume_a="pos")
    return np.vstack([weights, target - middle @ weights]).astype(np.float32)


def train(pairs: Pairs, budget: Budget, generator: np.random.Generator) -> Inverter:
    """Learn from pairs; the same for the same generator."""
    count, places, channels = pairs.plain.shape
    scenes = np.arange(min(count, max(1, _REGRESSED // (places * channels))))
    orders = np.asarray(generator.integers(0, len(pairs.tables), len(scenes)), np.int64)
    linear = regress(pairs.stored(scenes, orders), pairs.plain[scenes])
    with torch.random.fork_rng():
        torch.manual_seed(int(generator.integers(2**31)))
        network = Inverter(torch.from_numpy(linear), channels, pairs.shape, budget.width)
    optimizer = torch.optim.AdamW(network.parameters(), lr=budget.learning_rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, budget.learning_rate, total_steps=budget.steps + 1)
    for stored, plain in tqdm(_batches(pairs, budget, generator), total=budget.steps, desc="inversion", disable=None):
        loss = F.l1_loss(network(stored), plain)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return network.eval()


def _batches(pairs: Pairs, budget: Budget, generator: np.random.Generator) -> Iterator[tuple[Tensor, Tensor]]:
    """Stored frames and scenes (b, c, h, w) of every step."""
    for _ in range(budget.steps):
        scenes = generator.integers(0, len(pairs.plain), budget.batch)
        orders = generator.integers(0, len(pairs.tables), budget.batch)
        yield _maps(pairs.stored(scenes, orders), pairs.shape), _maps(pairs.plain[scenes], pairs.shape)


def _maps(frames: Floats, shape: tuple[int, int]) -> Tensor:
    return torch.from_numpy(frames).transpose(1, 2).unflatten(2, shape).contiguous()


@torch.inference_mode()
def invert(network: Inverter, stored: Floats, shape: tuple[int, int]) -> Floats:
    """What the network makes of stored frames (n, p, c), in [0, 1]."""
    return _lines([network(part) for part in _maps(stored, shape).split(_PART)])


@torch.inference_mode()
def invert_linearly(network: Inverter, stored: Floats, shape: tuple[int, int]) -> Floats:
    """What its regression alone makes of them."""
    return _lines([network.guess(part) for part in _maps(stored, shape).split(_PART)])


def _lines(maps: list[Tensor]) -> Floats:
    return np.asarray(torch.cat(maps).clamp(0, 1).flatten(2).transpose(1, 2).numpy(), np.float32)
