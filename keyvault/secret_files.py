"""Files with secrets: private from the start, and refused when others can read them."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from keyvault.errors import ExposedFileError, OutputError
from keyvault.files import PRIVATE_FILE, PRIVATE_FOLDER, read_bounded, write_whole

OTHERS = stat.S_IRWXG | stat.S_IRWXO


def make_private_folders(path: Path) -> None:
    """Make a folder and what is missing above it, each of mode 0700; leaves existing ones as they are.

    Raises:
        OutputError: it cannot be made.
    """
    try:
        for folder in (*reversed(path.parents), path):
            if not folder.exists():
                folder.mkdir(PRIVATE_FOLDER, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make folder {path}: {error.strerror}", hint="choose another place") from error


def write_secret(path: Path, data: bytes) -> None:
    """Write a new file of mode 0600; folders that are missing are made with mode 0700.

    Raises:
        OutputError: PATH exists or cannot be written.
    """
    make_private_folders(path.parent)
    write_whole(path, data, mode=PRIVATE_FILE, replace=False)


def read_secret(path: Path, limit: int, what: str) -> bytes:
    """Read a file of at most ``limit`` bytes that only its owner can read.

    Raises:
        ExposedFileError: its group or everybody can read or write it, or another user owns it.
        InputError: it cannot be read or is too large.
    """
    return read_bounded(path, limit, what, lambda status: _check(path, status, what))


def check_private(path: Path, what: str) -> None:
    """Raise ExposedFileError unless an existing file is the user's and only its owner can read it."""
    _check(path, path.stat(), what)


def _check(path: Path, status: os.stat_result, what: str) -> None:
    if status.st_uid not in (os.geteuid(), 0):
        raise ExposedFileError(
            f"{what} {path} belongs to user {status.st_uid}, not to user {os.geteuid()}",
            hint=f"run as its owner, or chown {path}",
        )
    mode = stat.S_IMODE(status.st_mode)
    if mode & OTHERS:
        raise ExposedFileError(
            f"{what} {path} is open to other users (mode {mode:04o})",
            hint=f"chmod 600 {path}, and make new keys if others may have read it",
        )


def check_private_folder(folder: Path, what: str) -> None:
    """Raise ExposedFileError unless only the owner of an existing folder can list or change it."""
    mode = stat.S_IMODE(folder.stat().st_mode)
    if mode & OTHERS:
        raise ExposedFileError(
            f"the folder of the {what}, {folder}, is open to other users (mode {mode:04o})",
            hint=f"chmod 700 {folder}; if others could write to it, restore a backup",
        )
