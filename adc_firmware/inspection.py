"""Looking at a private frame without a key: nothing is verified, and the type says so.

What a program acts on comes from :func:`adc_firmware.read`, which verifies before it returns.
This is for a person who wants to see what a file holds.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from adc_firmware import data_file, sidecar
from adc_firmware.container import check_length, disagreement
from adc_firmware.encodings import Encoding
from adc_firmware.errors import FrameError
from adc_firmware.files import CONTAINERS, no_frame
from adc_firmware.frame import FrameHeader
from adc_firmware.record import Record
from adc_firmware.sidecar import Sidecar
from keyvault.errors import InputError, PrivcamError

_HEAD_BYTES = max(container.head_bytes for container in CONTAINERS.values())


@dataclass(frozen=True, slots=True, eq=False)
class UnverifiedFrame:
    """What a file says that it is.  Whoever wrote the file chose all of it.

    Attributes:
        claims: the header: well-formed, but anybody may have written it.
        samples: uint16 (h, w) or (h, w, 3), read-only: DN in stored order.
        encoding: of the file.
    """

    claims: FrameHeader
    samples: NDArray[np.uint16]
    encoding: Encoding


def inspect(path: Path | str) -> UnverifiedFrame:
    """Read a file of any encoding that has the form of a private frame; no signature is checked.

    Raises:
        InputError: it cannot be read.
        FrameError: not a private frame, truncated, too long or malformed; a sidecar is missing.
        FrameTamperedError: what is around the samples contradicts the header.
    """
    path = Path(path)
    try:
        head = _bytes(path, _HEAD_BYTES)
        encoding = next((name for name, container in CONTAINERS.items() if container.claims(head)), None)
        frame = _beside(path) if encoding is None else _contained(path, head, encoding)
    except PrivcamError as error:
        raise type(error)(f"{path}: {error}", hint=error.hint) from error
    frame.samples.flags.writeable = False
    return frame


def _contained(path: Path, head: bytes, encoding: Encoding) -> UnverifiedFrame:
    container = CONTAINERS[encoding]
    record = Record.from_bytes(head, container.record_at)
    front = container.front(record)
    body = memoryview(_whole(path, len(front) + container.body_bytes(record.header)))
    if body[: len(front)] != front:
        raise disagreement(container.name)
    return UnverifiedFrame(record.header, container.samples(body[len(front) :], record.header), encoding)


def _beside(path: Path) -> UnverifiedFrame:
    other = sidecar.path_of(path)
    if not other.is_file():
        raise no_frame(path)
    beside = Sidecar.from_bytes(_bytes(other, sidecar.MAX_BYTES + 1))
    header = beside.record.header
    if not beside.encoding.holds(header.policy):
        raise FrameError(f"the sidecar says {beside.encoding}, which does not hold the frame it describes")
    data = _whole(path, data_file.size(header.policy, beside.encoding))
    return UnverifiedFrame(header, data_file.samples(data, header, beside.encoding), beside.encoding)


def _whole(path: Path, size: int) -> bytes:
    check_length(path.stat().st_size, size)
    return _bytes(path, size)


def _bytes(path: Path, size: int) -> bytes:
    try:
        if path.exists() and not path.is_file():
            raise FrameError("this is not a file")
        with path.open("rb") as file:
            return file.read(size)
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", hint="check the path and its permissions") from error
