"""Shards of private frames: tar files in the WebDataset convention, and the manifest beside them.

Sample 000042 of a data set is three members of one shard: ``000042.dng``, the private frame;
``000042.cls``, its class as a decimal number, absent without labels; ``000042.json``, where it
came from.  A shard is written whole or not at all, and counts once the manifest names it.
"""

from __future__ import annotations

import json
import os
import secrets
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from keyvault.errors import InputError, OutputError
from keyvault.files import sync_folder, write_whole

MANIFEST = "manifest.json"
SHARDS = "shard-*.tar"
_PARTS = ".shard-*.part"
_VERSION = 1
_BLOCK = tarfile.BLOCKSIZE


@dataclass(frozen=True, slots=True)
class Sample:
    """One member group of a shard.

    Attributes:
        key: what its members' names begin with: the item's number in six digits.
        frame: bytes of the private frame's DNG.
        label: class number, or None.
        info: where it came from.
    """

    key: str
    frame: bytes
    label: int | None
    info: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a folder of shards holds.

    Attributes:
        options: what the frames were made from, and how; the same for all shards.
        classes: names of the classes, by label.
        total: how many samples there will be.
        shards: how many samples each shard holds that is complete, in order.
    """

    options: dict[str, Any]
    classes: tuple[str, ...]
    total: int
    shards: tuple[int, ...] = field(default=())

    @property
    def done(self) -> int:
        """How many samples are in complete shards."""
        return sum(self.shards)

    def write(self, folder: Path) -> None:
        """Write the manifest whole or not at all."""
        value = {
            "version": _VERSION,
            "options": self.options,
            "classes": list(self.classes),
            "total": self.total,
            "complete": self.done == self.total,
            "shards": [{"name": shard_name(i), "samples": count} for i, count in enumerate(self.shards)],
        }
        write_whole(folder / MANIFEST, (json.dumps(value, indent=2) + "\n").encode())


def shard_name(number: int) -> str:
    """File name of a shard, from 0."""
    return f"shard-{number:06d}.tar"


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a folder of shards.

    Raises:
        InputError: there is none, or it is not one.
    """
    path = folder / MANIFEST
    try:
        value = json.loads(path.read_bytes())
    except OSError as error:
        raise InputError(f"no shards in {folder}: {error.strerror}", hint="replay_dataset.py makes them") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not JSON", hint="replay the data set into another folder") from error
    try:
        if value["version"] != _VERSION:
            raise ValueError(f"version {value['version']!r}, not {_VERSION}")
        counts = tuple(int(shard["samples"]) for shard in value["shards"])
        names = [shard["name"] for shard in value["shards"]]
        if names != [shard_name(i) for i in range(len(counts))]:
            raise ValueError("shards out of order")
        return Manifest(dict(value["options"]), tuple(value["classes"]), int(value["total"]), counts)
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path} is malformed: {error}", hint="replay the data set into another folder") from error


def iter_shards(folder: Path | str) -> Iterator[Sample]:
    """The samples of every complete shard of a folder, in order.

    Raises:
        InputError: there is no manifest, a shard is missing or damaged, or holds another number
            of samples than the manifest says.
    """
    folder = Path(folder)
    for number, expected in enumerate(read_manifest(folder).shards):
        path = folder / shard_name(number)
        count = 0
        for sample in iter_shard(path):
            yield sample
            count += 1
        if count != expected:
            raise InputError(f"{path} holds {count} samples, not {expected}", hint="replay the data set again")


def iter_shard(path: Path) -> Iterator[Sample]:
    """The samples of one shard; InputError if it cannot be read."""
    try:
        with tarfile.open(path, "r:") as tar:
            members: dict[str, bytes] = {}
            key = ""
            for member in tar:
                stem, _, kind = member.name.partition(".")
                if members and stem != key:
                    yield _sample(path, key, members)
                    members = {}
                key = stem
                content = tar.extractfile(member)
                members[kind] = content.read() if content else b""
            if members:
                yield _sample(path, key, members)
    except OSError as error:
        raise InputError(f"cannot read shard {path}: {error.strerror}", hint="replay the data set again") from error
    except tarfile.TarError as error:
        raise InputError(f"shard {path} is damaged: {error}", hint="replay the data set again") from error


def _sample(path: Path, key: str, members: dict[str, bytes]) -> Sample:
    try:
        label = int(members["cls"]) if "cls" in members else None
        info = json.loads(members["json"])
        if not isinstance(info, dict):
            raise ValueError(f"{key}.json is no object")
        return Sample(key, members["dng"], label, info)
    except (KeyError, ValueError, RecursionError) as error:
        raise InputError(
            f"sample {key} of shard {path} is incomplete: {error}", hint="replay the data set again"
        ) from error


class ShardFile:
    """A shard that is being written; leaving its ``with`` in order puts it in place, any error removes it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._part = path.parent / f".{path.name}.{secrets.token_hex(6)}.part"
        self._file: IO[bytes] | None = None

    def __enter__(self) -> Self:
        try:
            self._file = self._part.open("xb")
        except OSError as error:
            raise _unwritable(self._path, error) from error
        return self

    def add(self, sample: Sample) -> None:
        """Append one sample; OutputError if the disk does not take it."""
        members = {"dng": sample.frame, "json": json.dumps(sample.info, separators=(",", ":")).encode()}
        if sample.label is not None:
            members["cls"] = str(sample.label).encode()
        try:
            for kind, content in sorted(members.items()):
                self._write(f"{sample.key}.{kind}", content)
        except OSError as error:
            raise _unwritable(self._path, error) from error

    def _write(self, name: str, content: bytes) -> None:
        member = tarfile.TarInfo(name)
        member.size = len(content)
        header = member.tobuf(tarfile.USTAR_FORMAT)
        self._open().write(b"".join((header, content, bytes(-len(content) % _BLOCK))))

    def _open(self) -> IO[bytes]:
        if self._file is None:
            raise ValueError("the shard is not open")
        return self._file

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._finish()
        except OSError as failure:
            raise _unwritable(self._path, failure) from failure
        finally:
            self._open().close()
            self._part.unlink(missing_ok=True)

    def _finish(self) -> None:
        file = self._open()
        file.write(bytes(2 * _BLOCK))  # the end of a tar file
        file.flush()
        os.fsync(file.fileno())
        self._part.replace(self._path)
        sync_folder(self._path.parent)


def remove_unfinished(folder: Path) -> None:
    """Remove what a killed run left of the shard it was writing."""
    for part in folder.glob(_PARTS):
        part.unlink()


def _unwritable(path: Path, error: OSError) -> OutputError:
    return OutputError(f"cannot write {path}: {error.strerror}", hint="check the folder and free space")
