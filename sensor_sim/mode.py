"""A sensor mode as rpicam's commands name it: ``W:H:bits:P`` or ``W:H:bits:U``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Self

from adc_firmware.encodings import Encoding
from adc_firmware.packing import Order
from keyvault.errors import PolicyError
from keyvault.policy import Cfa, Policy

_FORM = re.compile(r"([1-9][0-9]{0,5}):([1-9][0-9]{0,5})(?::([1-9][0-9]?)(?::([PU]))?)?")


@dataclass(frozen=True, slots=True)
class Mode:
    """What a mode asks for.

    Attributes:
        width, height: photosites.
        bits: bit depth; None leaves it to the key.
        packed: whether raw files have packed samples; None leaves that open.
    """

    width: int
    height: int
    bits: int | None = None
    packed: bool | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """``640:480``, ``640:480:12``, ``640:480:12:P`` (packed) or ``...:U`` (unpacked); ValueError for others."""
        match = _FORM.fullmatch(text)
        if match is None:
            raise ValueError(text)
        width, height, bits, packing = match.groups()
        return cls(int(width), int(height), int(bits) if bits else None, packing == "P" if packing else None)

    def check(self, policy: Policy) -> None:
        """Raise PolicyError unless a key's frames have this size and depth."""
        bits = policy.bits if self.bits is None else self.bits
        if (self.width, self.height, bits) != (policy.width, policy.height, policy.bits):
            raise PolicyError(
                f"the mode is {self.width}x{self.height}, {bits} bits; the key is for "
                f"{policy.width}x{policy.height}, {policy.bits} bits",
                hint=f"use --mode {policy.width}:{policy.height}:{policy.bits}, or issue a key with "
                f"--size {self.width}x{self.height} --bits {bits}",
            )

    def raw_encoding(self, policy: Policy) -> Encoding | None:
        """V4L2's format for raw files, packed or whole words; None if that was left open.

        Raises PolicyError if V4L2 has none for such frames.
        """
        if self.packed is None:
            return None
        prefix = "Y" if policy.cfa is Cfa.NONE else f"S{policy.cfa}"
        exact = "GREY" if prefix == "Y" and policy.bits == 8 else f"{prefix}{policy.bits}"
        whole = policy.bits in (8, 16)  # V4L2 has no other form of these
        names = (exact,) if whole else (f"{exact}P",) if self.packed else (exact, f"{prefix}16")
        known = (Encoding(name) for name in names if name in tuple(Encoding))
        for encoding in known:
            if encoding.holds(policy):
                return encoding
        raise PolicyError(
            f"V4L2 has no {'packed' if self.packed else 'unpacked'} raw format for {policy.width}x{policy.height}, "
            f"{policy.samples_per_photosite * policy.bits} bits a photosite",
            hint="write a container, such as .dng, or see --encoding",
        )

    def contradicts(self, encoding: Encoding) -> bool:
        """Whether an encoding packs samples where the mode says unpacked, or the other way round."""
        packing = encoding.packing
        if packing is None or self.packed is None or packing.bits in (8, 16):
            return False
        return self.packed is (packing.order is Order.WORDS)
