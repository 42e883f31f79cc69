"""Shards and their manifest: what WebDataset reads, and what is refused."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import numpy as np
import pytest
import webdataset

import shards
from keyvault.errors import InputError, OutputError
from shards import Manifest, Sample, ShardFile, iter_shard, iter_shards, read_manifest, shard_name

RNG = np.random.default_rng(0)
SIZES = (4, 4, 3)
SAMPLES = [
    Sample(f"{i:06d}", RNG.bytes(9_000 + 37 * i), None if i % 5 == 4 else i % 3, {"index": i, "source": f"test/{i}"})
    for i in range(sum(SIZES))
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three shards and their manifest."""
    samples = iter(SAMPLES)
    for number, size in enumerate(SIZES):
        with ShardFile(tmp_path / shard_name(number)) as shard:
            for _ in range(size):
                shard.add(next(samples))
    Manifest({"sampling": "quad"}, ("a", "b", "c"), sum(SIZES), SIZES).write(tmp_path)
    return tmp_path


def test_what_was_written_is_read(folder: Path) -> None:
    assert list(iter_shards(folder)) == SAMPLES
    assert list(iter_shards(str(folder))) == SAMPLES
    manifest = read_manifest(folder)
    assert manifest == Manifest({"sampling": "quad"}, ("a", "b", "c"), 11, SIZES)
    assert manifest.done == 11


def test_webdataset_reads_the_shards(folder: Path) -> None:
    urls = sorted(str(path) for path in folder.glob(shards.SHARDS))
    raw = list(webdataset.WebDataset(urls, shardshuffle=False))
    assert [(sample["__key__"], sample["dng"]) for sample in raw] == [(s.key, s.frame) for s in SAMPLES]
    decoded = list(webdataset.WebDataset(urls, shardshuffle=False).decode())
    assert [sample.get("cls") for sample in decoded] == [s.label for s in SAMPLES]
    assert [sample["json"] for sample in decoded] == [s.info for s in SAMPLES]


def test_shards_are_the_same_bytes_every_time(folder: Path) -> None:
    with ShardFile(folder / "again.tar") as shard:
        for sample in SAMPLES[:4]:
            shard.add(sample)
    assert (folder / "again.tar").read_bytes() == (folder / shard_name(0)).read_bytes()


def fail_half_way(path: Path) -> None:
    with ShardFile(path) as shard:
        shard.add(SAMPLES[0])
        raise ZeroDivisionError


def test_a_shard_that_fails_leaves_nothing(folder: Path) -> None:
    before = sorted(folder.iterdir())
    with pytest.raises(ZeroDivisionError):
        fail_half_way(folder / shard_name(3))
    assert sorted(folder.iterdir()) == before
    with pytest.raises(OutputError, match="none"), ShardFile(folder / "none" / shard_name(0)):
        pass


def test_unfinished_shards_are_swept_up_and_nothing_else(folder: Path) -> None:
    before = sorted(folder.iterdir())
    (folder / f".{shard_name(3)}.0123456789ab.part").write_bytes(b"half a shard")
    shards.remove_unfinished(folder)
    assert sorted(folder.iterdir()) == before


@pytest.mark.parametrize("keep", [0, 100, 512 + 9_000 // 2, 4 * 512, -1_024 - 512])
def test_a_shard_that_was_cut_short_is_noticed(folder: Path, keep: int) -> None:
    path = folder / shard_name(1)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(InputError):
        list(iter_shards(folder))


def test_a_missing_shard_is_noticed(folder: Path) -> None:
    (folder / shard_name(1)).unlink()
    with pytest.raises(InputError, match=r"shard-000001\.tar"):
        list(iter_shards(folder))


def test_a_shard_with_another_number_of_samples_is_noticed(folder: Path) -> None:
    (folder / shard_name(1)).write_bytes((folder / shard_name(2)).read_bytes())
    with pytest.raises(InputError, match="holds 3 samples, not 4"):
        list(iter_shards(folder))


@pytest.mark.parametrize(("kind", "content"), [("cls", b"1"), ("dng", b"frame"), ("json", b"{")])
def test_incomplete_samples_are_refused(tmp_path: Path, kind: str, content: bytes) -> None:
    path = tmp_path / shard_name(0)
    with tarfile.open(path, "w") as tar:
        member = tarfile.TarInfo(f"000000.{kind}")
        member.size = len(content)
        tar.addfile(member, io.BytesIO(content))
    with pytest.raises(InputError, match="sample 000000"):
        list(iter_shard(path))


@pytest.mark.parametrize("content", [b"[]", b"3", b"null", b"[" * 100_000])
def test_where_a_sample_came_from_is_an_object(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / shard_name(0)
    with tarfile.open(path, "w") as tar:
        for kind, data in (("dng", b"frame"), ("json", content)):
            member = tarfile.TarInfo(f"000000.{kind}")
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    with pytest.raises(InputError, match="sample 000000"):
        list(iter_shard(path))


def test_a_folder_without_manifest_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no shards"):
        list(iter_shards(tmp_path))


@pytest.mark.parametrize(
    "value", ["[]", "{}", '{"version": 2}', '{"version": 1, "shards": [{"name": "x", "samples": 1}]}', '{"version": 1}']
)
def test_malformed_manifests_are_refused(tmp_path: Path, value: str) -> None:
    (tmp_path / shards.MANIFEST).write_text(value)
    with pytest.raises(InputError, match="malformed"):
        read_manifest(tmp_path)
    (tmp_path / shards.MANIFEST).write_text("[" * 100_000)
    with pytest.raises(InputError, match="is not JSON"):
        read_manifest(tmp_path)
