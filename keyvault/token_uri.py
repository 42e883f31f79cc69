"""Names of keys in PKCS#11 tokens: the PKCS #11 URI scheme (RFC 7512)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote_to_bytes, urlsplit

from keyvault.errors import TokenUriError

SCHEME = "pkcs11:"
MAX_URI = 4096
_TEXTS = frozenset({"token", "manufacturer", "model", "serial", "object", "type"})
_QUERY = frozenset({"module-path", "pin-source"})
# Section 2.3: unreserved characters, some reserved ones, and percent-encoded octets; the query may hold / ? | too.
_VALUE = re.compile(r"(?:[A-Za-z0-9._~:\[\]@!$'()*+,=-]|&|%[0-9A-Fa-f]{2})*")
_QUERY_VALUE = re.compile(r"(?:[A-Za-z0-9._~:\[\]@!$'()*+,=/?|-]|%[0-9A-Fa-f]{2})*")
_HINT = "write it as pkcs11:token=LABEL;object=LABEL?module-path=/usr/lib/softhsm/libsofthsm2.so"


@dataclass(frozen=True, slots=True)
class TokenUri:
    """Which module, which token, and which key in it; attributes that are None match anything.

    Attributes:
        module: the PKCS#11 module, a shared library.
        token, manufacturer, model, serial: of the token, as it states them.
        object: CKA_LABEL of the key.
        id: CKA_ID of the key.
        pin_source: the file that holds the PIN.
    """

    module: Path
    token: str | None = None
    manufacturer: str | None = None
    model: str | None = None
    serial: str | None = None
    object: str | None = None
    id: bytes | None = None
    pin_source: Path | None = None


def is_token_uri(text: object) -> bool:
    """Whether a value names a key in a token, rather than a file."""
    return isinstance(text, str) and text.lower().startswith(SCHEME)


def parse(text: str) -> TokenUri:
    """Read a URI; TokenUriError for one that is malformed, names no module, or has an attribute that is not known.

    ``pin-value`` is refused: other users see the arguments of a process, and shells keep them.
    """
    if not is_token_uri(text) or len(text) > MAX_URI:
        raise TokenUriError("not a PKCS#11 URI", hint=_HINT)
    path, _, query = text[len(SCHEME) :].partition("?")
    found = _attributes(path, ";", _VALUE)
    options = _attributes(query, "&", _QUERY_VALUE)
    if "pin-value" in options:
        raise TokenUriError("a PKCS#11 URI with a PIN in it", hint="give --pin-file, or pin-source=FILE in the URI")
    unknown = [*(found.keys() - _TEXTS - {"id"}), *(options.keys() - _QUERY)]
    if unknown:
        raise TokenUriError(f"a PKCS#11 URI with {min(unknown)!r:.40}, which is not known here", hint=_HINT)
    if found.get("type", b"private") != b"private":
        raise TokenUriError("a PKCS#11 URI of something else than a private key", hint="leave type out")
    if not options.get("module-path"):
        raise TokenUriError("a PKCS#11 URI without module-path", hint=_HINT)
    texts = {name: _text(value) for name, value in found.items() if name not in ("id", "type")}
    pin = _file(_text(options["pin-source"])) if "pin-source" in options else None
    return TokenUri(Path(_text(options["module-path"])), **texts, id=found.get("id"), pin_source=pin)


def _attributes(text: str, separator: str, form: re.Pattern[str]) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for part in text.split(separator) if text else ():
        name, equals, value = part.partition("=")
        if not equals or not form.fullmatch(value):
            raise TokenUriError(f"a PKCS#11 URI with a malformed attribute {name!r:.40}", hint=_HINT)
        if name in found:
            raise TokenUriError(f"a PKCS#11 URI that gives {name!r:.40} twice", hint=_HINT)
        found[name] = unquote_to_bytes(value)
    return found


def _text(value: bytes) -> str:
    try:
        text = value.decode()
    except UnicodeDecodeError as error:
        raise TokenUriError("a PKCS#11 URI with a value that is not UTF-8", hint=_HINT) from error
    if "\0" in text:
        raise TokenUriError("a PKCS#11 URI with a zero byte in a value", hint=_HINT)
    return text


def _file(source: str) -> Path:
    """The file of a pin-source: a path, or a ``file:`` URI of this machine."""
    if not source.startswith("file:"):
        named = source
    else:
        parts = urlsplit(source)
        named = unquote_to_bytes(parts.path).decode(errors="replace") if parts.netloc in ("", "localhost") else ""
    if not named.startswith("/"):
        raise TokenUriError("a PKCS#11 URI whose pin-source is not a file", hint="give the absolute path of a file")
    return Path(named)
