"""Options that several commands share, and the types of their values."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

from keyvault.unlocking import KDFS, NewSecret, Unlock

if TYPE_CHECKING:
    from keyvault.vault import Vault

Function = TypeVar("Function", bound=Callable[..., Any])

_passphrase_file = click.option(
    "--passphrase-file", metavar="FILE", help="File with the passphrase; - reads standard input.  [default: ask]"
)
kdf_option = click.option(
    "--kdf",
    type=click.Choice(KDFS),
    default=KDFS[0],
    show_default=True,
    help="How the passphrase is made expensive to guess.",
)

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def parsed(metavar: str, parse: Callable[[str], Any], example: str) -> dict[str, Any]:
    """What click.option needs for a value that ``parse`` reads, or refuses with ValueError."""

    def callback(_context: click.Context, _option: click.Parameter, text: str | None) -> Any:
        if text is None:
            return None
        try:
            return parse(text)
        except (ValueError, OverflowError) as error:
            raise click.BadParameter(f"{text!r} is not a {metavar} such as {example}") from error

    return {"metavar": metavar.upper(), "callback": callback}


def _size(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"([0-9]{1,6})x([0-9]{1,6})", text)
    if not match:
        raise ValueError(text)
    return int(match[1]), int(match[2])


def _duration(text: str) -> int:
    match = re.fullmatch(r"([1-9][0-9]{0,8})([smhd])", text)
    if not match:
        raise ValueError(text)
    return int(match[1]) * _UNITS[match[2]]


def _instant(text: str) -> int:
    moment = datetime.fromisoformat(text)
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())


size = parsed("size", _size, "1920x1080 (width first)")
"""``1920x1080``, width first, as (width, height)."""

duration = parsed("duration", _duration, "30d, 12h, 90m or 45s")
"""As seconds."""

instant = parsed("time", _instant, "2026-11-20 or 2026-11-20T09:30:00Z")
"""A date and time of ISO 8601, UTC unless it names its zone, as Unix seconds."""


def existing_secret(command: Function) -> Function:
    """The options of a command that opens a secret: a vault, or a host's private key; ``unlock`` holds them."""

    @wraps(command)
    def with_unlock(*args: Any, passphrase_file: str | None, key_file: Path | None, **options: Any) -> Any:
        return command(*args, unlock=Unlock(passphrase_file, key_file), **options)

    return _passphrase_file(_key_file("Key file in place of a passphrase.")(cast("Function", with_unlock)))


def new_secret(*, kdf: bool = True) -> Callable[[Function], Function]:
    """The options of a command that makes a secret; ``new`` holds them.

    Args:
        kdf: whether the user chooses how a passphrase is stretched.
    """

    def decorate(command: Function) -> Function:
        @wraps(command)
        def with_new(*args: Any, **options: Any) -> Any:
            names = ("passphrase_file", "key_file", "no_passphrase")
            file, key_file, without = (options.pop(name) for name in names)
            new = NewSecret(file, key_file, without, options.pop("kdf", KDFS[0]))
            return command(*args, new=new, **options)

        decorated = cast("Function", with_new)
        if kdf:
            decorated = kdf_option(decorated)
        decorated = click.option("--no-passphrase", is_flag=True, help="Store the secret unencrypted.")(decorated)
        return _passphrase_file(_key_file("Key file in place of a passphrase; made where there is none.")(decorated))

    return decorate


pin_option = click.option(
    "--pin-file",
    metavar="FILE",
    help="File with the token's PIN; - reads standard input.  [default: the URI's, or ask]",
)

one_sensor = click.option("--sensor", required=True, help="Enrolled sensor.")
one_epoch = click.option("--epoch", type=click.IntRange(min=1), required=True, help="Number of the epoch.")


def _key_file(text: str) -> Callable[[Function], Function]:
    return file_option("--key-file", help=text)


def file_option(*names: str, help: str, **more: Any) -> Callable[[Function], Function]:  # noqa: A002
    """An option that names a file."""
    return click.option(*names, type=click.Path(path_type=Path, dir_okay=False), help=help, **more)


def open_vault(base: Path, unlock: Unlock) -> Vault:
    """The vault of a home, unlocked; asks for the passphrase if there is one."""
    from keyvault.vault import Vault  # noqa: PLC0415

    vault = Vault.open(base)
    try:
        vault.unlock(unlock.secret(f"vault {vault.path}", vault.lock))
    except BaseException:
        vault.close()
        raise
    return vault


def say(name: str, value: object) -> None:
    """One line of a command's result."""
    click.echo(f"{name:<11}{value}")
