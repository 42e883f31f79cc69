"""A disk that is full, that fails or that is read-only: one line, a vault that opens, and nothing half written."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from commands_apart import How, Outcome, Place, Server, kill_points, serving
from crash_cases import TERMS, Case, check_outputs, check_vault, make_starts, strays

CASES = (
    Case(("issue", "--sensor", "cam", *TERMS, "-o", "out.bin"), again=4),
    Case(("rotate", "--sensor", "cam")),
    Case(("rotate", "--all", "-o", "fleet")),
    Case(("backup", "-o", "new.backup", "--backup-passphrase-file", "word"), again=4),
    Case(("passwd", "--new-passphrase-file", "word"), again=10),
    Case(("status", "publish")),
)
OUTPUT, VAULT = 4, 9
SMALL = 1 << 20


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server whose commands can be made to fail, where there is a C compiler."""
    with serving(kill_points(tmp_path_factory.mktemp("library"))) as started:
        yield started


@pytest.fixture(scope="module")
def starts(server: Server, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Place]:
    return make_starts(server, tmp_path_factory.mktemp("starts"))


@contextmanager
def mounted(folder: Path, *arguments: str) -> Iterator[None]:
    """A mount over a folder; skips where that is not allowed."""
    mount = shutil.which("mount")
    if mount is None or sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("only the superuser of Linux can mount a file system")
    done = subprocess.run([mount, *arguments, folder], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", folder], check=True)  # noqa: S607


def refused(outcome: Outcome, *codes: int) -> None:
    """The outcome is a refusal of one line with one of these exit codes."""
    assert outcome.code in codes, outcome.said
    lines = [line for line in outcome.said.splitlines() if line.startswith("keyvault: ")]
    assert len(lines) == 1
    assert "Traceback" not in outcome.said


def fail_and_go_on(server: Server, case: Case, start: Place, folder: Path, point: tuple[How, int]) -> None:
    place = start.copy(folder)
    first = server.run(place, case.argv, *point)
    if first.code:
        refused(first, OUTPUT, VAULT)
    check_vault(place)
    check_outputs(place, start)
    if point[0] is How.FULL:
        assert strays(place) == []
    again = server.run(place, case.argv)
    assert again.code in (0, case.again), again.said
    check_vault(place)
    check_outputs(place, start)


def calls_of(server: Server, case: Case, start: Place, folder: Path) -> str:
    whole = server.run(start.copy(folder), case.argv)
    assert whole.code == 0, whole.said
    if not whole.calls:
        pytest.skip("no C compiler, or not Linux: no single call can be made to fail")
    return whole.calls


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_full_from_some_calls_on(case: Case, server: Server, starts: dict[str, Place], tmp_path: Path) -> None:
    calls = calls_of(server, case, starts[case.start], tmp_path / "whole")
    for number in (1, len(calls) // 2, calls.rindex("w") + 1):
        fail_and_go_on(server, case, starts[case.start], tmp_path / "failed", (How.FULL, number))


@pytest.mark.full
@pytest.mark.parametrize("how", [How.FULL, How.FAIL], ids=lambda how: how.name)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_failing_at_every_call(case: Case, how: How, server: Server, starts: dict[str, Place], tmp_path: Path) -> None:
    calls = calls_of(server, case, starts[case.start], tmp_path / "whole")
    for number in range(1, len(calls) + 1):
        fail_and_go_on(server, case, starts[case.start], tmp_path / "failed", (how, number))


@pytest.mark.parametrize("left", [0, 4096, 65_536])
@pytest.mark.parametrize("case", CASES[:4], ids=lambda case: case.name)
def test_a_file_system_that_is_full(
    case: Case, left: int, server: Server, starts: dict[str, Place], tmp_path: Path
) -> None:
    folder = tmp_path / "small"
    folder.mkdir()
    with mounted(folder, "-t", "tmpfs", "-o", f"size={SMALL}", "tmpfs"):
        shutil.copytree(starts["full"].folder, folder, dirs_exist_ok=True)
        place, filler = Place(folder), folder / "filler"
        free = os.statvfs(folder)
        filler.write_bytes(bytes(max(free.f_bavail * free.f_frsize - left, 0)))
        refused(server.run(place, case.argv), OUTPUT, VAULT)
        filler.unlink()
        check_vault(place)
        check_outputs(place, starts["full"])
        assert strays(place) == []
        assert server.run(place, case.argv).code == 0
        check_vault(place)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_everything_is_read_only(case: Case, server: Server, starts: dict[str, Place], tmp_path: Path) -> None:
    place = starts["full"].copy(tmp_path / "fixed")
    with mounted(place.folder, "--bind", "-o", "ro", str(place.folder)):
        refused(server.run(place, case.argv), OUTPUT, VAULT)
    check_vault(place)
    check_outputs(place, starts["full"])


@pytest.mark.parametrize("case", [CASES[0], CASES[2], CASES[3]], ids=lambda case: case.name)
def test_outputs_into_a_read_only_folder(case: Case, server: Server, starts: dict[str, Place], tmp_path: Path) -> None:
    place = starts["full"].copy(tmp_path / "place")
    fixed = place.folder / "fixed"
    fixed.mkdir()
    at = case.argv.index("-o") + 1
    argv = [*case.argv[:at], f"fixed/{case.argv[at]}", *case.argv[at + 1 :]]
    with mounted(fixed, "--bind", "-o", "ro", str(fixed)):
        refused(server.run(place, argv), OUTPUT)
        assert list(fixed.iterdir()) == []
    check_vault(place)
    check_outputs(place, starts["full"])
