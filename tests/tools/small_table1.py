"""Table 1 small enough for tests: a few random images as CIFAR-10, and the result that was written of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

import cifar10

COUNT = 4  # images in each file


def write_cifar(folder: Path) -> Path:
    """A data set of 20 random images to train on and 4 to test, in the binary layout."""
    generator = np.random.default_rng(0)
    for name in (*cifar10.TRAIN_FILES, *cifar10.TEST_FILES):
        records = generator.integers(0, 256, (COUNT, cifar10.RECORD_BYTES), np.uint8)
        records[:, 0] %= 10
        records.tofile(folder / f"{name}.bin")
    return folder


def result_of(folder: Path, name: str = "table1-resnet20-without-runs") -> dict[str, Any]:
    (path,) = (folder / "out").glob(f"????-??-??-{name}.json")
    content: dict[str, Any] = json.loads(path.read_text())
    return content
