"""One segmentation network, plain and keyed, on images that pass through camera and host."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

import inference
from adc_firmware.frame import PrivateFrame
from both_sides import BothSides, substituted, unkeyed
from image_sources import Item
from inference import Preset
from inference.imaging import Demosaic, Gamma, IspSettings
from inference.layout import KeyedTensor
from inference.module import KeyedModule
from inference.session import ShuffledFrame
from normalised import normalised, planes
from quad_scenes import quad_scene
from voc import Example


@dataclass(frozen=True)
class Bench:
    """A network and where its frames come from.

    Attributes:
        sides: makes and opens the frames.
        chosen: the network's preset.
        network: in evaluation mode.
        double: the same in float64.
        keyed: made of it.
        seed: of the substituted permutations.
    """

    sides: BothSides
    chosen: Preset
    network: nn.Module
    double: nn.Module
    keyed: KeyedModule
    seed: int

    @classmethod
    def make(cls, sides: BothSides, chosen: Preset, network: nn.Module, seed: int, backend: str) -> Bench:
        """Convert the network; raises as inference.secure does."""
        example = torch.zeros(1, 3, *chosen.size).contiguous(memory_format=torch.channels_last)
        keyed = inference.secure(network, example, backend=backend)
        return cls(sides, chosen, network, copy.deepcopy(network).double(), keyed, seed)

    @property
    def _settings(self) -> IspSettings:
        return self.chosen.isp_settings(demosaic=Demosaic.QUAD, gamma=Gamma.NONE)

    def captured(self, image: NDArray[np.uint8], name: str) -> PrivateFrame:
        """The private frame of an image; PolicyError if the key is for another size."""
        return self.sides.camera.capture(quad_scene(Item(image, None, name), self.sides.camera.grant.policy))

    @torch.no_grad()
    def scores(self, images: list[NDArray[np.uint8]], frames: list[ShuffledFrame], first: int) -> dict[str, Tensor]:
        """Scores (N, classes, h, w) of each of label_maps.ROWS.

        Args:
            images: of the network's size, uint8 (h, w, 3).
            frames: theirs.
            first: number of the first image in its data set, which decides its wrong permutation.
        """
        wrong = [
            substituted(frame, np.random.default_rng([self.seed, first + number]))
            for number, frame in enumerate(frames)
        ]
        stored = _revealed(inference.isp([unkeyed(frame) for frame in frames], settings=self._settings))
        plain = network_input(images, self.chosen)
        return {
            "plain": self.network(plain),
            "keyed": _revealed(self.keyed(inference.isp(frames, settings=self._settings))),
            "substituted": _revealed(self.keyed(inference.isp(wrong, settings=self._settings))),
            "unkeyed": self.network(stored),
            "rounding": self.double(plain.double()),
        }

    def of_examples(self, examples: Iterable[Example], first: int) -> dict[str, Tensor]:
        """Scores of examples, which are numbered from ``first``."""
        named = [(resized(one.image, self.chosen.size), one.name) for one in examples]
        frames = [self.sides.opened(self.captured(image, name)) for image, name in named]
        return self.scores([image for image, _ in named], frames, first)


def resized(image: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Scaled to (height, width), bilinearly with antialiasing."""
    return np.array(Image.fromarray(image).resize(size[::-1], Image.Resampling.BILINEAR))


def network_input(images: list[NDArray[np.uint8]], chosen: Preset) -> Tensor:
    """The plain network's input, without the keyed ISP."""
    return normalised(planes(np.stack(images)), chosen.mean, chosen.std)


def _revealed(scores: Any) -> Tensor:
    return scores.reveal() if isinstance(scores, KeyedTensor) else scores
