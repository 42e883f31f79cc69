"""Where command lines take passphrases from: a file, standard input or the terminal.

Never from arguments or the environment, which other processes and shell histories can see.
"""

from __future__ import annotations

import getpass
import hmac
import sys
from pathlib import Path

from keyvault.errors import PassphraseError
from keyvault.files import read_bounded

MAX_PASSPHRASE = 1024
STANDARD_INPUT = "-"


def existing(file: str | None, what: str, flags: str = "--passphrase-file FILE", noun: str = "passphrase") -> bytes:
    """The passphrase of a secret that has one.

    Args:
        file: a file whose only line it is, ``-`` for standard input, None to ask on the terminal.
        what: whose passphrase it is, for the prompt and for messages.
        flags: how the command line gives one instead.
        noun: what the secret's owner calls it.

    Raises:
        PassphraseError: there is no terminal to ask on, or what came is no passphrase.
        InputError: the file cannot be read.
    """
    if file is not None:
        return _from_file(file, noun)
    _need_terminal(what, flags, noun)
    return _check(getpass.getpass(f"{noun[0].upper()}{noun[1:]} of {what}: ").encode(), noun)


def new(
    file: str | None, without: bool, what: str, flags: str = "--passphrase-file FILE, or --no-passphrase to go without"
) -> bytes | None:
    """A passphrase for a secret that is being made; None if ``without`` one was asked for.

    Raises as :func:`existing` does; on a terminal it is asked twice.
    """
    if without:
        if file is not None:
            raise PassphraseError("a passphrase file and --no-passphrase were both given", hint="give one of them")
        return None
    if file is not None:
        return _from_file(file)
    _need_terminal(what, flags)
    first = getpass.getpass(f"New passphrase of {what}: ")
    if not hmac.compare_digest(getpass.getpass("The same again: ").encode(), first.encode()):
        raise PassphraseError("the two passphrases differ", hint="try again")
    return _check(first.encode())


def _from_file(file: str, noun: str = "passphrase") -> bytes:
    if file == STANDARD_INPUT:
        data = sys.stdin.buffer.read(MAX_PASSPHRASE + 3)
    else:
        data = read_bounded(Path(file), MAX_PASSPHRASE + 2, f"{noun} file")
    return _check(data.removesuffix(b"\n").removesuffix(b"\r"), noun)


def _check(passphrase: bytes, noun: str = "passphrase") -> bytes:
    if not 1 <= len(passphrase) <= MAX_PASSPHRASE or b"\n" in passphrase or b"\0" in passphrase:
        raise PassphraseError(
            f"a {noun} is one line of 1 to {MAX_PASSPHRASE} bytes", hint="check the file or type it again"
        )
    return passphrase


def _need_terminal(what: str, flags: str, noun: str = "passphrase") -> None:
    if not sys.stdin.isatty():
        raise PassphraseError(f"no {noun} for {what}, and no terminal to ask on", hint=f"give {flags}")
