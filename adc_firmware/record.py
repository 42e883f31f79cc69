"""The record: header and signature as they lie in the files of private frames."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from adc_firmware.errors import FrameError
from adc_firmware.frame import DOMAIN, MAX_HEADER_BYTES, SIGNATURE_BYTES, FrameHeader

_BODY = len(DOMAIN) + 4  # where the header begins
MAX_BYTES = _BODY + MAX_HEADER_BYTES + SIGNATURE_BYTES


@dataclass(frozen=True, slots=True)
class Record:
    """Header and signature; neither is verified yet where they come from a file."""

    header: FrameHeader
    signature: bytes

    def to_bytes(self) -> bytes:
        """Domain, length of the header, header, signature."""
        body = self.header.to_bytes()
        return DOMAIN + struct.pack("<I", len(body)) + body + self.signature

    @classmethod
    def from_bytes(cls, data: bytes, place: int) -> Record:
        """The record at ``place`` of a file; FrameError if the file ends inside, or for a malformed header."""
        begin = place + _BODY
        if len(data) >= begin:
            (length,) = struct.unpack_from("<I", data, begin - 4)
            end = begin + length
            if len(data) >= end + SIGNATURE_BYTES:
                return cls(FrameHeader.from_bytes(data[begin:end]), data[end : end + SIGNATURE_BYTES])
        raise FrameError("the private frame ends inside its header", hint="fetch the file again")
