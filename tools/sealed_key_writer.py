"""A second writer of sealed keys, from the specification, with nothing random in it.

It shares neither the JOSE library nor the encryption code with keyvault, so what it writes also
shows that the specification is enough to write by.  Content keys, nonces and OAEP seeds are hashes
of what they are for: good for test vectors and for nothing else.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.keywrap import aes_key_wrap

from keyvault import canonical, jws
from keyvault.claims import to_json
from keyvault.grant import Grant, Kind

Key = bytes | RSAPublicKey
"""A sensor's key-encryption key, or a host's public key."""


def seal(
    grants: Sequence[Grant],
    epoch_keys: Sequence[bytes],
    kek: bytes | None,
    hosts: Sequence[RSAPublicKey],
    issuer: Ed25519PrivateKey,
) -> bytes:
    """The file that keyvault.envelope.seal would write with these random numbers."""
    keys: list[Key] = [*([] if kek is None else [kek]), *hosts]
    return jws.sign(canonical.dumps(encrypt(grants, epoch_keys, keys)), issuer)


def encrypt(grants: Sequence[Grant], epoch_keys: Sequence[bytes], keys: Sequence[Key]) -> dict[str, Any]:
    """The JWE of section 6 of the specification, as the value of its JSON."""
    recipients = zip(grants[0].recipients, keys, strict=True)
    headers = [{"alg": "A256KW" if r.kind is Kind.SENSOR else "RSA-OAEP-256", "kid": r.kid} for r, _ in recipients]
    return encrypt_claims(to_json(grants), b"".join(epoch_keys), list(zip(headers, keys, strict=True)))


def encrypt_claims(
    claims: dict[str, Any], plaintext: bytes, parts: Sequence[tuple[dict[str, str], Key]], content_bytes: int = 32
) -> dict[str, Any]:
    """The JWE of any claims for any recipients, each given by its header and key."""
    protected = canonical.b64url(
        canonical.dumps({"enc": "A256GCM", "grant": claims, "typ": "privcam-sealed-key+jwe", "v": 1})
    )
    content_key = _number(b"content key", protected.encode())[:content_bytes]
    nonce = _number(b"nonce", protected.encode())[:12]
    sealed = AESGCM(content_key).encrypt(nonce, plaintext, protected.encode())
    return {
        "protected": protected,
        "iv": canonical.b64url(nonce),
        "ciphertext": canonical.b64url(sealed[:-16]),
        "tag": canonical.b64url(sealed[-16:]),
        "recipients": [
            {"header": header, "encrypted_key": canonical.b64url(wrap(content_key, key))} for header, key in parts
        ],
    }


def wrap(content_key: bytes, key: Key, algorithm: str = "sha256") -> bytes:
    """AES key wrap, or RSAES-OAEP (RFC 8017, section 7.1.1) with a hash for both of its uses."""
    if isinstance(key, bytes):
        return aes_key_wrap(key, content_key)
    size, digest = key.key_size // 8, hashlib.new(algorithm).digest_size
    block = hashlib.new(algorithm).digest()
    block += bytes(size - len(content_key) - 2 * digest - 2) + b"\1" + content_key
    seed = _mgf1(_number(b"seed", content_key + key.public_numbers().n.to_bytes(size, "big")), digest, "sha256")
    masked = _xor(block, _mgf1(seed, len(block), algorithm))
    return rsa_power(b"\0" + _xor(seed, _mgf1(masked, digest, algorithm)) + masked, key)


def wrap_pkcs1(content_key: bytes, key: RSAPublicKey) -> bytes:
    """RSAES-PKCS1-v1_5 (RFC 8017, section 7.2.1), which no reader may take."""
    filler = b"\x5a" * (key.key_size // 8 - len(content_key) - 3)
    return rsa_power(b"\0\2" + filler + b"\0" + content_key, key)


def rsa_power(message: bytes, key: RSAPublicKey) -> bytes:
    """RSAEP (RFC 8017, section 5.1.1) of a block as long as the modulus."""
    numbers = key.public_numbers()
    return pow(int.from_bytes(message, "big"), numbers.e, numbers.n).to_bytes(key.key_size // 8, "big")


def _mgf1(seed: bytes, length: int, algorithm: str) -> bytes:
    blocks = -(-length // hashlib.new(algorithm).digest_size)
    return b"".join(hashlib.new(algorithm, seed + at.to_bytes(4, "big")).digest() for at in range(blocks))[:length]


def _xor(one: bytes, other: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(one, other, strict=True))


def _number(purpose: bytes, context: bytes) -> bytes:
    return hashlib.sha256(b"privcam test vector: " + purpose + b" " + context).digest()
