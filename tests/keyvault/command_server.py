"""A process that has imported keyvault once and runs each command in a fork of itself.

Reads one JSON object a line from standard input and answers each with one line; see Server in commands_apart.py.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import click

from keyvault import vault_key
from keyvault.cli import keyvault

OFF, COUNT = 0, 1


def run(job: dict[str, Any]) -> dict[str, Any]:
    """Run commands at once, each in a process; what became of them."""
    starts = [_start(job, argv) for argv in job["commands"]]
    return {"results": [_end(*start) for start in starts]}


def _start(job: dict[str, Any], argv: list[str]) -> tuple[int, int, Any]:
    reading, writing = os.pipe()
    output = tempfile.TemporaryFile()  # noqa: SIM115
    child = os.fork()
    if child == 0:
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
        os._exit(_command(job, argv, writing))
    os.close(writing)
    return child, reading, output


def _end(child: int, reading: int, output: Any) -> dict[str, Any]:
    with os.fdopen(reading, "r") as report:
        calls = report.read()
    _, status = os.waitpid(child, 0)
    with output:
        output.seek(0)
        said = output.read().decode()
    return {"code": os.waitstatus_to_exitcode(status), "calls": calls, "said": said}


def _command(job: dict[str, Any], argv: list[str], report: int) -> int:
    """In the child: run one command, and report its calls if it lives so long."""
    os.chdir(job["folder"])
    os.environ["PRIVCAM_HOME"] = job["home"]
    preloaded = ctypes.CDLL(None)
    counted = hasattr(preloaded, "kill_points_arm")
    if counted:
        preloaded.kill_points_log.restype = ctypes.c_char_p
        preloaded.kill_points_arm(job["how"], job["at"])
    code = 0
    try:
        keyvault.main(argv, prog_name="keyvault")
    except SystemExit as stop:
        code = int(stop.code or 0)
    except BaseException:
        sys.excepthook(*sys.exc_info())
        code = 99
    finally:
        sys.stdout.flush()
        if counted:
            preloaded.kill_points_arm(OFF, 0)
            os.write(report, preloaded.kill_points_log())
    return code


def main() -> None:
    """Serve until standard input ends."""
    vault_key.Argon2.__init__.__defaults__ = (1, 64, 1)  # new passphrases cost little; the rest is as it is
    os.umask(0o077)
    context = click.Context(keyvault)
    for name in keyvault.list_commands(context):
        keyvault.get_command(context, name)  # imports what it needs, here and not in each fork
    for line in sys.stdin:
        print(json.dumps(run(json.loads(line))), flush=True)  # noqa: T201


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
    main()
