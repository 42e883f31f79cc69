"""A JSON file of one record a frame that is complete after every frame."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

from keyvault.errors import OutputError
from keyvault.files import write_whole

_BEGIN, _BETWEEN, _END = b"[\n", b",\n", b"\n]\n"


class MetadataFile:
    """A JSON array to which records are added; whenever a run is cut short, the file is valid JSON.

    A file that has the name already is replaced when the first record comes.  What is in the file
    does not stay in memory.  Used in a ``with`` statement.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: BinaryIO | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()

    def add(self, record: dict[str, Any]) -> None:
        """Add a record behind the others; OutputError if that is not possible."""
        text = json.dumps(record, indent=2).encode()
        if self._file is None:
            write_whole(self._path, _BEGIN + text + _END)
        try:
            self._append(text)
        except OSError as error:
            raise OutputError(
                f"cannot write {self._path}: {error.strerror}", hint="check the folder and free space"
            ) from error

    def _append(self, text: bytes) -> None:
        if self._file is None:
            self._file = self._path.open("r+b", buffering=0)
            return
        end, added = self._file.seek(-len(_END), 2), _BETWEEN + text + _END
        if self._file.write(added) < len(added):  # one system call; a full disk takes a part
            self._file.seek(end)
            self._file.write(_END)
            self._file.truncate()
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
