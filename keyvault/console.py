"""Command lines that refuse in one line.

A :class:`Command` or :class:`Group` turns every PrivcamError, and every mistake in the command
line itself, into one line on stderr and an exit code, so that no traceback reaches a user.
"""

from __future__ import annotations

import errno
import math
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from keyvault.errors import InputError, OutputError, PrivcamError

EXIT_INTERRUPTED = 130


def _from_os_error(error: OSError) -> PrivcamError:
    """An OSError that nobody closer could explain, as a refusal that names the file."""
    where = f"{error.filename}: " if error.filename else ""
    message = f"{where}{error.strerror or error}"
    if error.errno in (errno.ENOSPC, errno.EROFS, errno.EDQUOT):
        return OutputError(message, hint="free space or choose another place for the output")
    return InputError(message, hint="check the path and its permissions")


def _refuse(message: str, hint: str, program: str) -> None:
    parts = [" ".join(part.split()) for part in (message, hint) if part]
    click.echo(f"{program}: {'; '.join(parts)}", err=True)


def _refuse_usage(error: click.ClickException, program: str) -> None:
    context = error.ctx if isinstance(error, click.UsageError) else None
    _refuse(error.format_message().rstrip("."), f"see {context.command_path} --help" if context else "", program)


def _run(body: Callable[[], Any], program: str, interrupted: str) -> int:
    try:
        body()
    except (PrivcamError, OSError) as error:
        refusal = _from_os_error(error) if isinstance(error, OSError) else error
        _refuse(str(refusal), refusal.hint, program)
        return refusal.exit_code
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return error.exit_code
    except click.ClickException as error:
        _refuse_usage(error, program)
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo(f"{program}: {interrupted}", err=True)
        return EXIT_INTERRUPTED
    except click.exceptions.Exit as stop:
        return stop.exit_code
    return 0


class _Refusing(click.Command):
    interrupted = "interrupted"  # what it says when it is

    def main(self, *args: Any, standalone_mode: bool = True, **extra: Any) -> Any:
        """Run, print any refusal as one line, and exit with its code."""
        run: Callable[..., Any] = super().main
        if not standalone_mode:
            return run(*args, standalone_mode=False, **extra)
        program = extra.get("prog_name") or Path(sys.argv[0]).name
        sys.exit(_run(lambda: run(*args, standalone_mode=False, **extra), program, self.interrupted))


@contextmanager
def native_messages_off() -> Iterator[None]:
    """Keep what image libraries print on stderr from joining our own one-line refusals."""
    sys.stderr.flush()
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


class FiniteRange(click.FloatRange):
    """A number within bounds; ``nan`` and ``inf``, which compare strangely, are none."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The number; a usage error if it is not finite or out of bounds."""
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is not finite", param, ctx)
        return number


class Command(_Refusing):
    """A single command, such as a tool."""

    def __init__(self, *args: Any, goes_on: str = "", **extra: Any) -> None:
        """As a click.Command; ``goes_on`` tells who interrupts it how to go on from there."""
        super().__init__(*args, **extra)
        self.interrupted = f"interrupted; {goes_on}" if goes_on else "interrupted"


class Group(_Refusing, click.Group):
    """A program with subcommands."""


class LazyGroup(Group):
    """A program that imports each subcommand when it is asked for, so that quick ones start quickly."""

    def __init__(self, *args: Any, places: Mapping[str, str], **extra: Any) -> None:
        """As a Group, with the subcommands that are elsewhere: ``module:attribute`` by name."""
        super().__init__(*args, **extra)
        self._places = dict(places)

    def list_commands(self, context: click.Context) -> list[str]:
        """The names of all subcommands, in order."""
        return sorted({*super().list_commands(context), *self._places})

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        """A subcommand, imported now if it was not before."""
        if name in self._places and name not in self.commands:
            module, _, attribute = self._places[name].partition(":")
            self.add_command(getattr(import_module(module), attribute), name)
        return super().get_command(context, name)
