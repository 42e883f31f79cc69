"""Encrypted private keys whose passphrase is expensive to guess.

PKCS #8 EncryptedPrivateKeyInfo (RFC 5958) under PBES2 (RFC 8018) with scrypt (RFC 7914, section 7)
and AES-256-CBC.  OpenSSL and ``cryptography`` read it; the latter can write only PBKDF2 with
2048 rounds, too few to protect a passphrase that people can remember.
"""

from __future__ import annotations

import base64
import secrets
import textwrap

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from cryptography.hazmat.primitives.padding import PKCS7

from keyvault.errors import HostKeyError

_PBES2 = bytes.fromhex("2a864886f70d01050d")
_SCRYPT = bytes.fromhex("2b06010401da47040b")
_AES256_CBC = bytes.fromhex("60864801650304012a")
_SEQUENCE, _OID, _OCTETS, _INTEGER = 0x30, 0x06, 0x04, 0x02
_N, _R, _P = 2**14, 8, 1  # 16 MiB, the most that OpenSSL's command line opens without being asked
_SALT_BYTES, _BLOCK_BYTES = 16, 16
_PBKDF2 = bytes.fromhex("2a864886f70d01050c")
_MAX_SCRYPT = (2**20, 16, 16)  # N, r and p: 2 GiB
_MAX_ROUNDS = 10_000_000  # of PBKDF2: some seconds
_BEGIN, _END = b"-----BEGIN ENCRYPTED PRIVATE KEY-----", b"-----END ENCRYPTED PRIVATE KEY-----"


def encrypt(private_key_info: bytes, passphrase: bytes) -> bytes:
    """PEM of a DER PrivateKeyInfo, encrypted under a passphrase with a new salt."""
    salt, iv = secrets.token_bytes(_SALT_BYTES), secrets.token_bytes(_BLOCK_BYTES)
    key = Scrypt(salt=salt, length=32, n=_N, r=_R, p=_P).derive(passphrase)
    padder = PKCS7(8 * _BLOCK_BYTES).padder()
    padded = padder.update(private_key_info) + padder.finalize()
    encryptor = Cipher(AES256(key), CBC(iv)).encryptor()
    ciphertext = encryptor.update(padded) + encryptor.finalize()
    costs = [_der(_INTEGER, _unsigned(value)) for value in (_N, _R, _P)]
    derivation = _sequence(_der(_OID, _SCRYPT), _sequence(_der(_OCTETS, salt), *costs))
    cipher = _sequence(_der(_OID, _AES256_CBC), _der(_OCTETS, iv))
    algorithm = _sequence(_der(_OID, _PBES2), _sequence(derivation, cipher))
    return _pem(_sequence(algorithm, _der(_OCTETS, ciphertext)))


def is_encrypted(pem: bytes) -> bool:
    """Whether a PEM file holds an encrypted PKCS #8 key."""
    return _BEGIN in pem


def check_costs(pem: bytes) -> None:
    """Refuse an encrypted key that would take a machine's memory or minutes before its passphrase is found wrong.

    Raises:
        HostKeyError: not PBES2 with scrypt or PBKDF2, or with costs beyond N = 2^20, r = 16, p = 16, or
            10,000,000 rounds.
    """
    name, costs = _derivation(pem)
    most = {_SCRYPT: _MAX_SCRYPT, _PBKDF2: (_MAX_ROUNDS,)}.get(name, ())
    if not most or len(costs) < len(most) or any(cost > limit for cost, limit in zip(costs, most, strict=False)):
        raise HostKeyError(
            "the key is encrypted in a way that is not read here, or at absurd cost",
            hint="rewrite it: openssl pkcs8 -topk8 -scrypt -in OLD -out NEW",
        )


def _derivation(pem: bytes) -> tuple[bytes, list[int]]:
    """OID of the function that makes the key from the passphrase, and its whole numbers; empty if there is none."""
    try:
        body = pem.split(_BEGIN)[1].split(_END)[0]
        algorithm = _parts(_parts(_parts(base64.b64decode(body))[0][1])[0][1])
        if algorithm[0][1] != _PBES2:
            return b"", []
        (_, name), (_, parameters) = _parts(_parts(algorithm[1][1])[0][1])
        return name, [int.from_bytes(part, "big") for kind, part in _parts(parameters) if kind == _INTEGER]
    except (IndexError, ValueError):
        return b"", []


def _parts(der: bytes) -> list[tuple[int, bytes]]:
    """The elements of a DER value one after the other: kind and content; IndexError or ValueError."""
    found, at = [], 0
    while at < len(der):
        kind, length, at = der[at], der[at + 1], at + 2
        if length & 0x80:
            octets = length & 0x7F
            length, at = int.from_bytes(der[at : at + octets], "big"), at + octets
        if at + length > len(der):
            raise ValueError("an element is cut short")
        found.append((kind, der[at : at + length]))
        at += length
    return found


def _sequence(*parts: bytes) -> bytes:
    return _der(_SEQUENCE, b"".join(parts))


def _der(tag: int, content: bytes) -> bytes:
    length = len(content)
    if length < 0x80:
        return bytes((tag, length)) + content
    octets = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(octets))) + octets + content


def _unsigned(value: int) -> bytes:
    return value.to_bytes(value.bit_length() // 8 + 1, "big")


def _pem(der: bytes) -> bytes:
    body = "\n".join(textwrap.wrap(base64.b64encode(der).decode("ascii"), 64))
    return f"-----BEGIN ENCRYPTED PRIVATE KEY-----\n{body}\n-----END ENCRYPTED PRIVATE KEY-----\n".encode("ascii")
