"""Key files: 32 random bytes that open a vault or a host's private key, in place of a passphrase.

The file is one line of base64 (RFC 4648, section 4) and private, such as ``openssl rand -base64 32`` makes.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import secrets
from dataclasses import dataclass
from pathlib import Path

from keyvault.derivation import KEY_BYTES
from keyvault.errors import KeyFileError
from keyvault.secret_files import read_secret, write_secret

_MAX_BYTES = 64


@dataclass(frozen=True, slots=True, repr=False)
class FileKey:
    """What a key file holds: 32 bytes."""

    key: bytes

    @property
    def line(self) -> bytes:
        """The file's line, without its end: the passphrase of a host key in PEM that a key file protects."""
        return base64.b64encode(self.key)


def read(path: Path) -> FileKey:
    """Read a key file.

    Raises:
        KeyFileError: it is not one line of 32 bytes in base64.
        ExposedFileError: its group or everybody can read or write it.
        InputError: it cannot be read.
    """
    line = read_secret(path, _MAX_BYTES, "key file").removesuffix(b"\n").removesuffix(b"\r")
    try:
        found = FileKey(base64.b64decode(line, validate=True))
    except binascii.Error:
        found = FileKey(b"")
    if len(found.key) != KEY_BYTES or not hmac.compare_digest(found.line, line):
        raise KeyFileError(
            f"{path} is not a key file: one line of {KEY_BYTES} bytes in base64",
            hint="give the right file; a new one is made where there is none",
        )
    return found


def read_or_make(path: Path) -> FileKey:
    """Read a key file for a secret that is being made; where there is none, make it, of mode 0600.

    Raises as :func:`read` does, and OutputError if it cannot be written.
    """
    if not path.exists():
        made = FileKey(secrets.token_bytes(KEY_BYTES))
        write_secret(path, made.line + b"\n")
    return read(path)
