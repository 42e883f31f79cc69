"""Command lines that refuse in one line.

A :class:`Command` or :class:`Group` turns every PrivcamError into one line on stderr and the
error's exit code, so that no traceback reaches a user.
"""

from __future__ import annotations

import errno
import sys
from collections.abc import Callable
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


def _refuse(error: PrivcamError, program: str) -> int:
    text = " ".join(str(error).split())
    hint = f"; {' '.join(error.hint.split())}" if error.hint else ""
    click.echo(f"{program}: {text}{hint}", err=True)
    return error.exit_code


def _run(body: Callable[[], Any], program: str) -> int:
    try:
        body()
    except PrivcamError as error:
        return _refuse(error, program)
    except OSError as error:
        return _refuse(_from_os_error(error), program)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo(f"{program}: interrupted", err=True)
        return EXIT_INTERRUPTED
    except click.exceptions.Exit as stop:
        return stop.exit_code
    return 0


class _Refusing(click.Command):
    def main(self, *args: Any, standalone_mode: bool = True, **extra: Any) -> Any:
        """Run, print any refusal as one line, and exit with its code."""
        run: Callable[..., Any] = super().main
        if not standalone_mode:
            return run(*args, standalone_mode=False, **extra)
        program = extra.get("prog_name") or self.name or "privcam"
        sys.exit(_run(lambda: run(*args, standalone_mode=False, **extra), program))


class Command(_Refusing):
    """A single command, such as a tool."""


class Group(_Refusing, click.Group):
    """A program with subcommands."""
