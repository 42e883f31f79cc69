"""The signature around what a vault hands out: compact JWS with Ed25519 (docs/spec/sealed_key.md, section 4)."""

from __future__ import annotations

from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from keyvault import canonical
from keyvault.errors import (
    AuthenticationError,
    GrantFormatError,
    GrantSignatureError,
    InputError,
    StatusListError,
    StatusSignatureError,
    UnknownIssuerError,
)
from keyvault.identity import is_thumbprint, thumbprint

TYPE = "privcam-sealed-key+jws"
VERSION = 1
_ALGORITHM = "Ed25519"
_SIGNATURE_BYTES = 64


@dataclass(frozen=True, slots=True)
class Document:
    """A kind of signed file.

    Attributes:
        typ: the header's ``typ``; no file is taken for one of another kind.
        name: what messages call it.
        source: what to do about a file that is not one.
        again: what to do about one that was changed.
        format_error, signature_error: classes of the two refusals.
    """

    typ: str
    name: str
    source: str
    again: str
    format_error: type[InputError]
    signature_error: type[AuthenticationError]


SEALED_KEY = Document(
    TYPE,
    "sealed key",
    "give a file that keyvault issue or rotate wrote, complete and unchanged",
    "fetch it from the vault again: keyvault export",
    GrantFormatError,
    GrantSignatureError,
)
STATUS_LIST = Document(
    "privcam-status+jws",
    "status list",
    "give a file that keyvault status publish wrote, complete and unchanged",
    "fetch it from the vault again: keyvault status publish",
    StatusListError,
    StatusSignatureError,
)


def sign(payload: bytes, issuer: Ed25519PrivateKey, document: Document = SEALED_KEY) -> bytes:
    """The compact JWS of a payload, ASCII."""
    header = canonical.dumps(_header(document, thumbprint(issuer.public_key())))
    signed = f"{canonical.b64url(header)}.{canonical.b64url(payload)}".encode("ascii")
    return signed + b"." + canonical.b64url(issuer.sign(signed)).encode("ascii")


def verify(data: bytes, issuer: Ed25519PublicKey, document: Document = SEALED_KEY) -> bytes:
    """The payload of a compact JWS that ``issuer`` signed.

    Raises:
        GrantFormatError, StatusListError: not a compact JWS with exactly the header of such a document.
        UnknownIssuerError: signed by another key.
        GrantSignatureError, StatusSignatureError: the signature does not verify.
    """
    header, payload, signature = parse(data, document)
    if header["kid"] != thumbprint(issuer):
        raise UnknownIssuerError(
            f"signed by vault {header['kid']}, not by the trusted vault {thumbprint(issuer)}",
            hint="give the issuer.pub of the vault that issued it, if that vault is to be trusted",
        )
    try:
        issuer.verify(signature, data[: data.rindex(b".")])
    except InvalidSignature as error:
        raise document.signature_error(
            f"the vault's signature does not verify: the {document.name} was changed or damaged", hint=document.again
        ) from error
    return payload


def parse(data: bytes, document: Document = SEALED_KEY) -> tuple[dict[str, object], bytes, bytes]:
    """Header, payload and signature, none of them verified; refuses another form as :func:`verify`."""
    try:
        header, payload, signature = _split(data)
    except InputError as error:
        raise document.format_error(f"not a {document.name}: {error}", hint=document.source) from error
    _check_header(header, document)
    return header, payload, signature


def _header(document: Document, kid: str) -> dict[str, object]:
    return {"alg": _ALGORITHM, "kid": kid, "typ": document.typ, "v": VERSION}


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


def _check_header(header: dict[str, object], document: Document) -> None:
    if header.get("typ") == document.typ and header.get("v") != VERSION:
        raise document.format_error(
            f"a {document.name} of version {header.get('v')!r:.40}; this program reads version {VERSION}",
            hint="install a newer privcam",
        )
    kid = header.get("kid")
    if not is_thumbprint(kid) or canonical.dumps(header) != canonical.dumps(_header(document, str(kid))):
        raise document.format_error(
            f"not a {document.name}: its header is not that of a {document.name}", hint=document.source
        )
