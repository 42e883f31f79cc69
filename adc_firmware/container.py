"""Files that hold a whole private frame: what they have in common, and how one is verified."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from adc_firmware.errors import FrameError, FrameTamperedError
from adc_firmware.frame import DOMAIN, FrameHeader, PrivateFrame, check_claims, sample_bytes, select_grant, verify
from adc_firmware.record import MAX_BYTES, Record
from keyvault.grant import Grant


@dataclass(frozen=True, slots=True)
class Container:
    """One kind of file, of which every byte follows from record and samples.

    Attributes:
        name: for messages.
        magic: pairs of a place and the bytes that stand there.
        record_at: where the record begins.
        front: everything before the samples; FrameError if the file would be too long.
        body: the rest of the file.
        body_bytes: how long that is.
        samples: from the body, whose length is right: uint16 of the header's shape, perhaps a view;
            FrameTamperedError if anything else in the body is not as it must be.
    """

    name: str
    magic: tuple[tuple[int, bytes], ...]
    record_at: int
    front: Callable[[Record], bytes]
    body: Callable[[NDArray[np.uint16]], bytes | memoryview]
    body_bytes: Callable[[FrameHeader], int]
    samples: Callable[[memoryview, FrameHeader], NDArray[np.uint16]]

    @property
    def head_bytes(self) -> int:
        """How much of a file check_head needs, at most."""
        return self.record_at + MAX_BYTES

    def claims(self, head: bytes) -> bool:
        """Whether a file that begins like this claims to be a private frame of this kind."""
        marks = (*self.magic, (self.record_at, DOMAIN))
        return all(head.startswith(mark, place) for place, mark in marks)

    def check_head(self, head: bytes, size: int, grants: Mapping[str, Grant]) -> None:
        """Refuse what can be refused before a file of ``size`` bytes is read whole; raises as decode."""
        record = self._record(head)
        grant = select_grant(record.header, grants)
        check_length(size, self._length(record))
        check_claims(record.header, grant)

    def encode(self, frame: PrivateFrame) -> bytes:
        """The bytes of the frame's file; FrameError if they are too many for this kind."""
        return b"".join((self.front(Record(frame.header, frame.signature)), self.body(frame.samples)))

    def decode(self, data: bytes, grants: Mapping[str, Grant]) -> PrivateFrame:
        """Verify the bytes of a file.

        Raises:
            FrameError: not a private frame of this kind, truncated, too long or malformed.
            ForeignFrameError: its grant is not at hand.
            FrameTamperedError: claims, container or signature do not agree.
        """
        data = bytes(data)
        record = self._record(data)
        header = record.header
        grant = select_grant(header, grants)
        check_length(len(data), self._length(record))
        front = self.front(record)
        if not data.startswith(front):
            raise disagreement(self.name)
        return verify(header, self.samples(memoryview(data)[len(front) :], header), record.signature, grant)

    def _record(self, data: bytes) -> Record:
        if not self.claims(data):
            raise FrameError("this is not a private frame", hint="private frames are written by sensor-sim capture")
        return Record.from_bytes(data, self.record_at)

    def _length(self, record: Record) -> int:
        return len(self.front(record)) + self.body_bytes(record.header)


def check_length(found: int, expected: int) -> None:
    """FrameError unless a file is as long as its header asks for."""
    if found != expected:
        what = "truncated" if found < expected else "too long"
        raise FrameError(f"the private frame is {what}: {found} bytes, not {expected}", hint="fetch the file again")


def disagreement(name: str) -> FrameTamperedError:
    """The error for a container that says something else than the header in it."""
    return FrameTamperedError(
        f"the {name} around the frame is not as its authenticated header says",
        hint="fetch the file again from its origin; what another program has saved is no private frame",
    )


def raster_length(header: FrameHeader) -> int:
    """Length of a body that is the raster bytes."""
    return sample_bytes(header.policy)


def from_raster(body: bytes | memoryview, header: FrameHeader) -> NDArray[np.uint16]:
    """The inverse of raster_bytes; a view where that is possible."""
    return np.frombuffer(body, "<u2").reshape(header.shape).astype(np.uint16, copy=False)
