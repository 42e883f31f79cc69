"""The encodings of private frames, by name (docs/spec/frame_files.md)."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

from adc_firmware.packing import PACKINGS, Packing
from keyvault.errors import OutputError, PolicyError
from keyvault.policy import Policy

MAX_TIFF_BYTES = 2**32 - 1
MAX_PNG_CHUNK = 2**31 - 1
_ROOM = 2048  # more than the longest header, its tags and their padding need
_RAW = ".raw"
_HINT = "give one of frame.dng, .tif, .png, .npy, or a packing such as frame.SRGGB12P.raw or --encoding SRGGB12P"


class Encoding(StrEnum):
    """What a private frame is stored as: a container, or packed samples under a V4L2, PFNC or DNG name.

    A container is one file, except for npy, which like packed samples has a JSON sidecar.
    """

    DNG = "dng"
    TIFF = "tiff"
    PNG = "png"
    NPY = "npy"
    SRGGB8 = "SRGGB8"
    SRGGB16 = "SRGGB16"
    SRGGB10 = "SRGGB10"
    SRGGB10P = "SRGGB10P"
    SRGGB12 = "SRGGB12"
    SRGGB12P = "SRGGB12P"
    SRGGB14 = "SRGGB14"
    SRGGB14P = "SRGGB14P"
    SGRBG8 = "SGRBG8"
    SGRBG16 = "SGRBG16"
    SGRBG10 = "SGRBG10"
    SGRBG10P = "SGRBG10P"
    SGRBG12 = "SGRBG12"
    SGRBG12P = "SGRBG12P"
    SGRBG14 = "SGRBG14"
    SGRBG14P = "SGRBG14P"
    SGBRG8 = "SGBRG8"
    SGBRG16 = "SGBRG16"
    SGBRG10 = "SGBRG10"
    SGBRG10P = "SGBRG10P"
    SGBRG12 = "SGBRG12"
    SGBRG12P = "SGBRG12P"
    SGBRG14 = "SGBRG14"
    SGBRG14P = "SGBRG14P"
    SBGGR8 = "SBGGR8"
    SBGGR16 = "SBGGR16"
    SBGGR10 = "SBGGR10"
    SBGGR10P = "SBGGR10P"
    SBGGR12 = "SBGGR12"
    SBGGR12P = "SBGGR12P"
    SBGGR14 = "SBGGR14"
    SBGGR14P = "SBGGR14P"
    GREY = "GREY"
    Y16 = "Y16"
    Y10 = "Y10"
    Y10P = "Y10P"
    Y12 = "Y12"
    Y12P = "Y12P"
    Y14 = "Y14"
    Y14P = "Y14P"
    BayerRG8 = "BayerRG8"
    BayerRG16 = "BayerRG16"
    BayerRG10 = "BayerRG10"
    BayerRG10p = "BayerRG10p"
    BayerRG12 = "BayerRG12"
    BayerRG12p = "BayerRG12p"
    BayerGR8 = "BayerGR8"
    BayerGR16 = "BayerGR16"
    BayerGR10 = "BayerGR10"
    BayerGR10p = "BayerGR10p"
    BayerGR12 = "BayerGR12"
    BayerGR12p = "BayerGR12p"
    BayerGB8 = "BayerGB8"
    BayerGB16 = "BayerGB16"
    BayerGB10 = "BayerGB10"
    BayerGB10p = "BayerGB10p"
    BayerGB12 = "BayerGB12"
    BayerGB12p = "BayerGB12p"
    BayerBG8 = "BayerBG8"
    BayerBG16 = "BayerBG16"
    BayerBG10 = "BayerBG10"
    BayerBG10p = "BayerBG10p"
    BayerBG12 = "BayerBG12"
    BayerBG12p = "BayerBG12p"
    Mono8 = "Mono8"
    Mono16 = "Mono16"
    Mono10 = "Mono10"
    Mono10p = "Mono10p"
    Mono12 = "Mono12"
    Mono12p = "Mono12p"
    Mono14 = "Mono14"
    DNG10 = "DNG10"
    DNG12 = "DNG12"
    DNG14 = "DNG14"

    @classmethod
    def of(cls, path: Path | str) -> Encoding:
        """The encoding that a file's name asks for; OutputError if it asks for none.

        ``.dng``, ``.tif``, ``.tiff``, ``.png`` and ``.npy`` in any case; a packing's exact name as the
        suffix, alone (``frame.SRGGB12P``) or before ``.raw`` (``frame.SRGGB12P.raw``).
        """
        suffixes = Path(path).suffixes
        last = suffixes[-1] if suffixes else ""
        name = suffixes[-2] if last.lower() == _RAW and len(suffixes) > 1 else last
        encoding = _SUFFIXES.get(last.lower()) or _PACKED.get(name.removeprefix("."))
        if encoding is None:
            raise OutputError(f"the name {path} does not say what to write", hint=_HINT)
        return encoding

    @classmethod
    def chosen(cls, path: Path | str, encoding: str | None) -> Encoding:
        """The encoding asked for, or else that of the name.

        Raises:
            OutputError: there is no such encoding, or the name asks for another one.
        """
        if encoding is None:
            return cls.of(path)
        try:
            wanted = cls(encoding)
        except ValueError:
            near = [known for known in cls if known.lower() == encoding.lower()]
            raise OutputError(
                f"there is no encoding {encoding!r:.40}", hint=f"names are exact: {near[0]}" if near else _HINT
            ) from None
        try:
            said = cls.of(path)
        except OutputError:
            return wanted
        if said is not wanted:
            raise OutputError(f"{path} is named as {said}, not {wanted}", hint="change the name or the encoding")
        return wanted

    @property
    def packing(self) -> Packing | None:
        """What a packing's name stands for; None for a container."""
        return PACKINGS.get(self)

    @property
    def has_sidecar(self) -> bool:
        """Whether header and signature are in a file of their own."""
        return self is Encoding.NPY or self.packing is not None

    def holds(self, policy: Policy) -> bool:
        """Whether frames of a policy can be stored so."""
        size = 2 * policy.photosites * policy.samples_per_photosite
        if self in (Encoding.DNG, Encoding.TIFF):
            return size + _ROOM <= MAX_TIFF_BYTES
        if self is Encoding.PNG:
            lines = size + policy.height
            return lines + 5 * -(-lines // 65_535) + 6 <= MAX_PNG_CHUNK
        packing = self.packing
        return packing is None or (
            policy.samples_per_photosite == 1
            and packing.cfa in (None, policy.cfa)
            and packing.least <= policy.bits <= packing.bits
            and policy.width % packing.group == 0
        )

    def check_holds(self, policy: Policy) -> None:
        """Raise PolicyError, which names those that can, unless frames of a policy can be stored so."""
        if not self.holds(policy):
            what = "stacked" if policy.samples_per_photosite == 3 else f"{policy.cfa}".replace("none", "monochrome")
            raise PolicyError(
                f"{self} does not hold frames of {policy.width}x{policy.height}, {what}, {policy.bits} bits",
                hint=f"these do: {', '.join(encodings_for(policy))}",
            )


def encodings_for(policy: Policy) -> tuple[Encoding, ...]:
    """The encodings that hold frames of a policy, containers first."""
    return tuple(encoding for encoding in Encoding if encoding.holds(policy))


_SUFFIXES = {
    ".dng": Encoding.DNG,
    ".tif": Encoding.TIFF,
    ".tiff": Encoding.TIFF,
    ".png": Encoding.PNG,
    ".npy": Encoding.NPY,
}
_PACKED = {str(encoding): encoding for encoding in Encoding if encoding.packing}
