"""Files that are either whole or not there."""

from __future__ import annotations

import fcntl
import os
import re
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path

from keyvault.errors import InputError, OutputError

PRIVATE_FILE = 0o600
PRIVATE_FOLDER = 0o700
PUBLIC_FILE = 0o644
_AT_A_TIME = 4
_TEMPORARY = re.compile(r"\..+\.[0-9a-f]{12}\.part")


def write_whole(path: Path, data: bytes | memoryview, *, mode: int = PUBLIC_FILE, replace: bool = True) -> None:
    """Write a file so that PATH holds either what it held before or all of ``data``.

    The bytes go to a temporary file in the same folder, created with ``mode`` from the start
    and synced, which then takes the name; the folder is synced last.  With ``replace=False``
    an existing file is never overwritten, not even one that appears meanwhile.  What a process that
    was killed has left in the folder is removed by the next one that writes into it.

    Raises:
        OutputError: PATH exists and ``replace`` is false, is a device or pipe, or cannot be written.
    """
    with _explained(path):
        _place(path, data, mode, replace)
        sync_folder(path.parent)


def write_many(folder: Path, contents: Mapping[str, bytes], *, replace: bool = True) -> None:
    """Write files of a folder, each whole or not at all as :func:`write_whole`, and sync the folder once.

    Some are written at a time, since most of the time goes to waiting for the disk.  With
    ``replace=False`` a file that holds these very bytes already is left as it is.

    Raises:
        OutputError: as :func:`write_whole`; the other files are written or not.
    """

    def write(name: str) -> None:
        path, data = folder / name, contents[name]
        if not replace and path.is_file() and path.read_bytes() == data:
            return
        with _explained(path):
            _place(path, data, PUBLIC_FILE, replace)

    try:
        with ThreadPoolExecutor(_AT_A_TIME) as pool:
            for _ in pool.map(write, contents):
                pass  # raises what went wrong first
    finally:
        with _explained(folder):
            sync_folder(folder)


def _place(path: Path, data: bytes | memoryview, mode: int, replace: bool) -> None:
    if replace and path.exists() and not path.is_file():
        raise OutputError(f"{path} is not a file that can be replaced", hint="choose another name")
    remove_leftovers(path.parent.absolute())
    temporary, descriptor = _new_temporary(path, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(descriptor, mode)
            file.write(data)
            file.flush()
            os.fsync(descriptor)
            if replace:
                temporary.replace(path)
            else:
                os.link(temporary, path)
    finally:
        with suppress(OSError):  # what went wrong above says more
            temporary.unlink()


def _new_temporary(path: Path, mode: int) -> tuple[Path, int]:
    """A new file beside PATH and its descriptor, whose lock says that its writer lives."""
    while True:
        temporary = path.parent / f".{path.name}.{secrets.token_hex(6)}.part"
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
        with suppress(OSError):  # a file system without locks
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        if os.fstat(descriptor).st_nlink:
            return temporary, descriptor
        os.close(descriptor)  # it was taken for a leftover before it was locked


@lru_cache(maxsize=256)
def remove_leftovers(folder: Path) -> None:
    """Remove the temporary files of writers that were killed, once a process for each absolute folder."""
    with suppress(OSError):  # writing into a folder that cannot be read may still be possible
        for path in folder.iterdir():
            if _TEMPORARY.fullmatch(path.name):
                _remove_unless_locked(path)


def _remove_unless_locked(path: Path) -> None:
    with suppress(OSError):  # locked, gone meanwhile, or another user's
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()
        finally:
            os.close(descriptor)


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turn what the system refuses into OutputError."""
    try:
        yield
    except FileExistsError as error:
        raise OutputError(f"{path} exists", hint="choose another name or remove it first") from error
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror}", hint="check the folder and free space") from error


def sync_folder(folder: Path) -> None:
    """Make a rename or link in FOLDER durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def check_outputs(outputs: Iterable[Path], inputs: Iterable[Path]) -> None:
    """Raise OutputError unless every output can be written and is not one of the inputs.

    An output that exists is replaced, unless the run needs it.
    """
    needed = {path.resolve() for path in inputs}
    seen: set[Path] = set()
    folders: set[Path] = set()
    for path in outputs:
        target = path.resolve()
        if target in needed:
            raise OutputError(f"output {path} is one of the inputs", hint="choose another name")
        if target in seen:
            raise OutputError(f"two outputs are named {path}", hint="choose different names")
        if target.is_dir():
            raise OutputError(f"output {path} is a folder", hint="name a file")
        if target.exists() and not target.is_file():
            raise OutputError(f"output {path} is not a file that can be replaced", hint="choose another name")
        seen.add(target)
        folders.add(path.parent)
    for folder in folders:
        if not folder.is_dir():
            raise OutputError(f"there is no folder {folder}", hint="make it, or choose another output")
        if not os.access(folder, os.W_OK | os.X_OK):
            raise OutputError(f"folder {folder} cannot be written to", hint="choose another output")


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, unless they are there; OutputError if that fails."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make {folder}: {error.strerror}", hint="choose another folder") from error


def read_bounded(path: Path, limit: int, what: str, check: Callable[[os.stat_result], None] = lambda _: None) -> bytes:
    """Read a file of at most ``limit`` bytes; InputError names ``what`` if that fails.

    ``check`` gets the status of the very file that is read, and raises to refuse it.
    """
    try:
        with path.open("rb") as file:
            check(os.fstat(file.fileno()))
            data = file.read(limit + 1)
    except OSError as error:
        raise InputError(
            f"cannot read {what} {path}: {error.strerror}", hint="check the path and its permissions"
        ) from error
    if len(data) > limit:
        raise InputError(f"{path} is larger than {limit} bytes, too large for {what}", hint="check the file")
    return data
