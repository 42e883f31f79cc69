"""Options that several ``keyvault`` commands share, and the types of their values."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import click

from keyvault import passphrase
from keyvault.vault import Vault

Function = TypeVar("Function", bound=Callable[..., Any])

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


class Size(click.ParamType):
    """``1920x1080``, width first, as (width, height)."""

    name = "WxH"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        """Parse, or fail with the form that is wanted."""
        match = re.fullmatch(r"([0-9]{1,6})x([0-9]{1,6})", str(value))
        if not match:
            self.fail(f"{value!r} is not a size such as 1920x1080 (width first)", param, ctx)
        return int(match[1]), int(match[2])


class Duration(click.ParamType):
    """``30d``, ``12h``, ``90m`` or ``45s``, as seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Parse, or fail with the form that is wanted."""
        match = re.fullmatch(r"([1-9][0-9]{0,8})([smhd])", str(value))
        if not match:
            self.fail(f"{value!r} is not a duration such as 30d, 12h, 90m or 45s", param, ctx)
        return int(match[1]) * _UNITS[match[2]]


class Instant(click.ParamType):
    """A date and time of ISO 8601, UTC unless it names its zone, as Unix seconds."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Parse, or fail with the form that is wanted."""
        try:
            moment = datetime.fromisoformat(str(value))
        except ValueError:
            self.fail(f"{value!r} is not a time such as 2026-11-20 or 2026-11-20T09:30:00Z", param, ctx)
        return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())


existing_passphrase = click.option(
    "--passphrase-file", metavar="FILE", help="File with the passphrase; - reads standard input.  [default: ask]"
)


def new_passphrase(command: Function) -> Function:
    """The options of a command that makes a secret."""
    without = click.option("--no-passphrase", is_flag=True, help="Store the secret unencrypted.")
    return existing_passphrase(without(command))


def file_option(*names: str, help: str, **more: Any) -> Callable[[Function], Function]:  # noqa: A002
    """An option that names a file."""
    return click.option(*names, type=click.Path(path_type=Path, dir_okay=False), help=help, **more)


def open_vault(base: Path, passphrase_file: str | None) -> Vault:
    """The vault of a home, unlocked; asks for the passphrase if there is one."""
    vault = Vault.open(base)
    try:
        needed = vault.protected or passphrase_file is not None
        vault.unlock(passphrase.existing(passphrase_file, f"vault {vault.path}") if needed else None)
    except BaseException:
        vault.close()
        raise
    return vault


def say(name: str, value: object) -> None:
    """One line of a command's result."""
    click.echo(f"{name:<11}{value}")
