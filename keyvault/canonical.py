"""Canonical JSON: the one byte string that stands for a value.

A subset of RFC 8785 (JCS) in which both agree: objects with ASCII keys, arrays, strings,
integers within 2**53, true, false and null; keys sorted, no white space, non-ASCII escaped.
Reading refuses every text that is not what writing would have produced, so duplicate members,
alternative escapes and stray white space cannot hide anything.
"""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any

from keyvault.errors import InputError

MAX_INTEGER = 2**53 - 1


def dumps(value: Any) -> bytes:
    """The canonical bytes of a value of the subset; TypeError or ValueError outside it."""
    _check(value)
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode("ascii")


def loads(data: bytes, what: str) -> Any:
    """Parse canonical bytes; ``what`` names the thing in the InputError that refuses others."""
    try:
        value = json.loads(data)
        canonical = dumps(value)
    except (ValueError, TypeError, RecursionError) as error:
        raise InputError(f"{what} is not canonical JSON") from error
    if canonical != data:
        raise InputError(f"{what} is not in canonical form")
    return value


def _check(value: Any) -> None:
    if value is None or isinstance(value, bool | str):
        return
    if isinstance(value, int):
        if abs(value) > MAX_INTEGER:
            raise ValueError(f"integer {value} does not fit 53 bits")
    elif isinstance(value, list | tuple):
        for item in value:
            _check(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str) or not key.isascii():
                raise TypeError(f"member name {key!r} is not an ASCII string")
            _check(item)
    else:
        raise TypeError(f"{type(value).__name__} has no canonical form")


def b64url(data: bytes) -> str:
    """Base64url without padding (RFC 7515, section 2)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def unb64url(text: str, what: str) -> bytes:
    """Decode base64url; refuses padding, other alphabets and non-zero trailing bits."""
    try:
        data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (ValueError, binascii.Error) as error:
        raise InputError(f"{what} is not base64url") from error
    if b64url(data) != text:
        raise InputError(f"{what} is not canonical base64url")
    return data
