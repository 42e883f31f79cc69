"""Private frames as files of any encoding: the name chooses on writing, the content on reading."""

from __future__ import annotations

import stat
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from adc_firmware import data_file, sidecar
from adc_firmware.container import Container
from adc_firmware.dng import DNG
from adc_firmware.encodings import Encoding
from adc_firmware.errors import FrameError
from adc_firmware.frame import PrivateFrame
from adc_firmware.png import PNG
from adc_firmware.record import Record
from adc_firmware.sidecar import Sidecar
from adc_firmware.tiff import TIFF
from keyvault.errors import InputError, OutputError, PrivcamError
from keyvault.files import PUBLIC_FILE, check_outputs, read_bounded, write_whole
from keyvault.grant import Grant

CONTAINERS = {Encoding.DNG: DNG, Encoding.TIFF: TIFF, Encoding.PNG: PNG}
_HEAD_BYTES = max(container.head_bytes for container in CONTAINERS.values())


def write(frame: PrivateFrame, path: Path | str, encoding: str | None = None) -> None:
    """Write a frame's file, mode 0644, whole or not at all.

    With npy and packed samples there are two: the data file at ``path`` and its sidecar, which
    comes last; a sidecar that was there goes first.  Without one a data file is not read.

    Args:
        frame: what to write.
        path: of the file.
        encoding: an :class:`Encoding` or its name; by default what the name of the file asks for.

    Raises:
        OutputError: it cannot be written, or name and encoding do not say one and the same.
        PolicyError: the encoding does not hold such frames.
        FrameError: the frame is too large for a TIFF (4 GiB) or PNG (2 GiB).
    """
    path = Path(path)
    chosen = Encoding.chosen(path, encoding)
    chosen.check_holds(frame.header.policy)
    if chosen.has_sidecar:
        _write_pair(frame, path, chosen)
    else:
        write_whole(path, CONTAINERS[chosen].encode(frame), mode=PUBLIC_FILE)


def read(path: Path | str, grants: Mapping[str, Grant]) -> PrivateFrame:
    """Read and verify a frame, whatever it is stored as.

    Args:
        path: of the file; of the data file if there is a sidecar.
        grants: those at hand, by key id.

    Raises:
        InputError: it cannot be read.
        FrameError: not a private frame, truncated, too long or malformed; a sidecar is missing.
        ForeignFrameError: its grant is not at hand.
        FrameTamperedError: claims, container or signature do not agree.
    """
    path = Path(path)
    size = _size(path)
    head = _start(path, _HEAD_BYTES)
    container = _container(head)
    try:
        if container is not None:
            container.check_head(head, size, grants)
            return container.decode(_bytes(path, size), grants)
        if not sidecar.path_of(path).is_file():
            raise no_frame(path)
        beside = Sidecar.from_bytes(_start(sidecar.path_of(path), sidecar.MAX_BYTES + 1))
        data_file.check_head(beside, size, grants)
        return data_file.decode(_bytes(path, size), beside, grants)
    except PrivcamError as error:
        raise type(error)(f"{path}: {error}", hint=error.hint) from error


def paths_of(path: Path | str, encoding: str | None = None) -> tuple[Path, ...]:
    """The files that :func:`write` makes: one, or the data file and its sidecar; OutputError as write."""
    data = Path(path)
    return (data, sidecar.path_of(data)) if Encoding.chosen(data, encoding).has_sidecar else (data,)


def is_private(path: Path | str) -> bool:
    """Whether a file claims to be a private frame, or to have a sidecar; False if it cannot be read, or is a pipe."""
    path = Path(path)
    try:
        return path.is_file() and (
            _container(_start(path, _HEAD_BYTES)) is not None or _is_sidecar(sidecar.path_of(path))
        )
    except InputError:
        return False


def _write_pair(frame: PrivateFrame, path: Path, encoding: Encoding) -> None:
    beside = sidecar.path_of(path)
    data = data_file.encode(frame, encoding)
    record = Record(frame.header, frame.signature)
    check_outputs([path, beside], [])
    try:
        beside.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"cannot replace {beside}: {error.strerror}", hint="check the folder") from error
    write_whole(path, data, mode=PUBLIC_FILE)
    try:
        write_whole(beside, Sidecar(record, encoding).to_bytes(), mode=PUBLIC_FILE)
    except BaseException:
        with suppress(OSError):  # what went wrong above says more
            path.unlink()
        raise


def _container(head: bytes) -> Container | None:
    """The kind of container that a file beginning like this claims to be."""
    return next((container for container in CONTAINERS.values() if container.claims(head)), None)


def no_frame(path: Path) -> FrameError:
    """What a file is that holds no private frame and has no sidecar."""
    if _is_sidecar(path):
        return FrameError("this is the sidecar of a private frame", hint=f"give the data file, {path.stem}")
    return FrameError(
        "this is not a private frame",
        hint=f"sensor-sim capture writes them; npy and packed samples need {path.name}.json beside them",
    )


def _is_sidecar(path: Path) -> bool:
    return path.is_file() and sidecar.SPECIFICATION.encode("ascii") in _start(path, sidecar.MAX_BYTES)


def _start(path: Path, size: int) -> bytes:
    """At most the first ``size`` bytes; InputError if they cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(size)
    except OSError as error:
        raise InputError(
            f"cannot read private frame {path}: {error.strerror}", hint="check the path and its permissions"
        ) from error


def _bytes(path: Path, size: int) -> bytes:
    return read_bounded(path, size, "private frame")


def _size(path: Path) -> int:
    try:
        status = path.stat()
    except OSError:
        return 0  # opening it says why
    if not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
        raise FrameError(f"{path} is not a regular file", hint="write the frame to a file first")
    return status.st_size
