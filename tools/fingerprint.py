"""Which file it was, and whether its weights may be measured on images that others train on."""

from __future__ import annotations

import hashlib
from pathlib import Path

from safetensors import SafetensorError, safe_open

from inference.errors import WeightsError
from keyvault.errors import InputError

#: Member of a file's metadata: "no" where the training began with weights that may have seen the last 5,000 images.
HOLDS_OUT = "holds_out"


def file_digest(path: Path) -> str:
    """SHA-256 of a file, hexadecimal; InputError if it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}", hint="check the path") from error


def weights_metadata(model: str, *, holds_out: bool) -> dict[str, str]:
    """What train_cifar10 writes into the file of its weights."""
    return {"model": model, "dataset": "CIFAR-10"} | ({} if holds_out else {HOLDS_OUT: "no"})


def weights_hold_out(path: Path, model: str) -> bool:
    """Whether a network's weights are known never to have been trained on the last 5,000 training images of CIFAR-10.

    Those of train_cifar10 are, unless it began with weights that are not; of others, nobody knows.

    Raises:
        WeightsError: a safetensors file cannot be read.
    """
    if path.suffix != ".safetensors":
        return False
    try:
        with safe_open(path, "pt") as file:
            found = file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{path} is not a safetensors file", hint="give another file") from error
    own = weights_metadata(model, holds_out=True)
    return HOLDS_OUT not in found and own.items() <= found.items()
