"""Who someone is: names of sensors and hosts, and thumbprints of public keys (RFC 7638)."""

from __future__ import annotations

import hashlib
import re
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from keyvault import canonical
from keyvault.errors import InputError

MAX_NAME = 64
_THUMBPRINT = re.compile(r"[A-Za-z0-9_-]{43}")
_NAME = re.compile(rf"[A-Za-z0-9][A-Za-z0-9._-]{{0,{MAX_NAME - 1}}}")


def check_name(name: Any, what: str) -> str:
    """Return a valid name of a sensor or host; names are file names too.

    Raises:
        InputError: not 1 to 64 of ``A-Z a-z 0-9 . _ -`` beginning with a letter or digit.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise InputError(
            f"{name!r:.80} cannot be the name of a {what}",
            hint=f"use 1 to {MAX_NAME} letters, digits, dots, dashes or underscores, the first a letter or digit",
        )
    return name


def ed25519_jwk(key: Ed25519PublicKey) -> dict[str, str]:
    """The public key as a JWK (RFC 8037) with its required members alone."""
    return {"crv": "Ed25519", "kty": "OKP", "x": canonical.b64url(key.public_bytes_raw())}


def rsa_jwk(key: RSAPublicKey) -> dict[str, str]:
    """The public key as a JWK (RFC 7518, section 6.3) with its required members alone."""
    numbers = key.public_numbers()
    return {"e": _integer(numbers.e), "kty": "RSA", "n": _integer(numbers.n)}


def thumbprint(key: Ed25519PublicKey | RSAPublicKey) -> str:
    """SHA-256 thumbprint of a public key (RFC 7638) in base64url, 43 characters."""
    jwk = ed25519_jwk(key) if isinstance(key, Ed25519PublicKey) else rsa_jwk(key)
    return canonical.b64url(hashlib.sha256(canonical.dumps(jwk)).digest())


def is_thumbprint(value: Any) -> bool:
    """Whether a value has the form of a thumbprint: 43 characters of base64url."""
    return isinstance(value, str) and _THUMBPRINT.fullmatch(value) is not None


def _integer(value: int) -> str:
    return canonical.b64url(value.to_bytes((value.bit_length() + 7) // 8, "big"))
