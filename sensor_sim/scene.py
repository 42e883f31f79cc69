"""What the sensor looks at: light, or DN that somebody else's sensor measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keyvault.errors import PolicyError
from keyvault.policy import Cfa, Policy
from sensor_sim.errors import SceneError

NEUTRAL = (1024, 1024, 1024)


@dataclass(frozen=True, eq=False)
class LightScene:
    """Light that reaches the photosites.

    Attributes:
        radiance: float32 (h, w, 3), linear, primaries and white of sRGB (BT.709, D65); at least 0.
            1.0 is a diffuse white; the sensor's profile says how many photons that is.
        name: for messages.

    Raises SceneError for another shape or type, or for values that are negative or not finite.
    """

    radiance: NDArray[np.float32]
    name: str = "scene"

    def __post_init__(self) -> None:
        radiance = np.asarray(self.radiance)
        if radiance.ndim != 3 or radiance.shape[2] != 3 or not radiance.size or radiance.dtype.kind != "f":
            raise SceneError(f"{self.name} is {radiance.dtype} {radiance.shape}; light is floating point (h, w, 3)")
        radiance = np.ascontiguousarray(radiance, np.float32)
        if not (radiance.min() >= 0 and radiance.max() < np.inf):
            raise SceneError(f"{self.name} has radiances that are negative or not finite")
        object.__setattr__(self, "radiance", radiance)

    def check_fits(self, policy: Policy) -> None:
        """Raise PolicyError unless the scene has the policy's size."""
        height, width = self.radiance.shape[:2]
        if (width, height) != (policy.width, policy.height):
            raise PolicyError(
                f"{self.name} is {width}x{height}, the key is for {policy.width}x{policy.height}",
                hint=f"resize the scene, or issue a key with --size {width}x{height}",
            )


@dataclass(frozen=True, eq=False)
class DnScene:
    """Numbers that enter the converter as they are: no light, no noise, no second black level.

    Attributes:
        dn: uint16 (h, w), or (h, w, 3) for a stacked sensor; other integer types are converted.
        black_level, white_level: DN of no light and of saturation; black < white.
        white_balance: gains of red, green and blue; 1024 is 1.0.
        cfa: the mosaic's colour filter array, if it is known.
        name: for messages.

    Raises SceneError when constructed with values outside these ranges.
    """

    dn: NDArray[np.uint16]
    black_level: int
    white_level: int
    white_balance: tuple[int, int, int] = NEUTRAL
    cfa: Cfa | None = None
    name: str = "scene"

    def __post_init__(self) -> None:
        object.__setattr__(self, "dn", _as_uint16(np.asarray(self.dn), self.name))
        if not 0 <= self.black_level < self.white_level < 2**16:
            raise SceneError(
                f"{self.name} has black level {self.black_level} and white level {self.white_level}; "
                "0 <= black < white <= 65535 is needed"
            )

    @property
    def bits(self) -> int:
        """The least bit depth, from 8, that holds every DN and the white level."""
        return max(8, max(int(self.dn.max()), self.white_level).bit_length())

    def check_fits(self, policy: Policy) -> None:
        """Raise PolicyError unless size, colour filter array and white level are the policy's.

        Whether each DN fits the bit depth is the chip's to check.
        """
        stacked = policy.samples_per_photosite == 3
        same_size = self.dn.shape == ((policy.height, policy.width, 3) if stacked else (policy.height, policy.width))
        same_cfa = self.cfa is None or self.cfa is policy.cfa
        if not (same_size and same_cfa and self.white_level < 2**policy.bits):
            raise PolicyError(
                f"{self.name} is {self._kind()}, the key is for {_kind(policy)}",
                hint=f"issue a key with {self._flags(policy)}",
            )

    def _kind(self) -> str:
        height, width = self.dn.shape[:2]
        what = "stacked" if self.dn.ndim == 3 else "a mosaic" if self.cfa is None else f"{self.cfa}"
        return f"{width}x{height}, {what}, {self.bits} bits"

    def _flags(self, policy: Policy) -> str:
        height, width = self.dn.shape[:2]
        cfa = Cfa.NONE if self.dn.ndim == 3 else self.cfa or policy.cfa
        stacked = " --stacked" if self.dn.ndim == 3 else ""
        return f"--size {width}x{height} --cfa {cfa}{stacked} --bits {max(self.bits, policy.bits)}"


Scene = LightScene | DnScene


def _as_uint16(dn: NDArray[Any], name: str) -> NDArray[np.uint16]:
    if dn.dtype.kind not in "ui" or dn.ndim not in (2, 3) or (dn.ndim == 3 and dn.shape[2] != 3) or not dn.size:
        raise SceneError(f"{name} is {dn.dtype} {dn.shape}; DN are whole numbers (h, w) or (h, w, 3)")
    if dn.dtype not in (np.uint8, np.uint16) and (dn.min() < 0 or dn.max() >= 2**16):
        raise SceneError(f"{name} has values from {dn.min()} to {dn.max()}; DN are 0 to 65535")
    return np.ascontiguousarray(dn, np.uint16)


def _kind(policy: Policy) -> str:
    stacked = policy.samples_per_photosite == 3
    what = "stacked" if stacked else "monochrome" if policy.cfa is Cfa.NONE else f"{policy.cfa}"
    return f"{policy.width}x{policy.height}, {what}, {policy.bits} bits"
