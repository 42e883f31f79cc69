"""Figures that papers on image ciphers print, and that prove nothing: a shuffle that is broken scores well on them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from skimage.metrics import structural_similarity

from audit.material import Material
from json_files import finite, misfit
from keyvault.errors import InputError

Samples = NDArray[np.uint16] | NDArray[np.uint8]
LARGEST_FRAMES = 20  # are enough for a mean
_NUMBERS = ("ssim", "npcr", "uaci", "entropy")
_FORM = {"policy": str, "frames": int, "bits": int, **dict.fromkeys(_NUMBERS, float)}


@dataclass(frozen=True, slots=True)
class Appearance:
    """How unlike its scene a frame looks before anyone attacks it: means over some frames.

    Attributes:
        policy: the policy's name.
        frames: how many frames were looked at.
        ssim: structural similarity of frame and scene, 1 for equal (Wang et al., IEEE TIP 13(4), 2004).
        npcr: share of samples that differ from the scene's (Wu, Noonan and Agaian, JSAT, 2011).
        uaci: mean absolute difference to the scene, as a share of the range of values (ibid.).
        entropy: of the frame's histogram, bits a sample; ``bits`` at most.
        bits: depth of a sample.
    """

    policy: str
    frames: int
    ssim: float
    npcr: float
    uaci: float
    entropy: float
    bits: int

    def to_json(self) -> dict[str, Any]:
        """The figures as JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Any) -> Appearance:
        """The inverse of to_json; InputError for anything else."""
        place = misfit(value, _FORM)
        if place is not None or len(value) != len(_FORM) or not all(finite(value[name]) for name in _NUMBERS):
            raise InputError(
                f"not the appearance of a policy{f': see {place}' if place else ''}",
                hint="delete the file and audit again",
            )
        return cls(**value)


def npcr(scene: Samples, frame: Samples) -> float:
    """Share of samples that differ."""
    return float((scene != frame).mean())


def uaci(scene: Samples, frame: Samples, bits: int) -> float:
    """Mean absolute difference as a share of the largest value of ``bits`` bits."""
    return float(np.abs(scene.astype(np.float64) - frame).mean() / (2**bits - 1))


def entropy(frame: Samples) -> float:
    """Shannon entropy of the histogram, bits a sample."""
    counts = np.unique(frame, return_counts=True)[1] / frame.size
    return float(-(counts * np.log2(counts)).sum()) + 0.0


def appearance(name: str, material: Material) -> Appearance:
    """The figures of a policy's first frames as stored."""
    return figures(name, material.plain, material.file, material.policy.bits)


def figures(name: str, scenes: Samples, stored: Samples, bits: int) -> Appearance:
    """The figures of the first pictures, (n, h, w) or (n, h, w, 3), of ``bits`` bits a sample, beside their scenes."""
    pairs = list(zip(scenes[:LARGEST_FRAMES], stored[:LARGEST_FRAMES], strict=True))
    colours = -1 if scenes.ndim == 4 else None
    alike = [structural_similarity(*pair, data_range=2**bits - 1, channel_axis=colours) for pair in pairs]
    return Appearance(
        policy=name,
        frames=len(pairs),
        ssim=float(np.mean(alike)),
        npcr=float(np.mean([npcr(*pair) for pair in pairs])),
        uaci=float(np.mean([uaci(*pair, bits) for pair in pairs])),
        entropy=float(np.mean([entropy(frame) for _, frame in pairs])),
        bits=bits,
    )
