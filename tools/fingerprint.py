"""Which file of weights it was."""

from __future__ import annotations

import hashlib
from pathlib import Path

from inference.errors import WeightsError


def file_digest(path: Path) -> str:
    """SHA-256 of a file of weights, hexadecimal; WeightsError if it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise WeightsError(f"cannot read weights {path}: {error.strerror}", hint="check the path") from error
