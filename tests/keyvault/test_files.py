"""Files: whole or not there, and every failure is the refusal that it should be."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest

from keyvault import files
from keyvault.errors import InputError, OutputError
from keyvault.files import check_outputs, make_folder, read_bounded, write_whole


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("replace", [True, False])
def test_a_file_is_written_whole_with_its_mode(tmp_path: Path, replace: bool) -> None:
    write_whole(tmp_path / "x", b"new", mode=0o640, replace=replace)
    assert (tmp_path / "x").read_bytes() == b"new"
    assert (tmp_path / "x").stat().st_mode & 0o777 == 0o640
    assert names(tmp_path) == ["x"]


def test_only_replace_replaces(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"old")
    with pytest.raises(OutputError, match="x exists"):
        write_whole(path, b"new", replace=False)
    assert path.read_bytes() == b"old"
    write_whole(path, b"new")
    assert path.read_bytes() == b"new"
    assert names(tmp_path) == ["x"]


@pytest.mark.parametrize("replace", [True, False])
def test_places_that_cannot_be_written_are_output_errors(tmp_path: Path, replace: bool) -> None:
    (tmp_path / "file").write_bytes(b"old")
    for path in (tmp_path / "none" / "x", tmp_path / "file" / "x", tmp_path / ("x" * 250)):
        with pytest.raises(OutputError, match="cannot write"):
            write_whole(path, b"new", replace=replace)
    assert names(tmp_path) == ["file"]


def test_what_is_no_file_is_not_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for name in ("pipe", "folder"):
        with pytest.raises(OutputError, match="not a file that can be replaced"):
            write_whole(tmp_path / name, b"new")
    assert (tmp_path / "pipe").is_fifo()
    assert names(tmp_path) == ["folder", "pipe"]


@pytest.mark.parametrize("broken", ["fsync", "replace", "fchmod"])
def test_a_failed_write_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    path = tmp_path / "x"
    path.write_bytes(b"old")
    with monkeypatch.context() as patch:
        patch.setattr(os, broken, fail)
        with pytest.raises(OutputError, match="No space left"):
            write_whole(path, b"new")
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["x"]


def test_outputs_are_checked_before_the_work(tmp_path: Path) -> None:
    old, new, scene = tmp_path / "old", tmp_path / "new", tmp_path / "scene"
    old.write_bytes(b"")
    scene.write_bytes(b"")
    (tmp_path / "again").symlink_to(scene)
    os.mkfifo(tmp_path / "pipe")
    check_outputs([old, new], [scene, tmp_path])
    for outputs, words in [
        ([scene], "one of the inputs"),
        ([tmp_path / "again"], "one of the inputs"),
        ([new, tmp_path / "." / "new"], "two outputs"),
        ([tmp_path], "is a folder"),
        ([tmp_path / "pipe"], "not a file that can be replaced"),
        ([tmp_path / "none" / "x"], "there is no folder"),
    ]:
        with pytest.raises(OutputError, match=words):
            check_outputs(outputs, [scene])


def test_a_folder_is_made_or_refused(tmp_path: Path) -> None:
    make_folder(tmp_path / "a" / "b")
    make_folder(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir()
    (tmp_path / "x").write_bytes(b"")
    for place in (tmp_path / "x", tmp_path / "x" / "y"):
        with pytest.raises(OutputError, match="cannot make"):
            make_folder(place)


def test_reading_is_bounded(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"12345")
    assert read_bounded(path, 5, "thing") == b"12345"
    with pytest.raises(InputError, match="too large for thing"):
        read_bounded(path, 4, "thing")
    for place in (tmp_path, tmp_path / "none", path / "x"):
        with pytest.raises(InputError, match="cannot read thing"):
            read_bounded(place, 4, "thing")


def test_many_files_are_written_with_one_sync_of_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced = []
    monkeypatch.setattr(files, "sync_folder", synced.append)
    contents = {f"{number}.bin": bytes([number]) * 1000 for number in range(5)}
    files.write_many(tmp_path, contents, replace=False)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == contents
    assert synced == [tmp_path]


def test_many_files_leave_the_same_and_refuse_others(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"same")
    (tmp_path / "b").write_bytes(b"other")
    before = (tmp_path / "a").stat().st_ino
    with pytest.raises(OutputError, match=r"b exists"):
        files.write_many(tmp_path, {"a": b"same", "b": b"new", "c": b"whole"}, replace=False)
    assert (tmp_path / "a").stat().st_ino == before
    found = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert found.pop("c", b"whole") == b"whole"
    assert found == {"a": b"same", "b": b"other"}
    files.write_many(tmp_path, {"b": b"new", "c": b"now"})
    assert (tmp_path / "b").read_bytes() == b"new"


def leftover(folder: Path, name: str) -> Path:
    """A temporary file such as a writer that was killed leaves."""
    path = folder / f".{name}.0123456789ab.part"
    path.write_bytes(b"half")
    return path


def test_what_a_killed_writer_left_is_removed(tmp_path: Path) -> None:
    left = [leftover(tmp_path, name) for name in ("x", "other.bin")]
    others = [tmp_path / name for name in (".x.part", "x.0123456789ab.part", ".x.0123456789AB.part")]
    for path in others:
        path.write_bytes(b"not ours")
    write_whole(tmp_path / "y", b"new")
    assert not [path for path in left if path.exists()]
    assert all(path.exists() for path in others)


def test_what_another_writer_is_writing_is_left_alone(tmp_path: Path) -> None:
    path = leftover(tmp_path, "x")
    with path.open("rb") as writer:
        fcntl.flock(writer, fcntl.LOCK_EX)
        write_whole(tmp_path / "y", b"new")
        assert path.exists()
    files.remove_leftovers.cache_clear()
    write_whole(tmp_path / "y", b"new")
    assert not path.exists()


def test_a_temporary_file_that_was_taken_for_a_leftover_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[Path] = []

    def take(_descriptor: int, _operation: int) -> None:
        if not taken:
            taken.extend(tmp_path.glob(".x.*.part"))
            taken[0].unlink()

    monkeypatch.setattr(fcntl, "flock", take)
    write_whole(tmp_path / "x", b"new")
    assert (tmp_path / "x").read_bytes() == b"new"
    assert len(taken) == 1
    assert names(tmp_path) == ["x"]
