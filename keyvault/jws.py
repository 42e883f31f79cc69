"""The signature around a sealed key: compact JWS with Ed25519 (docs/spec/sealed_key.md, section 4)."""

from __future__ import annotations

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from keyvault import canonical
from keyvault.errors import GrantFormatError, GrantSignatureError, InputError, UnknownIssuerError
from keyvault.identity import is_thumbprint, thumbprint

TYPE = "privcam-sealed-key+jws"
VERSION = 1
_ALGORITHM = "Ed25519"
_SIGNATURE_BYTES = 64
_HINT = "give a file that keyvault issue or rotate wrote, complete and unchanged"


def sign(payload: bytes, issuer: Ed25519PrivateKey) -> bytes:
    """The compact JWS of a payload, ASCII."""
    header = canonical.dumps(_header(thumbprint(issuer.public_key())))
    signed = f"{canonical.b64url(header)}.{canonical.b64url(payload)}".encode("ascii")
    return signed + b"." + canonical.b64url(issuer.sign(signed)).encode("ascii")


def verify(data: bytes, issuer: Ed25519PublicKey) -> bytes:
    """The payload of a compact JWS that ``issuer`` signed.

    Raises:
        GrantFormatError: not a compact JWS with exactly the header of a sealed key.
        UnknownIssuerError: signed by another key.
        GrantSignatureError: the signature does not verify.
    """
    header, payload, signature = parse(data)
    if header["kid"] != thumbprint(issuer):
        raise UnknownIssuerError(
            f"signed by vault {header['kid']}, not by the trusted vault {thumbprint(issuer)}",
            hint="give the issuer.pub of the vault that issued it, if that vault is to be trusted",
        )
    try:
        issuer.verify(signature, data[: data.rindex(b".")])
    except InvalidSignature as error:
        raise GrantSignatureError(
            "the vault's signature does not verify: the sealed key was changed or damaged",
            hint="fetch it from the vault again: keyvault export",
        ) from error
    return payload


def parse(data: bytes) -> tuple[dict[str, object], bytes, bytes]:
    """Header, payload and signature, none of them verified; GrantFormatError as :func:`verify`."""
    try:
        header, payload, signature = _split(data)
    except InputError as error:
        raise GrantFormatError(f"not a sealed key: {error}", hint=_HINT) from error
    _check_header(header)
    return header, payload, signature


def _header(kid: str) -> dict[str, object]:
    return {"alg": _ALGORITHM, "kid": kid, "typ": TYPE, "v": VERSION}


def _split(data: bytes) -> tuple[dict[str, object], bytes, bytes]:
    try:
        parts = data.decode("ascii").split(".")
    except UnicodeDecodeError as error:
        raise InputError("it is not ASCII text") from error
    if len(parts) != 3:
        raise InputError("it is not three parts joined by dots")
    header = canonical.loads(canonical.unb64url(parts[0], "its header"), "its header")
    payload = canonical.unb64url(parts[1], "its payload")
    signature = canonical.unb64url(parts[2], "its signature")
    if not isinstance(header, dict):
        raise InputError("its header is not an object")
    if len(signature) != _SIGNATURE_BYTES:
        raise InputError(f"its signature has {len(signature)} bytes, not {_SIGNATURE_BYTES}")
    return header, payload, signature


def _check_header(header: dict[str, object]) -> None:
    if header.get("typ") == TYPE and header.get("v") != VERSION:
        raise GrantFormatError(
            f"a sealed key of version {header.get('v')!r:.40}; this program reads version {VERSION}",
            hint="install a newer privcam",
        )
    kid = header.get("kid")
    if not is_thumbprint(kid) or canonical.dumps(header) != canonical.dumps(_header(str(kid))):
        raise GrantFormatError("not a sealed key: its header is not that of a sealed key", hint=_HINT)
