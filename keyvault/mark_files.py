"""High-water marks on disk: read without a lock, advanced under one, written whole (docs/spec/marks.md)."""

from __future__ import annotations

import fcntl
import os
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, Self, TypeVar

from keyvault import canonical
from keyvault.errors import ExposedFileError, InputError, MarkError, OutputError, PrivcamError
from keyvault.files import PRIVATE_FILE, write_whole
from keyvault.secret_files import make_private_folders

MAX_MARK_FILE = 65_536
LOCK_FILE = ".marks.lock"
_WAIT_SECONDS = 10.0
_POLL_SECONDS = 0.005
_WRITABLE = stat.S_IWGRP | stat.S_IWOTH
_HINT = "make the folder writable: a host's is in its home, which PRIVCAM_HOME names, a sensor's is its device file's"


class Mark(Protocol):
    """What a mark file holds; equal marks have equal JSON."""

    @property
    def file_name(self) -> str:
        """Which file it is in its folder; no two marks have the same."""

    def to_json(self) -> dict[str, Any]:
        """The members of the file."""

    def from_json(self, value: Any) -> Self:
        """The mark that a file holds; InputError unless it is one of the same issuer and sensor."""


M = TypeVar("M", bound=Mark)


def load(folder: Path, fresh: M) -> M:
    """The mark in a folder; ``fresh``, the one before anything was used, where there is none.

    Raises:
        MarkError: the file is damaged, or is another's.
        ExposedFileError: other users can change it.
        InputError: it cannot be read.
    """
    path = folder / fresh.file_name
    data = _read(path)
    if data is None:
        return fresh
    try:
        return fresh.from_json(canonical.loads(data, "its content"))
    except PrivcamError as error:
        raise MarkError(
            f"high-water mark {path} is damaged: {error}",
            hint="restore it from a backup, or remove it: an older key then passes until a newer one is used",
        ) from error


def advance(folder: Path, fresh: M, step: Callable[[M], M]) -> M:
    """Take a mark one step further, durably, and return where it is then.

    Args:
        folder: where marks are kept; made with mode 0700 if it is missing.
        fresh: the mark before anything was used.
        step: gives the mark after a use, equal to its argument if that brings nothing new; raises what
            refuses the use.  Called once more under the lock, with what another process wrote meanwhile.

    Raises:
        PrivcamError: whatever ``step`` and :func:`load` raise; nothing is written then.
        OutputError: the folder cannot be written.
    """
    before = load(folder, fresh)
    after = step(before)
    if after == before:
        return after
    with _locked(folder):
        before = load(folder, fresh)
        after = step(before)
        if after != before:
            _write(folder / after.file_name, canonical.dumps(after.to_json()))
    return after


def _read(path: Path) -> bytes | None:
    """The content of a mark's file; None if there is none."""
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            data = file.read(MAX_MARK_FILE + 1)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise InputError(
            f"cannot read high-water mark {path}: {error.strerror}", hint="check its permissions and its folder's"
        ) from error
    if mode & _WRITABLE:
        raise ExposedFileError(
            f"high-water mark {path} can be changed by other users (mode {mode:04o})", hint=f"chmod 600 {path}"
        )
    return data


def _write(path: Path, data: bytes) -> None:
    try:
        write_whole(path, data, mode=PRIVATE_FILE)
    except OutputError as error:
        raise OutputError(f"the high-water mark cannot be kept: {error}", hint=_HINT) from error


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the folder's lock, which ends with the process at the latest; OutputError if there is none to be had."""
    try:
        make_private_folders(folder)
        descriptor = os.open(folder / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, PRIVATE_FILE)
    except (OSError, OutputError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise OutputError(f"high-water marks cannot be kept in {folder}: {reason}", hint=_HINT) from error
    try:
        _lock(descriptor, folder)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int, folder: Path) -> None:
    deadline = time.monotonic() + _WAIT_SECONDS
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise OutputError(
                    f"another process has held {folder / LOCK_FILE} for {_WAIT_SECONDS:.0f} s",
                    hint="end that process, or try again",
                ) from None
            time.sleep(_POLL_SECONDS)
        except OSError as error:
            raise OutputError(f"files in {folder} cannot be locked: {error.strerror}", hint=_HINT) from error
        else:
            return


def check_members(value: Any, names: set[str], kind: str) -> dict[str, Any]:
    """The members of a mark's JSON object of a type and version 1; InputError unless they are these."""
    if not isinstance(value, dict) or set(value) != names | {"typ", "v"}:
        raise InputError("missing or unknown members")
    if value["typ"] != kind or value["v"] != 1 or isinstance(value["v"], bool):
        raise InputError(f"it is not a {kind} of version 1")
    return value
