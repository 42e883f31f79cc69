"""Marks on disk: whole, private, never backwards, whoever writes and whoever is killed."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from parties import issued

from keyvault import mark_files
from keyvault.errors import ExposedFileError, InputError, MarkError, OutputError, StatusRollbackError
from keyvault.mark_files import LOCK_FILE, MAX_MARK_FILE, advance, load
from keyvault.marks import HostMark, ListMark, SensorMark

ROOT = Path(__file__).resolve().parents[2]
GRANT = issued().grant
FRESH = ListMark(GRANT.issuer)
MARKS = (SensorMark(GRANT.issuer, GRANT.sensor), HostMark(GRANT.issuer, GRANT.sensor), FRESH)


def to(number: int) -> Callable[[ListMark], ListMark]:
    return lambda mark: mark.after(number)


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_mark_is_kept_in_a_private_file_of_canonical_json(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "marks"
    assert load(folder, FRESH) == FRESH
    assert not folder.exists()
    assert advance(folder, FRESH, to(7)).number == 7
    path = folder / FRESH.file_name
    assert path.read_bytes() == (f'{{"issuer":"{GRANT.issuer}","number":7,"typ":"privcam-status-mark","v":1}}'.encode())
    assert files(folder) == {path.name, LOCK_FILE}
    assert [stat.S_IMODE(one.stat().st_mode) for one in (path, folder / LOCK_FILE, folder)] == [0o600, 0o600, 0o700]
    assert load(folder, FRESH).number == 7


def test_what_brings_nothing_new_writes_and_locks_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    advance(tmp_path, FRESH, to(7))
    before = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    monkeypatch.delattr(mark_files, "_locked")
    monkeypatch.delattr(mark_files, "write_whole")
    assert advance(tmp_path, FRESH, to(7)).number == 7
    with pytest.raises(StatusRollbackError):
        advance(tmp_path, FRESH, to(6))
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before


def test_what_another_process_wrote_meanwhile_counts(tmp_path: Path) -> None:
    def step(mark: ListMark) -> ListMark:
        if not mark.number:  # between this look without the lock and the one under it
            advance(tmp_path, FRESH, to(9))
        return mark.after(8)

    with pytest.raises(StatusRollbackError):
        advance(tmp_path, FRESH, step)
    assert load(tmp_path, FRESH).number == 9


def damaged(mark: SensorMark | HostMark | ListMark) -> list[bytes]:
    used = {
        SensorMark: {"epoch": 3, "serial": 4, "min_epoch": 2},
        HostMark: {"min_epoch": 3, "serials": {"3-3 host": 4}},
        ListMark: {"number": 4},
    }[type(mark)]
    good = mark.to_json() | used

    def text(value: object) -> bytes:
        return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()

    assert mark.from_json(json.loads(text(good))) != mark
    other = {"issuer": "A" * 43, "sensor": "other", "typ": "privcam-mark", "v": 2}
    changes = [{name: other[name]} for name in other if name in good]
    changes += [{name: value} for name in used for value in (0, -1, True, None, "1", 2.0, 2**53, {"3": 4})]
    if isinstance(mark, HostMark):
        changes += [{"serials": {name: 4}} for name in ("3", "4-3 host", "0-3 host", "3-3 dog", "3-4294967296 host")]
        changes += [{"serials": {"3-3 host": 0}}, {"serials": {f"{n}-{n} host": 1 for n in range(1, 258)}}]
    if isinstance(mark, SensorMark):
        changes += [{"key_id": value} for value in ("", "G" * 16, 5)] + [{"min_epoch": 4}]
    variants = [good | change for change in changes] + [{}, [good], good | {"more": 1}]
    cut = text(good)[:-1]
    return [*map(text, variants), b"", cut, text(good) + b"\n", json.dumps(good).encode(), b" " * (MAX_MARK_FILE + 1)]


@pytest.mark.parametrize("mark", MARKS, ids=lambda mark: type(mark).__name__)
def test_a_damaged_mark_is_refused_and_kept(tmp_path: Path, mark: SensorMark) -> None:
    path = tmp_path / mark.file_name
    cases = damaged(mark)
    assert len(cases) > 15
    for data in cases:
        path.write_bytes(data)
        path.chmod(0o600)
        with pytest.raises(MarkError, match="is damaged") as refusal:
            advance(tmp_path, mark, lambda mark: mark)
        assert str(path) in str(refusal.value)
        assert "remove it" in refusal.value.hint
        assert path.read_bytes() == data


@pytest.mark.parametrize("mode", [0o620, 0o602])
def test_a_mark_that_others_can_change_is_refused(tmp_path: Path, mode: int) -> None:
    advance(tmp_path, FRESH, to(7))
    (tmp_path / FRESH.file_name).chmod(mode)
    with pytest.raises(ExposedFileError, match=f"mode {mode:04o}"):
        advance(tmp_path, FRESH, to(8))


def test_a_mark_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / FRESH.file_name).mkdir()
    with pytest.raises(InputError, match="cannot read"):
        load(tmp_path, FRESH)


def test_a_folder_that_cannot_be_written_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("a file")
    with pytest.raises(OutputError, match="cannot be kept in") as refusal:
        advance(tmp_path / "home" / "marks", FRESH, to(7))
    assert "PRIVCAM_HOME" in refusal.value.hint


@pytest.mark.parametrize("call", ["open", "fsync", "replace"])
def test_a_full_disk_leaves_the_old_mark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    advance(tmp_path, FRESH, to(7))

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path if call == "replace" else os, call, full)
    with pytest.raises(OutputError, match="No space left") as refusal:
        advance(tmp_path, FRESH, to(8))
    monkeypatch.undo()
    assert "PRIVCAM_HOME" in refusal.value.hint
    assert load(tmp_path, FRESH).number == 7
    assert files(tmp_path) == {FRESH.file_name, LOCK_FILE}
    assert advance(tmp_path, FRESH, to(8)).number == 8


def run(program: str, folder: Path) -> subprocess.Popen[bytes]:
    head = (
        "import os, signal, sys\nfrom pathlib import Path\nfrom keyvault.mark_files import advance, load\n"
        f"from keyvault.marks import ListMark\nfolder, fresh = Path(sys.argv[1]), ListMark({GRANT.issuer!r})\n"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.Popen([sys.executable, "-c", head + program, folder], env=environment)


KILLED = """
def die(*_): os.kill(os.getpid(), signal.SIGKILL)
{}
advance(folder, fresh, lambda mark: mark.after(8))
"""


@pytest.mark.parametrize(
    ("before", "number"),
    [
        ("os.fsync = die", 7),
        ("Path.replace = die", 7),
        ("import keyvault.files as files; files.sync_folder = die", 8),
    ],
)
def test_a_killed_process_leaves_a_whole_mark_and_no_lock(tmp_path: Path, before: str, number: int) -> None:
    advance(tmp_path, FRESH, to(7))
    assert run(KILLED.format(before), tmp_path).wait() == -signal.SIGKILL
    assert load(tmp_path, FRESH).number == number
    assert advance(tmp_path, FRESH, to(9)).number == 9


COUNTED = """
for _ in range(40):
    before = load(folder, fresh).number
    after = advance(folder, fresh, lambda mark: mark.after(mark.number + 1)).number
    assert after > before, (before, after)
"""


def test_processes_that_advance_one_mark_lose_nothing(tmp_path: Path) -> None:
    processes = [run(COUNTED, tmp_path) for _ in range(3)]
    assert [process.wait() for process in processes] == [0, 0, 0]
    assert load(tmp_path, FRESH).number == 120


def test_a_lock_that_is_not_given_back_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mark_files, "_WAIT_SECONDS", 0.02)
    with (tmp_path / LOCK_FILE).open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(OutputError, match="another process has held"):
            advance(tmp_path, FRESH, to(7))
    assert advance(tmp_path, FRESH, to(7)).number == 7


def test_a_file_system_without_locks_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def without(*_: object) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr(fcntl, "flock", without)
    with pytest.raises(OutputError, match="cannot be locked: No locks available"):
        advance(tmp_path, FRESH, to(7))
