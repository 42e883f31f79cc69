"""What lies in the host's memory while a keyed network works: feature maps in the orders of inner layouts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

import inference
from adc_firmware import decode, encode
from audit.own_home import own_home
from image_sources import Item
from inference.convert import REKEY_EVERY
from inference.imaging import Gamma
from inference.layout import KeyedTensor
from inference.module import KeyedModule
from inference.session import ShuffledFrame
from keyvault.errors import InputError
from keyvault.policy import Policy
from quad_scenes import quad_scene
from sensor_sim import Camera

NETWORK = "resnet20"
DEFAULT_REKEY = REKEY_EVERY
NEVER = 10**9  # frames; in effect one set of inner layouts for good
REFERENCES = 200  # scenes that an attacker learns from
BROKEN = 0.5  # share of positions at most one row and column off


@dataclass(frozen=True, slots=True)
class Site:
    """Feature maps of one frame that share one inner layout, as one map with the channels of all.

    Attributes:
        name: for people.
        operators: of the keyed network, whose results are taken.
        side: rows, and columns, of the maps.
    """

    name: str
    operators: tuple[str, ...]
    side: int


#: Of ResNet-20: its input under the first inner layout, its first layer, and all of its three stages' sums.
INPUT = Site("input, 32x32", ("x_entry",), 32)
FIRST = Site("first layer, 32x32", ("relu",), 32)
STAGE1 = Site("first stage, 32x32", ("relu", "relu_2", "relu_4", "relu_6"), 32)
STAGE2 = Site("second stage, 16x16", ("relu_8", "relu_10", "relu_12"), 16)
STAGE3 = Site("third stage, 8x8", ("relu_14", "relu_16", "relu_18"), 8)
SITES = (INPUT, FIRST, STAGE1, STAGE2, STAGE3)
SCENE = (INPUT.side, INPUT.side, 3)


@dataclass(frozen=True, eq=False)
class Recording:
    """One site's maps over many frames.

    Attributes:
        site: where they were seen.
        maps: float32 (n, p, c) in stored order.
        tables: int32 (n, p); ``tables[i, s]`` is where frame i stores position s.  For scoring only.
    """

    site: Site
    maps: NDArray[np.float32]
    tables: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.maps)

    @property
    def plain(self) -> NDArray[np.float32]:
        """The maps in true order: (n, p, c)."""
        return np.take_along_axis(self.maps, self.tables[:, :, None].astype(np.int64), axis=1)

    def sharing(self) -> list[NDArray[np.int64]]:
        """Numbers of the frames under each inner layout, in the order of their first frames."""
        first: dict[bytes, list[int]] = {}
        for number, table in enumerate(self.tables):
            first.setdefault(table.tobytes(), []).append(number)
        return [np.array(numbers, np.int64) for numbers in first.values()]


def scenes_of(scenes: NDArray[np.uint8], secret: int, references: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Known scenes (m, 32, 32, 3) dealt out: those whose frames are attacked, and those that an attacker learns from.

    Raises InputError if they are too few or of another size.
    """
    side = INPUT.side
    if scenes.shape[1:] != SCENE:
        raise InputError(
            f"{NETWORK} looks at {side}x{side} pixels, the scenes have {scenes.shape[2]}x{scenes.shape[1]}",
            hint=f"audit a policy whose scenes are {side}x{side}",
        )
    if len(scenes) < secret + references:
        raise InputError(
            f"{len(scenes)} known scenes are too few for an attack on activations",
            hint=f"give {secret + references} scenes",
        )
    return scenes[:secret], scenes[secret : secret + references]


def picture(maps: NDArray[np.float32], places: NDArray[np.int64], side: int) -> NDArray[np.uint8]:
    """The three strongest directions of a frame's features (p, c) as colours, each stored one at its place."""
    centred = maps.astype(np.float64) - maps.mean(0)
    colours = centred @ np.linalg.svd(centred, full_matrices=False)[2][:3].T
    low, high = np.quantile(colours, (0.02, 0.98), axis=0)
    out = np.empty((side * side, 3), np.uint8)
    out[places] = (np.clip((colours - low) / np.maximum(high - low, 1e-9), 0, 1) * 255).astype(np.uint8)
    return out.reshape(side, side, 3)


def keyed_network(rekey_every: int, seed: int | None = None) -> KeyedModule:
    """ResNet-20 with the weights that come with the package, converted.

    Args:
        rekey_every: frames after which inner layouts are drawn anew.
        seed: makes inner layouts repeatable; None draws them as in use.
    """
    chosen = inference.preset(NETWORK)
    network = inference.secure(inference.pretrained(chosen), torch.zeros(1, 3, *chosen.size), rekey_every=rekey_every)
    if seed is not None:
        generator = torch.Generator().manual_seed(seed)
        network.draw = lambda count: torch.randperm(count, generator=generator, dtype=torch.int32)
    return network


def record(
    images: NDArray[np.uint8], network: KeyedModule, sites: Sequence[Site] = SITES, policy: Policy | None = None
) -> dict[Site, Recording]:
    """Capture, seal, verify, open, develop and classify one frame of each image, and keep what lay in memory.

    One call of the network a frame, as in a stream.

    Args:
        images: uint8 (n, 32, 32, 3).
        network: of :func:`keyed_network`.
        sites: what to keep.
        policy: of the frames; the default one of a sensor whose quads are the images' pixels if None.

    Raises PolicyError if images do not fit the policy.
    """
    policy = policy or Policy(2 * images.shape[2], 2 * images.shape[1], bits=8)
    settings = inference.preset(NETWORK).isp_settings(gamma=Gamma.NONE)
    seen: dict[Site, list[tuple[NDArray[np.float32], NDArray[np.int32]]]] = {site: [] for site in sites}
    for frame in _opened(images, policy):
        values = _by_operator(network, inference.isp(frame, settings=settings))
        for site, found in seen.items():
            found.append(_merged([values[name] for name in site.operators]))
    return {
        site: Recording(site, np.stack([maps for maps, _ in found]), np.stack([table for _, table in found]))
        for site, found in seen.items()
    }


def _opened(images: NDArray[np.uint8], policy: Policy) -> Iterator[ShuffledFrame]:
    """A frame of each image as the host has it after taking the mask off."""
    with own_home(policy) as home:
        session = inference.open_session(home.key, home.host, home.vault.issuer, home=home.key.parent)
        with Camera(home.key, device=home.device) as camera:
            for number, image in enumerate(images):
                private = camera.capture(quad_scene(Item(image, None, f"scene {number}"), policy), number=number)
                yield session.open(decode(encode(private), session.grants))


def _by_operator(network: KeyedModule, x: KeyedTensor) -> dict[str, KeyedTensor]:
    return {one.name: one.value for one in network.intermediates(x) if isinstance(one.value, KeyedTensor)}


def _merged(values: list[KeyedTensor]) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Maps (1, C, H, W) under one layout as (p, channels of all), and the layout's table (p,)."""
    stacked: Tensor = torch.cat([one.values.flatten(2) for one in values], dim=1)[0]
    return stacked.T.contiguous().numpy(), values[0].layout.table[0].numpy()
