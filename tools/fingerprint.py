"""Which files they were, and what a file of weights says of the images that it was trained on."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from safetensors import SafetensorError, safe_open

from inference.errors import WeightsError
from keyvault.errors import InputError
from recipe import PLAIN

#: Member of a file's metadata: "no" where the training began with weights that may have seen the last 5,000 images.
HOLDS_OUT = "holds_out"
#: Member of a file's metadata: the peer or the setting by which all images were protected that a network saw.
PROTECTION = "protection"


def file_digest(path: Path) -> str:
    """SHA-256 of a file, hexadecimal; InputError if it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}", hint="check the path") from error


def files_digest(files: Iterable[Path]) -> str:
    """SHA-256 of the names and contents of files in their order, hexadecimal; InputError if one cannot be read."""
    found = [(path.name, file_digest(path)) for path in files]
    return hashlib.sha256(repr(found).encode()).hexdigest()


def weights_metadata(model: str, *, holds_out: bool, protection: str = PLAIN) -> dict[str, str]:
    """What train_cifar10 writes into the file of its weights.

    Args:
        model: the network.
        holds_out: whether the last 5,000 training images are known never to have been trained on.
        protection: the peer or the setting by which the images were protected.
    """
    own = {"model": model, "dataset": "CIFAR-10"} | ({} if holds_out else {HOLDS_OUT: "no"})
    return own | ({} if protection == PLAIN else {PROTECTION: protection})


def weights_hold_out(path: Path, model: str) -> bool:
    """Whether a network's weights are known never to have been trained on the last 5,000 training images of CIFAR-10.

    Those of train_cifar10 are, unless it began with weights that are not; of others, nobody knows.

    Raises:
        WeightsError: a safetensors file cannot be read.
    """
    found, own = _metadata(path), weights_metadata(model, holds_out=True)
    return HOLDS_OUT not in found and own.items() <= found.items()


def weights_protection(path: Path) -> str:
    """The peer or the setting by which the images were protected that weights were trained on, as far as they say so.

    Raises:
        WeightsError: a safetensors file cannot be read.
    """
    return _metadata(path).get(PROTECTION, PLAIN)


def check_protection(path: Path, accepted: str, hint: str) -> None:
    """Refuse weights of a network that only ever saw protected images, where others are asked for.

    Args:
        path: the file of weights.
        accepted: by what their images may have been protected; PLAIN to ask for plain ones.
        hint: of the refusal.

    Raises:
        WeightsError: they were trained on images protected otherwise, or the file cannot be read.
    """
    protection = weights_protection(path)
    if protection not in {PLAIN, accepted}:
        raise WeightsError(f"{path} was trained on images protected by {protection}", hint=hint)


def _metadata(path: Path) -> dict[str, str]:
    """Of a file of weights; empty for one of another form than safetensors."""
    if path.suffix != ".safetensors":
        return {}
    try:
        with safe_open(path, "pt") as file:
            return file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{path} is not a safetensors file", hint="give another file") from error
