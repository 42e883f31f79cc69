"""Both layouts of CIFAR-10, and files that are not one."""

from __future__ import annotations

import hashlib
import os
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import cifar10
from keyvault.errors import InputError

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (30, 32, 32, 3), np.uint8)
LABELS = RNG.integers(0, 10, 30).astype(np.uint8)


def record(image: np.ndarray, label: int) -> bytes:
    """One record, byte by byte as the data set's page describes it."""
    planes = b"".join(bytes(image[:, :, channel].reshape(-1).tolist()) for channel in range(3))
    return bytes([label]) + planes


def write_binary(folder: Path, names: tuple[str, ...], images: np.ndarray, labels: np.ndarray) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    share = len(images) // len(names)
    for i, name in enumerate(names):
        part = range(i * share, (i + 1) * share)
        (folder / f"{name}.bin").write_bytes(b"".join(record(images[k], int(labels[k])) for k in part))


def python2_pickle(planes: np.ndarray, labels: list[int]) -> bytes:
    """What Python 2 wrote, opcode by opcode, as the published files are: protocol 2, byte strings."""

    def text(value: bytes) -> bytes:
        return b"T" + len(value).to_bytes(4, "little") + value  # BINSTRING

    def number(value: int) -> bytes:
        return b"J" + value.to_bytes(4, "little", signed=True)  # BININT

    dtype = b"cnumpy\ndtype\n" + text(b"u1") + number(0) + number(1) + b"\x87R"
    dtype += b"(" + number(3) + text(b"|") + b"NNN" + number(-1) + number(-1) + number(0) + b"tb"
    array = b"cnumpy.core.multiarray\n_reconstruct\n" + b"cnumpy\nndarray\n" + number(0) + b"\x85" + text(b"b")
    array += b"\x87R(" + number(1) + number(planes.shape[0]) + number(planes.shape[1]) + b"\x86" + dtype
    array += b"\x89" + text(planes.tobytes()) + b"tb"
    items = text(b"data") + array + text(b"labels") + b"](" + b"".join(map(number, labels)) + b"e"
    return b"\x80\x02}(" + items + b"u."


def python3_pickle(planes: np.ndarray, labels: list[int]) -> bytes:
    return pickle.dumps({b"data": planes, b"labels": labels, b"batch_label": b"batch"})


PICKLES = [python2_pickle, python3_pickle]


def write_python(folder: Path, names: tuple[str, ...], dump: Callable[[np.ndarray, list[int]], bytes]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    share = len(IMAGES) // len(names)
    for i, name in enumerate(names):
        part = slice(i * share, (i + 1) * share)
        planes = IMAGES[part].transpose(0, 3, 1, 2).reshape(share, 3072)
        (folder / name).write_bytes(dump(planes, LABELS[part].tolist()))


@pytest.mark.parametrize("subfolder", ["", "cifar-10-batches-bin"])
@pytest.mark.parametrize(("split", "names"), [("train", cifar10.TRAIN_FILES), ("test", cifar10.TEST_FILES)])
def test_the_binary_layout(tmp_path: Path, subfolder: str, split: str, names: tuple[str, ...]) -> None:
    write_binary(tmp_path / subfolder, names, IMAGES, LABELS)
    data = cifar10.load(tmp_path, split)
    assert np.array_equal(data.images, IMAGES)
    assert np.array_equal(data.labels, LABELS)


@pytest.mark.parametrize("dump", PICKLES)
@pytest.mark.parametrize("subfolder", ["", "cifar-10-batches-py"])
def test_the_python_layout(tmp_path: Path, subfolder: str, dump: Callable[[np.ndarray, list[int]], bytes]) -> None:
    write_python(tmp_path / subfolder, cifar10.TRAIN_FILES, dump)
    data = cifar10.load(tmp_path, "train")
    assert np.array_equal(data.images, IMAGES)
    assert np.array_equal(data.labels, LABELS)


def test_a_digest_is_of_planes_and_of_labels_as_int64() -> None:
    data = cifar10.Cifar10(IMAGES, LABELS)
    content = IMAGES.transpose(0, 3, 1, 2).tobytes() + LABELS.astype(np.int64).tobytes()
    assert data.digest == hashlib.sha256(content).hexdigest()
    assert data.digest is data.digest  # computed once
    assert cifar10.Cifar10(IMAGES, LABELS).part(0, 30).digest == data.digest
    assert len({data.digest, data.part(1).digest, cifar10.Cifar10(IMAGES, LABELS[::-1]).digest}) == 3


class Harmful:
    def __reduce__(self) -> tuple:
        return os.mkdir, ("harm",)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not a batch",
        pickle.dumps([1, 2, 3]),
        pickle.dumps({b"data": np.zeros((2, 3072), np.uint8)}),
        pickle.dumps({b"data": np.zeros((2, 3071), np.uint8), b"labels": [1, 2]}),
        pickle.dumps({b"data": np.zeros((2, 3072), np.uint8), b"labels": [1, 10]}),
        pickle.dumps({b"data": np.zeros((2, 3072), np.uint8), b"labels": Harmful()}),
        pickle.dumps({b"data": np.zeros((2, 3072), np.uint8), b"labels": [1, 300]}),
        pickle.dumps({b"data": np.zeros((2, 3072), np.uint8), b"labels": np.array([1, 256])}),
        pickle.dumps({b"data": np.full((2, 3072), 256), b"labels": [1, 2]}),
        b"\x80\x02]}U\x01aK\x03sb.",  # AttributeError
        b"\x80\x02]K\x01K\x02s.",  # IndexError
        b"\x80\x04\x8e" + b"\xff" * 7 + b"\x0f",  # MemoryError
    ],
)
def test_what_is_not_a_python_batch_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "test_batch").write_bytes(content)
    with pytest.raises(InputError):
        cifar10.load(tmp_path, "test")
    assert not (tmp_path / "harm").exists()


@pytest.mark.parametrize("content", [b"", bytes(3072), bytes(3074), bytes([10]) + bytes(3072)])
def test_what_is_not_a_binary_batch_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "test_batch.bin").write_bytes(content)
    with pytest.raises(InputError):
        cifar10.load(tmp_path, "test")


def test_missing_batches_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no CIFAR-10 test batches"):
        cifar10.load(tmp_path, "test")
    write_binary(tmp_path, cifar10.TRAIN_FILES[:4], IMAGES[:28], LABELS[:28])
    with pytest.raises(InputError, match="data_batch_5"):
        cifar10.load(tmp_path, "train")
