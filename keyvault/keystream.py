"""AES-256-CTR as an addressable stream of words (docs/spec/permutation.md, section 3)."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from numpy.typing import NDArray

KEY_BYTES = 32
BLOCK_BYTES = 16
MAX_STREAM = 2**32 - 1
MAX_OFFSET = BLOCK_BYTES * 2**64
_ZEROS = memoryview(bytes(1 << 18))


class Keystream:
    """2**32 independent streams of 2**68 bytes each, all under one 32-byte key.

    Counter block: stream number (u32, big-endian), four zero bytes, block number (u64,
    big-endian).  Any part of any stream can be had at any time, from any thread; no state is
    kept between calls.

    Raises ValueError if the key is not 32 bytes.
    """

    __slots__ = ("_cipher",)

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_BYTES:
            raise ValueError(f"a keystream needs a key of {KEY_BYTES} bytes, not {len(key)}")
        self._cipher = algorithms.AES256(key)

    def fill(self, out: NDArray[Any], stream: int, offset_bytes: int) -> None:
        """Write keystream into ``out``, in place.

        Args:
            out: contiguous uint8, uint16, uint32 or uint64 array of any shape; words are little-endian.
            stream: number of the stream, 0 to 2**32 - 1.
            offset_bytes: where in the stream to begin, a multiple of 16.

        Raises:
            ValueError: an argument is outside these limits.
        """
        if out.dtype.kind != "u" or not (out.flags.c_contiguous and out.flags.writeable):
            raise ValueError("keystream goes into a writable contiguous array of unsigned integers")
        if not 0 <= stream <= MAX_STREAM:
            raise ValueError(f"stream {stream} is outside 0 to {MAX_STREAM}")
        if offset_bytes % BLOCK_BYTES or not 0 <= offset_bytes <= MAX_OFFSET - out.nbytes:
            raise ValueError(f"offset {offset_bytes} is no multiple of {BLOCK_BYTES} inside the stream")
        if not out.size:
            return
        counter = stream.to_bytes(4, "big") + bytes(4) + (offset_bytes // BLOCK_BYTES).to_bytes(8, "big")
        encryptor = Cipher(self._cipher, modes.CTR(counter)).encryptor()
        octets = out.reshape(-1).view(np.uint8)
        for first in range(0, octets.size, len(_ZEROS)):
            part = octets[first : first + len(_ZEROS)]
            encryptor.update_into(_ZEROS[: part.size], part.data)
        if sys.byteorder == "big":
            out.byteswap(inplace=True)
