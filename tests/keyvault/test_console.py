"""Refusals of every command line: one line, and an exit code."""

from __future__ import annotations

import errno
import os
import sys

import click
import pytest
from click.testing import CliRunner

from keyvault.console import Command, FiniteRange, Group, native_messages_off
from keyvault.errors import PolicyError


@click.group(cls=Group, name="program")
def program() -> None:
    """A program."""


@program.command()
@click.option("--count", type=click.IntRange(1))
@click.option("--way", required=True)
@click.option("--share", type=FiniteRange(0))
def fail(count: int | None, way: str, share: float | None) -> None:
    """Fail in the way asked for."""
    errors = {
        "refusal": PolicyError("too\nlarge", hint="make it\nsmaller"),
        "input": FileNotFoundError(errno.ENOENT, "No such file", "a.txt"),
        "full": OSError(errno.ENOSPC, "No space left on device"),
        "interrupt": KeyboardInterrupt(),
    }
    raise errors[way]


@pytest.mark.parametrize(
    ("arguments", "code", "line"),
    [
        (["fail", "--way", "refusal"], 5, "program: too large; make it smaller"),
        (["fail", "--way", "input"], 3, "program: a.txt: No such file; check the path and its permissions"),
        (["fail", "--way", "full"], 4, "program: No space left on device; free space or choose another place"),
        (["fail", "--way", "interrupt"], 130, "program: interrupted"),
        (["fail"], 2, "program: Missing option '--way'; see program fail --help"),
        (["fail", "--way", "full", "--count", "0"], 2, "program: Invalid value for '--count': 0 is not in the range"),
        (["fail", "--way", "full", "--share", "nan"], 2, "program: Invalid value for '--share': nan is not finite"),
        (["fail", "--way", "full", "--share", "inf"], 2, "program: Invalid value for '--share': inf is not finite"),
        (["fail", "--way", "full", "--share", "-1"], 2, "program: Invalid value for '--share': -1.0 is not in"),
        (["nothing"], 2, "program: No such command 'nothing'; see program --help"),
    ],
)
def test_every_failure_is_one_line_and_a_code(arguments: list[str], code: int, line: str) -> None:
    result = CliRunner().invoke(program, arguments, prog_name="program")
    assert result.exit_code == code
    assert result.stdout == ""
    assert len([text for text in result.stderr.splitlines() if text]) == 1
    assert result.stderr.strip().startswith(line)


def test_an_interrupted_command_that_can_go_on_says_so() -> None:
    @click.command(cls=Command, goes_on="give it again")
    def main() -> None:
        raise KeyboardInterrupt

    result = CliRunner().invoke(main, [], prog_name="program")
    assert result.exit_code == 130
    assert result.stderr.lstrip() == "program: interrupted; give it again\n"


def test_no_arguments_show_the_help() -> None:
    result = CliRunner().invoke(program, [], prog_name="program")
    assert result.exit_code == 2
    assert "fail" in result.stderr
    assert "A program." in result.stderr


def test_a_script_is_called_what_its_file_is_called(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    @click.command(cls=Command)
    def main() -> None:
        raise PolicyError("no")

    monkeypatch.setattr(sys, "argv", ["tools/script.py"])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 5
    assert capsys.readouterr().err == "script.py: no\n"


def test_native_messages_are_dropped_and_ours_come_back(capfd: pytest.CaptureFixture) -> None:
    with native_messages_off():
        os.write(2, b"from a library\n")
    os.write(2, b"ours\n")
    assert capfd.readouterr().err == "ours\n"
