"""A network that learns to turn stored frames back into scenes, from pairs the attacker makes with keys of their own.

After Dosovitskiy and Brox, "Inverting Visual Representations with Convolutional Networks", CVPR 2016.
The network is the U-Net of ``audit.inverter``.  It sees the stored frame
and what linear regression makes of it, which alone undoes a permutation that never changes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import solve
from skimage.metrics import structural_similarity
from torch import Tensor
from torch.nn import functional as F
from tqdm import tqdm

from audit.attack import Attack, Evidence
from audit.finding import Finding, Pictures, Scale, Stand
from audit.intervals import mean_interval
from audit.inverter import Inverter
from audit.material import Material
from audit.views import in_line, known
from keyvault.errors import InputError
from quad_scenes import WHITE

Floats = NDArray[np.float32]
_RIDGE = 3e-2  # of the variance of a sample
NAME = "inversion"
FEWEST_FRAMES, FEWEST_SCENES = 300, 500  # it learns from the orders of all the frames that there are
HELD_OUT = 100  # frames, whose orders it does not see
RECOGNISABLE = 0.3  # structural similarity of a thumbnail a sixteenth as large, about
STEPS = 300  # for 32 x 32 positions, and in proportion fewer for more
_CONTROL_STEPS = 30
_SHOWN = 6  # frames in a picture


@dataclass(frozen=True, slots=True)
class Budget:
    """How long the network learns: steps of ``batch`` frames, and how wide it is."""

    steps: int = 300
    batch: int = 32
    width: int = 16
    learning_rate: float = 2e-3

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
    x, y = (one.transpose(0, 2, 1).reshape(-1, one.shape[1]).astype(np.float64) for one in (stored, plain))
    middle, target = x.mean(0), y.mean(0)
    x, y = x - middle, y - target
    ridge = _RIDGE * len(x) * x.var()
    weights = solve(x.T @ x + ridge * np.eye(x.shape[1]), x.T @ y, assume_a="pos")
    return np.vstack([weights, target - middle @ weights]).astype(np.float32)


def train(pairs: Pairs, budget: Budget, generator: np.random.Generator) -> Inverter:
    """Learn from pairs; the same for the same generator."""
    count, _, channels = pairs.plain.shape
    scenes = np.arange(count)
    orders = np.asarray(generator.integers(0, len(pairs.tables), count), np.int64)
    linear = regress(pairs.stored(scenes, orders), pairs.plain)
    with torch.random.fork_rng():
        torch.manual_seed(int(generator.integers(2**31)))
        network = Inverter(torch.from_numpy(linear), channels, budget.width)
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
    parts = [network(part).clamp(0, 1).flatten(2).transpose(1, 2) for part in _maps(stored, shape).split(64)]
    return np.asarray(torch.cat(parts).numpy(), np.float32)


def similarity(guess: Floats, truth: Floats) -> NDArray[np.float64]:
    """Structural similarity of each pair of pictures (n, h, w, c) in [0, 1], 1 for equal ones: (n,).

    Wang, Bovik, Sheikh and Simoncelli, IEEE TIP 13(4), 2004.
    """
    pairs = zip(guess, truth, strict=True)
    return np.array([structural_similarity(a, b, data_range=1, channel_axis=-1) for a, b in pairs])


def peak_ratio(guess: Floats, truth: Floats) -> NDArray[np.float64]:
    """Peak signal-to-noise ratio of each pair of pictures (n, h, w, c) in [0, 1], in dB: (n,)."""
    error = ((guess.astype(np.float64) - truth) ** 2).mean(tuple(range(1, guess.ndim)))
    return np.asarray(-10 * np.log10(np.maximum(error, 1e-10)))


@dataclass(frozen=True, eq=False)
class Inversion:
    """Held-out frames and what became of them: pictures (n, h, w, c) in [0, 1]; ``mean`` is the mean known scene."""

    stored: Floats
    truth: Floats
    guess: Floats
    mean: Floats

    def pictures(self) -> Pictures:
        """Some of the frames, side by side."""
        named = {"scenes": self.truth, "as stored": self.stored, "reconstructed": self.guess, "mean scene": self.mean}
        return {name: _side_by_side(frames[:_SHOWN]) for name, frames in named.items()}


def _side_by_side(frames: Floats) -> NDArray[np.uint8]:
    sheet = (np.concatenate(list(frames), axis=1) * WHITE).round().astype(np.uint8)
    return sheet if sheet.shape[2] == 3 else sheet[..., 0]


def attacked(
    material: Material, scenes: NDArray[np.uint8], steps: int, generator: np.random.Generator
) -> tuple[Inversion, Budget]:
    """Learn from known scenes and the orders of some frames; invert the other frames.

    Raises InputError if there are fewer than 300 frames or 500 scenes.
    """
    count, policy = len(material), material.policy
    if count < FEWEST_FRAMES or len(scenes) < FEWEST_SCENES:
        raise InputError(
            f"{count} frames and {len(scenes)} known scenes are too few to learn an inversion from",
            hint=f"give {FEWEST_FRAMES} frames and {FEWEST_SCENES} scenes, or more",
        )
    shape = (policy.height, policy.width)
    plain = _scaled(known(scenes, policy))
    budget = Budget(max(1, steps * 1024 // policy.photosites))
    network = train(Pairs(plain, material.tables[HELD_OUT:], shape), budget, generator)
    stored, truth = (_scaled(in_line(one[:HELD_OUT])) for one in (material.memory, material.plain))
    guess, mean = invert(network, stored, shape), np.broadcast_to(plain.mean(0), truth.shape)
    stored, truth, guess, mean = (one.reshape(HELD_OUT, *shape, -1) for one in (stored, truth, guess, mean))
    return Inversion(stored, truth, guess, mean), budget


def _scaled(samples: NDArray[np.uint16]) -> Floats:
    return np.asarray(samples, np.float32) / np.float32(WHITE)


def run(evidence: Evidence, stand: Stand, generator: np.random.Generator) -> Finding:
    """Learn to invert the policy's shuffle, and the fixed key's as the positive control."""
    control, _ = attacked(evidence.control, evidence.scenes, _CONTROL_STEPS, generator)
    found, budget = attacked(evidence.material, evidence.scenes, STEPS, generator)
    scores = similarity(found.guess, found.truth)
    chance = float(similarity(found.mean, found.truth).mean())
    scale = Scale("structural similarity to the scene", chance, max(RECOGNISABLE, chance))
    broke = mean_interval(similarity(control.guess, control.truth), generator).low > scale.fail
    ratios = [float(peak_ratio(one, found.truth).mean()) for one in (found.guess, found.mean)]
    interval = mean_interval(scores, generator)
    return Finding.judged(
        scale,
        interval,
        attack=NAME,
        stand=stand,
        policy=evidence.name,
        score=float(scores.mean()),
        control_broke=broke,
        frames=len(scores),
        smallest_breaking=1,
        note=(
            f"Each of {len(scores)} frames inverted on its own, after learning from {len(evidence.scenes)} other "
            f"scenes for {budget}; a larger budget may reach more. PSNR {ratios[0]:.1f} dB, of the mean scene "
            f"{ratios[1]:.1f} dB. The fixed key gave {similarity(control.guess, control.truth).mean():.2f}."
        ),
        pictures=found.pictures(),
    )


ATTACK = Attack(
    name=NAME,
    title="A network that learned to invert",
    stands=(Stand.MEMORY,),
    frames_needed=FEWEST_FRAMES,
    run=run,
)
