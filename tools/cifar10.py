"""CIFAR-10 as its authors publish it: the binary and the Python layout.

Format: https://www.cs.toronto.edu/~kriz/cifar.html.  A binary record is one label byte and
3,072 bytes: the 32 x 32 red plane, then green, then blue.
"""

from __future__ import annotations

import io
import pickle
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keyvault.errors import InputError

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
SIDE = 32
PIXEL_BYTES = 3 * SIDE * SIDE
RECORD_BYTES = 1 + PIXEL_BYTES
TRAIN_FILES = tuple(f"data_batch_{k}" for k in range(1, 6))
TEST_FILES = ("test_batch",)
TRAINING_IMAGES = 50_000
TRAINED_IMAGES = 45_000  # of the training images; the others are never trained on here


@dataclass(frozen=True)
class Cifar10:
    """Images (N, 32, 32, 3) uint8 RGB and labels (N,) uint8."""

    images: NDArray[np.uint8]
    labels: NDArray[np.uint8]

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the images as planes (N, 3, 32, 32) uint8, followed by the labels as int64; hexadecimal."""
        found = sha256(np.ascontiguousarray(self.images.transpose(0, 3, 1, 2)).data)
        found.update(self.labels.astype(np.int64).data)
        return found.hexdigest()

    def part(self, begin: int, end: int | None = None) -> Cifar10:
        """The images from one number up to another, or to the end; they are not copied."""
        return Cifar10(self.images[begin:end], self.labels[begin:end])


class _NumpyOnly(pickle.Unpickler):
    """Reads the Python layout: dicts, lists, bytes and NumPy arrays, nothing that can run code."""

    _ALLOWED = frozenset(
        {
            ("numpy.core.multiarray", "_reconstruct"),
            ("numpy._core.multiarray", "_reconstruct"),
            ("numpy", "ndarray"),
            ("numpy", "dtype"),
        }
    )

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self._ALLOWED:
            raise pickle.UnpicklingError(f"{module}.{name} does not belong in a CIFAR-10 batch")
        return super().find_class(module, name)


def load(folder: Path, split: str) -> Cifar10:
    """Read ``train`` or ``test`` from FOLDER or from the standard subfolder inside it.

    Raises InputError if no known layout is there or a file does not have its form.
    """
    names = {"train": TRAIN_FILES, "test": TEST_FILES}[split]
    for candidate in (folder, folder / "cifar-10-batches-bin", folder / "cifar-10-batches-py"):
        if (candidate / f"{names[0]}.bin").is_file():
            return _join([_read_binary(candidate / f"{name}.bin") for name in names])
        if (candidate / names[0]).is_file():
            return _join([_read_python(candidate / name) for name in names])
    raise InputError(
        f"no CIFAR-10 {split} batches in {folder}",
        hint="give the folder that holds data_batch_1.bin (binary layout) or data_batch_1 (python layout)",
    )


def _join(parts: list[Cifar10]) -> Cifar10:
    return Cifar10(np.concatenate([p.images for p in parts]), np.concatenate([p.labels for p in parts]))


def _planes_to_images(planes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.ascontiguousarray(planes.reshape(-1, 3, SIDE, SIDE).transpose(0, 2, 3, 1))


def _checked(path: Path, planes: NDArray[np.uint8], labels: NDArray[np.uint8]) -> Cifar10:
    if len(labels) == 0 or planes.shape != (len(labels), PIXEL_BYTES) or labels.max() >= len(CLASSES):
        raise InputError(f"{path} is not a CIFAR-10 batch", hint="download the data set again")
    return Cifar10(_planes_to_images(planes), labels)


def _read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}", hint="check the data set's folder") from error


def _read_binary(path: Path) -> Cifar10:
    data = np.frombuffer(_read_bytes(path), np.uint8)
    if data.size % RECORD_BYTES:
        raise InputError(
            f"{path} has {data.size} bytes, not a multiple of {RECORD_BYTES}", hint="download the data set again"
        )
    records = data.reshape(-1, RECORD_BYTES)
    return _checked(path, records[:, 1:], records[:, 0].copy())


def _read_python(path: Path) -> Cifar10:
    content = _read_bytes(path)
    try:
        batch = _NumpyOnly(io.BytesIO(content), encoding="bytes").load()
        planes, labels = _bytes(batch[b"data"]), _bytes(batch[b"labels"])
    except Exception as error:  # of a damaged pickle, load raises anything
        raise InputError(
            f"{path} is not a CIFAR-10 batch: {error!s:.120}", hint="download the data set again"
        ) from error
    return _checked(path, planes, labels)


def _bytes(values: Any) -> NDArray[np.uint8]:
    """Whole numbers from 0 to 255, whatever their type; ValueError of others, which a cast would wrap around."""
    found = np.asarray(values)
    if found.dtype.kind not in "iu" or not np.array_equal(found, found.astype(np.uint8)):
        raise ValueError("its values are no bytes")
    return found.astype(np.uint8, copy=False)
