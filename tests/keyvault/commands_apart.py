"""Running keyvault commands in processes of their own, which may be killed at any call that changes a file."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
KILLED = -signal.SIGKILL


class How(IntEnum):
    """What happens at the chosen call; the numbers are those of kill_points.c."""

    COUNT = 1
    BEFORE = 2  # killed, and the call has not happened
    TORN = 3  # killed, and half of a write has happened
    AFTER = 4  # killed, and the call has happened
    FULL = 5  # from this call on the disk is full
    FAIL = 6  # this call alone fails with an input/output error


@dataclass(frozen=True, slots=True)
class Outcome:
    """Exit code, or minus the signal that ended it; what it printed; its calls, a letter each."""

    code: int
    said: str
    calls: str


@dataclass(frozen=True, slots=True)
class Place:
    """A working folder with a home in it."""

    folder: Path

    @property
    def home(self) -> Path:
        """Where the vault is."""
        return self.folder / "home"

    def copy(self, folder: Path) -> Place:
        """The same in another folder, whose content is lost."""
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(self.folder, folder)
        return Place(folder)


class Server:
    """Runs commands, each in a fork of one process that has imported keyvault."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def run(self, place: Place, argv: Sequence[str], how: How = How.COUNT, at: int = 0) -> Outcome:
        """Run one command to its end, or to call ``at``, from 1."""
        return self.together(place, [argv], how, at)[0]

    def together(
        self, place: Place, commands: Sequence[Sequence[str]], how: How = How.COUNT, at: int = 0
    ) -> list[Outcome]:
        """Run commands at the same time."""
        job: dict[str, Any] = {"commands": commands, "folder": str(place.folder), "home": str(place.home)}
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(job | {"how": how, "at": at}) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        return [Outcome(**result) for result in answer["results"]]


@contextmanager
def serving(preload: Path | None = None) -> Iterator[Server]:
    """A server, with a library loaded into it before all others."""
    root = HERE.parents[1]
    environment = os.environ | {"PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1"}
    if preload is not None:
        environment["LD_PRELOAD"] = str(preload)
    command = [sys.executable, str(HERE / "command_server.py")]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        yield Server(process)
        assert process.stdin is not None
        process.stdin.close()


def kill_points(folder: Path) -> Path | None:
    """kill_points.c as a library; None where there is no C compiler, or no Linux."""
    compiler = shutil.which("cc")
    if compiler is None or sys.platform != "linux":
        return None
    library = folder / "kill_points.so"
    subprocess.run(
        [compiler, "-shared", "-fPIC", "-O1", "-o", library, HERE / "kill_points.c", "-ldl"],
        check=True,
        capture_output=True,
    )
    return library
