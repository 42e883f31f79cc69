"""The encryption inside a sealed key: general JSON JWE (docs/spec/sealed_key.md, sections 5 and 6).

The per-recipient headers of a JWE are not authenticated and common readers accept algorithms
that nobody asked for.  So the grant, with its list of recipients, stands in the protected header,
every header must be the one that this list implies, and only then is one recipient's part given
to the JOSE library, with the one algorithm that it may use.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from jwcrypto.common import JWException
from jwcrypto.jwe import JWE
from jwcrypto.jwk import JWK

from keyvault import canonical
from keyvault.derivation import KEY_BYTES
from keyvault.errors import GrantContentError, InputError, PolicyError, UnsealError
from keyvault.grant import Grant, Kind, Recipient
from keyvault.hosts import MAX_RSA_BITS, MIN_RSA_BITS

TYPE = "privcam-sealed-key+jwe"
VERSION = 1
ENCRYPTION = "A256GCM"
ALGORITHMS = {Kind.SENSOR: "A256KW", Kind.HOST: "RSA-OAEP-256"}
_IV_BYTES, _TAG_BYTES = 12, 16
_KEY_SIZES = {Kind.SENSOR: (KEY_BYTES + 8, KEY_BYTES + 8), Kind.HOST: (MIN_RSA_BITS // 8, MAX_RSA_BITS // 8)}


@dataclass(frozen=True, slots=True)
class Message:
    """An encrypted epoch key: the claims, and the JWE's canonical JSON."""

    grant: Grant
    payload: bytes


def encrypt(grant: Grant, epoch_key: bytes, keys: Sequence[bytes | RSAPublicKey]) -> Message:
    """Encrypt an epoch key for the grant's recipients, whose keys are in the same order."""
    token = JWE(
        epoch_key,
        protected=canonical.dumps(_protected(grant)).decode("ascii"),
        algs=[*ALGORITHMS.values(), ENCRYPTION],
        flattened=False,
    )
    for recipient, key in zip(grant.recipients, keys, strict=True):
        token.add_recipient(_jwk(key), header=json.dumps(_header(recipient)))
    return Message(grant, canonical.dumps(json.loads(token.serialize())))


def parse(payload: bytes) -> Message:
    """Read a JWE; GrantContentError unless it is exactly what its own grant implies."""
    try:
        grant = _parse(payload)
    except (InputError, PolicyError) as error:
        raise GrantContentError(
            f"signed by the trusted vault, but malformed: {error}", hint="issue a new epoch with this version"
        ) from error
    return Message(grant, payload)


def decrypt(message: Message, recipient: Recipient, key: bytes | RSAPrivateKey) -> bytes:
    """The 32-byte epoch key, by the key of one recipient; UnsealError if it does not open."""
    value = json.loads(message.payload)
    own = value.pop("recipients")[message.grant.recipients.index(recipient)]
    token = JWE(algs=[ALGORITHMS[recipient.kind], ENCRYPTION])
    try:
        token.deserialize(json.dumps(value | own), _jwk(key))
    except JWException as error:
        raise UnsealError(
            f"the key of {recipient.kind} {recipient.name} does not unseal epoch {message.grant.epoch} "
            f"of sensor {message.grant.sensor}",
            hint="the key file was changed, or the vault that sealed it is not honest; issue a new epoch",
        ) from error
    return bytes(token.payload)


def _protected(grant: Grant) -> dict[str, Any]:
    return {"enc": ENCRYPTION, "grant": grant.to_json(), "typ": TYPE, "v": VERSION}


def _header(recipient: Recipient) -> dict[str, str]:
    return {"alg": ALGORITHMS[recipient.kind], "kid": recipient.kid}


def _jwk(key: bytes | RSAPublicKey | RSAPrivateKey) -> JWK:
    if isinstance(key, bytes):
        return JWK(kty="oct", k=canonical.b64url(key))
    return JWK.from_pyca(key)


def _parse(payload: bytes) -> Grant:
    value = canonical.loads(payload, "the payload")
    _check_members(value, {"ciphertext", "iv", "protected", "recipients", "tag"}, "the payload")
    _octets(value["iv"], "iv", _IV_BYTES)
    _octets(value["ciphertext"], "ciphertext", KEY_BYTES)
    _octets(value["tag"], "tag", _TAG_BYTES)
    protected = canonical.loads(_octets(value["protected"], "the protected header"), "the protected header")
    _check_members(protected, {"enc", "grant", "typ", "v"}, "the protected header")
    grant = Grant.from_json(protected["grant"])
    if canonical.dumps(protected) != canonical.dumps(_protected(grant)):
        raise InputError("the protected header is not that of a sealed key")
    _check_recipients(value["recipients"], grant)
    return grant


def _check_recipients(entries: Any, grant: Grant) -> None:
    if not isinstance(entries, list) or len(entries) != len(grant.recipients):
        raise InputError(f"the key is not encrypted for the {len(grant.recipients)} recipients of the grant")
    for entry, recipient in zip(entries, grant.recipients, strict=True):
        name = f"{recipient.kind} {recipient.name}"
        _check_members(entry, {"encrypted_key", "header"}, f"the part of {name}")
        if entry["header"] != _header(recipient):
            raise InputError(f"the header of {name} is {entry['header']}, not {_header(recipient)}")
        _octets(entry["encrypted_key"], f"the encrypted key of {name}", *_KEY_SIZES[recipient.kind])


def _check_members(value: Any, names: set[str], what: str) -> None:
    if not isinstance(value, dict) or set(value) != names:
        raise InputError(f"{what} has missing or unknown members")


def _octets(value: Any, what: str, least: int = 0, most: int | None = None) -> bytes:
    if not isinstance(value, str):
        raise InputError(f"{what} is not a string")
    data = canonical.unb64url(value, what)
    if least and not least <= len(data) <= (most or least):
        raise InputError(f"{what} has {len(data)} bytes")
    return data
