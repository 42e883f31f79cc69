"""Files that are either whole or not there."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from keyvault.errors import InputError, OutputError

PRIVATE_FILE = 0o600
PRIVATE_FOLDER = 0o700
PUBLIC_FILE = 0o644


def write_whole(path: Path, data: bytes | memoryview, *, mode: int = PUBLIC_FILE, replace: bool = True) -> None:
    """Write a file so that PATH holds either what it held before or all of ``data``.

    The bytes go to a temporary file in the same folder, created with ``mode`` from the start
    and synced, which then takes the name; the folder is synced last.  With ``replace=False``
    an existing file is never overwritten, not even one that appears meanwhile.

    Raises:
        OutputError: PATH exists and ``replace`` is false, is a device or pipe, or cannot be written.
    """
    temporary = path.parent / f".{path.name}.{secrets.token_hex(6)}.part"
    try:
        if replace and path.exists() and not path.is_file():
            raise OutputError(f"{path} is not a file that can be replaced", hint="choose another name")
        _write_new(temporary, data, mode)
        if replace:
            temporary.replace(path)
        else:
            os.link(temporary, path)
        sync_folder(path.parent)
    except FileExistsError as error:
        raise OutputError(f"{path} exists", hint="choose another name or remove it first") from error
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror}", hint="check the folder and free space") from error
    finally:
        with suppress(OSError):  # what went wrong above says more
            temporary.unlink()


def _write_new(path: Path, data: bytes | memoryview, mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(descriptor, mode)
        file.write(data)
        file.flush()
        os.fsync(descriptor)


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


def read_bounded(path: Path, limit: int, what: str) -> bytes:
    """Read a file of at most ``limit`` bytes; InputError names ``what`` if that fails."""
    try:
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except OSError as error:
        raise InputError(
            f"cannot read {what} {path}: {error.strerror}", hint="check the path and its permissions"
        ) from error
    if len(data) > limit:
        raise InputError(f"{path} is larger than {limit} bytes, too large for {what}", hint="check the file")
    return data
