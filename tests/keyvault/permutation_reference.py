"""A second implementation of docs/spec/permutation.md, written from the document.

Plain Python over lists, one element at a time; it shares no code with keyvault.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable
from itertools import count

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

Octets = Callable[[int, int, int], bytes]  # stream, offset, length


def keystream(key: bytes) -> Octets:
    """Section 3, by ciphering the counter blocks one after the other."""

    def octets(stream: int, offset: int, length: int) -> bytes:
        first, last = offset // 16, (offset + length + 15) // 16
        counters = b"".join(struct.pack(">IIQ", stream, 0, block) for block in range(first, last))
        blocks = Cipher(algorithms.AES(key), modes.ECB()).encryptor().update(counters)  # noqa: S305 - single blocks
        return blocks[offset - 16 * first :][:length]

    return octets


def permutation(octets: Octets, width: int, height: int, unit: str, scope: str, one_bucket: int = 65536) -> list[int]:
    """The table at the level of photosites."""
    side = 2 if unit == "quad" else 1
    across, down = width // side, height // side
    if scope == "frame":
        rows = down
    elif scope == "row":
        rows = 1
    else:
        rows = int(scope.split(":")[1]) // side
    elements: list[int] = []
    while len(elements) < across * down:
        first = len(elements)
        elements += _group(octets, first, min(rows * across, across * down - first), one_bucket)
    return _quads(elements, across, width) if unit == "quad" else elements


def _group(octets: Octets, first: int, size: int, one_bucket: int) -> list[int]:
    members = list(range(first, first + size))
    if size <= one_bucket:
        buckets = [members]
    else:
        buckets = [[] for _ in range(256)]
        for element, digit in zip(members, octets(0, first, size), strict=True):
            buckets[digit].append(element)
    words = struct.unpack(f"<{size}I", octets(1, 4 * first, 4 * size))
    done: list[int] = []
    for bucket in buckets:
        base = len(done)
        for i in range(len(bucket) - 1, 0, -1):
            j = _draw(octets, words[base + i], first + base + i, i + 1)
            bucket[i], bucket[j] = bucket[j], bucket[i]
        done += bucket
    return done


def _draw(octets: Octets, word: int, position: int, bound: int) -> int:
    refused = (1 << 32) % bound
    for stream in count(2):
        if word * bound % (1 << 32) >= refused:
            return word * bound >> 32
        word = int.from_bytes(octets(stream, 4 * position, 4), "little")
    raise AssertionError


def _quads(elements: list[int], across: int, width: int) -> list[int]:
    table = [0] * (4 * len(elements))
    for e, f in enumerate(elements):
        for dy in (0, 1):
            for dx in (0, 1):
                source = (2 * (e // across) + dy) * width + 2 * (e % across) + dx
                table[source] = (2 * (f // across) + dy) * width + 2 * (f % across) + dx
    return table


def digest(table: list[int]) -> str:
    """SHA-256 of the canonical form (section 8)."""
    return hashlib.sha256(struct.pack(f"<{len(table)}i", *table)).hexdigest()


def vector_key(number: int) -> bytes:
    """Section 11."""
    return hashlib.sha256(f"privcam permutation v1, key {number}".encode("ascii")).digest()
