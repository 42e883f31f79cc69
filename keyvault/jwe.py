"""The encryption inside a sealed key: general JSON JWE (docs/spec/sealed_key.md, sections 5 and 6).

The per-recipient headers of a JWE are not authenticated and common readers accept algorithms
that nobody asked for.  So the grant, with its list of recipients, stands in the protected header,
every header must be the one that this list implies, and only then is one recipient's part opened,
with the one algorithm that it may use.  A JOSE library writes; reading is done here, since the
libraries at hand check an RSA key anew for a tenth of a second at every message.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, OAEP, AsymmetricPadding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap

from keyvault import canonical, claims
from keyvault.derivation import KEY_BYTES
from keyvault.errors import GrantContentError, InputError, PolicyError, UnsealError
from keyvault.grant import Grant, Kind, Recipient
from keyvault.hosts import MAX_RSA_BITS, MIN_RSA_BITS

if TYPE_CHECKING:
    from jwcrypto.jwk import JWK

TYPE = "privcam-sealed-key+jwe"
VERSION = 1
ENCRYPTION = "A256GCM"
ALGORITHMS = {Kind.SENSOR: "A256KW", Kind.HOST: "RSA-OAEP-256"}
_IV_BYTES, _TAG_BYTES = 12, 16
_KEY_SIZES = {Kind.SENSOR: (KEY_BYTES + 8, KEY_BYTES + 8), Kind.HOST: (MIN_RSA_BITS // 8, MAX_RSA_BITS // 8)}


class HostIdentity(Protocol):
    """A host's private key: ``cryptography``'s RSAPrivateKey, or one that stays in a token."""

    def public_key(self) -> RSAPublicKey:
        """The public half."""

    def decrypt(self, ciphertext: bytes, padding: AsymmetricPadding) -> bytes:
        """RSAES-OAEP decryption; ValueError if it fails."""


@dataclass(frozen=True, slots=True)
class Message:
    """Encrypted epoch keys: the claims, one grant an epoch, and the JWE's canonical JSON."""

    grants: tuple[Grant, ...]
    payload: bytes


def encrypt(grants: Sequence[Grant], epoch_keys: Sequence[bytes], keys: Sequence[bytes | RSAPublicKey]) -> Message:
    """Encrypt the keys of one or several epochs for the grants' recipients, whose keys are in the same order."""
    from jwcrypto.jwe import JWE  # noqa: PLC0415  # takes longer than reading needs

    token = JWE(
        b"".join(epoch_keys),
        protected=canonical.dumps(_protected(grants)).decode("ascii"),
        algs=[*ALGORITHMS.values(), ENCRYPTION],
        flattened=False,
    )
    for recipient, key in zip(grants[0].recipients, keys, strict=True):
        token.add_recipient(_jwk(key), header=json.dumps(_header(recipient)))
    return Message(tuple(grants), canonical.dumps(json.loads(token.serialize())))


def parse(payload: bytes) -> Message:
    """Read a JWE; GrantContentError unless it is exactly what its own grants imply."""
    try:
        grants = _parse(payload)
    except (InputError, PolicyError) as error:
        raise GrantContentError(
            f"signed by the trusted vault, but malformed: {error}", hint="issue a new epoch with this version"
        ) from error
    return Message(grants, payload)


def decrypt(message: Message, recipient: Recipient, key: bytes | HostIdentity) -> list[bytes]:
    """The 32-byte keys of the message's epochs, by the key of one recipient; UnsealError if it does not open."""
    value = json.loads(message.payload)
    own = value["recipients"][message.grants[0].recipients.index(recipient)]
    parts = {name: _octets(value[name], name) for name in ("iv", "ciphertext", "tag")}
    try:
        content_key = _unwrap(_octets(own["encrypted_key"], "its part"), key)
        cipher = AESGCM(content_key)
        context = value["protected"].encode("ascii")
        epoch_keys = cipher.decrypt(parts["iv"], parts["ciphertext"] + parts["tag"], context)
    except (InvalidTag, InvalidUnwrap, ValueError) as error:
        raise UnsealError(
            f"the key of {recipient.kind} {recipient.name} does not unseal {_epochs(message.grants)} "
            f"of sensor {message.grants[0].sensor}",
            hint="the key file was changed, or the vault that sealed it is not honest; issue a new epoch",
        ) from error
    return [epoch_keys[at : at + KEY_BYTES] for at in range(0, len(epoch_keys), KEY_BYTES)]


def _unwrap(encrypted_key: bytes, key: bytes | HostIdentity) -> bytes:
    """The content encryption key; ValueError or InvalidUnwrap."""
    if isinstance(key, bytes):
        content_key = aes_key_unwrap(key, encrypted_key)
    else:
        content_key = key.decrypt(encrypted_key, OAEP(MGF1(SHA256()), SHA256(), None))
    if len(content_key) != KEY_BYTES:
        raise ValueError("the content encryption key has another length")
    return content_key


def _epochs(grants: Sequence[Grant]) -> str:
    first, last = grants[0].epoch, grants[-1].epoch
    return f"epoch {first}" if first == last else f"epochs {first} to {last}"


def _protected(grants: Sequence[Grant]) -> dict[str, Any]:
    return {"enc": ENCRYPTION, "grant": claims.to_json(grants), "typ": TYPE, "v": VERSION}


def _header(recipient: Recipient) -> dict[str, str]:
    return {"alg": ALGORITHMS[recipient.kind], "kid": recipient.kid}


def _jwk(key: bytes | RSAPublicKey) -> JWK:
    from jwcrypto.jwk import JWK  # noqa: PLC0415

    if isinstance(key, bytes):
        return JWK(kty="oct", k=canonical.b64url(key))
    return JWK.from_pyca(key)


def _parse(payload: bytes) -> tuple[Grant, ...]:
    value = canonical.loads(payload, "the payload")
    _check_members(value, {"ciphertext", "iv", "protected", "recipients", "tag"}, "the payload")
    _octets(value["iv"], "iv", _IV_BYTES)
    _octets(value["tag"], "tag", _TAG_BYTES)
    protected = canonical.loads(_octets(value["protected"], "the protected header"), "the protected header")
    _check_members(protected, {"enc", "grant", "typ", "v"}, "the protected header")
    grants = claims.from_json(protected["grant"])
    if canonical.dumps(protected) != canonical.dumps(_protected(grants)):
        raise InputError("the protected header is not that of a sealed key")
    _octets(value["ciphertext"], "ciphertext", KEY_BYTES * len(grants))
    _check_recipients(value["recipients"], grants[0])
    return grants


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
