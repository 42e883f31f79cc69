"""The sidecar: header and signature beside a data file that has no room for them.

(docs/spec/frame_files.md, section 5.)  ``frame.npy`` has ``frame.npy.json``.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adc_firmware.encodings import Encoding
from adc_firmware.errors import FrameError
from adc_firmware.frame import MAX_HEADER_BYTES, SIGNATURE_BYTES, FrameHeader
from adc_firmware.record import Record
from keyvault import canonical
from keyvault.errors import InputError

SUFFIX = ".json"
SPECIFICATION = "privcam frame files v1"
MAX_BYTES = MAX_HEADER_BYTES + 1024
_MEMBERS = frozenset({"encoding", "header", "signature", "specification"})


@dataclass(frozen=True, slots=True)
class Sidecar:
    """The record of a frame and what its data file is; nothing is verified yet where it comes from a file."""

    record: Record
    encoding: Encoding

    def to_bytes(self) -> bytes:
        """Canonical JSON."""
        return canonical.dumps(
            {
                "encoding": str(self.encoding),
                "header": json.loads(self.record.header.to_bytes()),
                "signature": self.record.signature.hex(),
                "specification": SPECIFICATION,
            }
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> Sidecar:
        """The inverse of to_bytes; FrameError for every other byte string."""
        if len(data) > MAX_BYTES:
            raise FrameError(f"the sidecar is longer than {MAX_BYTES} bytes")
        try:
            sidecar = cls._from_members(canonical.loads(data, "the sidecar"))
        except FrameError:
            raise
        except (InputError, ValueError, TypeError) as error:
            raise FrameError(f"the sidecar is malformed: {error!s:.200}") from error
        if sidecar.to_bytes() != data:
            raise FrameError("the sidecar has oddly spelt members")
        return sidecar

    @classmethod
    def _from_members(cls, members: Any) -> Sidecar:
        if not isinstance(members, dict) or members.get("specification") != SPECIFICATION:
            raise FrameError("the sidecar is not that of a private frame", hint=f"it is to say {SPECIFICATION!r}")
        if set(members) != _MEMBERS:
            raise FrameError("the sidecar has missing or unknown members")
        encoding = Encoding(members["encoding"])
        signature = bytes.fromhex(members["signature"])
        if not encoding.has_sidecar or len(signature) != SIGNATURE_BYTES:
            raise FrameError("the sidecar has an encoding or a signature that cannot be")
        return cls(Record(FrameHeader.from_bytes(canonical.dumps(members["header"])), signature), encoding)


def path_of(data_file: Path | str) -> Path:
    """The sidecar's place for a data file."""
    return Path(f"{data_file}{SUFFIX}")
