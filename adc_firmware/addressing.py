"""The address generator: where each sample goes, and what hides its value.

Chip and authorised host share it.  The mask of the sample with source raster number s is word s
of the mask key's stream 0, reduced to the bit depth (docs/spec/private_frame.md, section 4).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from adc_firmware import _kernels as kernels
from adc_firmware.frame import sample_shape
from keyvault.derivation import FrameId
from keyvault.expansion import expand
from keyvault.grant import OpenGrant
from keyvault.keystream import BLOCK_BYTES, Keystream
from keyvault.permutation import Permutation
from keyvault.policy import Policy
from keyvault.threads import each

MASK_STREAM = 0
PART_PHOTOSITES = 1 << 17  # what one thread takes at a time
_WORDS_A_BLOCK = BLOCK_BYTES // 2


def frame_permutation(opened: OpenGrant, frame: FrameId) -> Permutation:
    """Where the photosites of one frame go, shape (height, width)."""
    return expand(opened.frame_secrets(frame).permutation_key, opened.grant.policy)


class MaskGenerator:
    """The mask words of one frame, any range of them, from any thread.

    Args:
        mask_key: 32 bytes, or None for a policy without mask.
        policy: its samples a photosite are used.
    """

    __slots__ = ("_keystream", "_samples")

    def __init__(self, mask_key: bytes | None, policy: Policy) -> None:
        self._keystream = None if mask_key is None else Keystream(mask_key)
        self._samples = policy.samples_per_photosite

    def words(self, first: int, last: int) -> NDArray[np.uint16]:
        """Full 16-bit words of the photosites first .. last - 1 in source raster order.

        Shape (last - first, samples a photosite); (0, samples a photosite) without a mask.
        """
        if self._keystream is None:
            return np.empty((0, self._samples), np.uint16)
        start, stop = first * self._samples, last * self._samples
        aligned = start - start % _WORDS_A_BLOCK
        words = np.empty(stop - aligned, np.uint16)
        self._keystream.fill(words, MASK_STREAM, 2 * aligned)
        return words[start - aligned :].reshape(-1, self._samples)


def unmask(
    samples: NDArray[np.uint16], permutation: Permutation, mask_key: bytes | None, policy: Policy
) -> NDArray[np.uint16]:
    """Take the mask off a frame's samples; they stay in stored order.

    ``out[table[s]] = (samples[table[s]] - word(s)) mod 2**bits`` for every photosite s.

    Args:
        samples: uint16 (h, w) or (h, w, 3), as stored.
        permutation: of shape (h, w).
        mask_key: 32 bytes, or None for a policy without mask: the samples return as they are.
        policy: of the frame.

    Raises:
        ValueError: the shapes do not fit the policy.
    """
    if samples.shape != sample_shape(policy) or permutation.shape != samples.shape[:2]:
        raise ValueError(f"samples {samples.shape} and permutation {permutation.shape} do not fit the policy")
    if mask_key is None:
        return samples
    size = samples.size
    stored = np.ascontiguousarray(samples).reshape(size)
    stored.flags.writeable = False
    out = np.empty((policy.photosites, policy.samples_per_photosite), np.uint16)
    masks = MaskGenerator(mask_key, policy)
    top = np.uint16(2**policy.bits - 1)

    def spread(part: tuple[int, int]) -> None:
        kernels.spread(masks.words(*part), permutation.table[slice(*part)], out)

    def subtract(part: tuple[int, int]) -> None:
        kernels.subtract(stored[slice(*part)], top, out.reshape(size)[slice(*part)])

    # Scattering the words and subtracting in order is three times as fast as visiting the
    # stored samples in the order of their words: stores to random places wait for nothing.
    each(spread, parts(0, policy.photosites))
    each(subtract, parts(0, size))
    return out.reshape(samples.shape)


def parts(first: int, last: int) -> list[tuple[int, int]]:
    """The range first .. last - 1 in pieces for one thread each."""
    return [(low, min(last, low + PART_PHOTOSITES)) for low in range(first, last, PART_PHOTOSITES)]
