"""The key that encrypts a vault's records, and where it comes from."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from keyvault.derivation import KEY_BYTES
from keyvault.errors import PassphraseError, VaultDamagedError

SALT_BYTES, NONCE_BYTES = 16, 12
_MAX_ITERATIONS, _MAX_MEMORY_KIB, _MAX_LANES = 64, 4 * 2**20, 64


@dataclass(frozen=True, slots=True)
class Argon2:
    """Salt and costs of Argon2id (RFC 9106); the defaults are its second recommended choice."""

    salt: bytes
    iterations: int = 3
    memory_kib: int = 65_536
    lanes: int = 4

    def __post_init__(self) -> None:
        costs = (self.iterations, _MAX_ITERATIONS), (self.memory_kib, _MAX_MEMORY_KIB), (self.lanes, _MAX_LANES)
        bounded = all(type(value) is int and 1 <= value <= most for value, most in costs)
        if type(self.salt) is not bytes or len(self.salt) != SALT_BYTES or not bounded:
            raise VaultDamagedError("the vault's passphrase parameters are out of bounds", hint="restore a backup")

    def derive(self, passphrase: bytes) -> bytes:
        """32 bytes from a passphrase."""
        function = Argon2id(
            salt=self.salt,
            length=KEY_BYTES,
            iterations=self.iterations,
            memory_cost=self.memory_kib,
            lanes=self.lanes,
        )
        return function.derive(passphrase)


@dataclass(frozen=True, slots=True, repr=False)
class Lock:
    """How a vault's key is had: from a passphrase, or, where that was asked for, stored in plain.

    Exactly one of the two attributes is set.
    """

    argon2: Argon2 | None
    stored_key: bytes | None

    @classmethod
    def create(cls, passphrase: bytes | None) -> tuple[Lock, VaultKey]:
        """A new lock, and the key behind it; a passphrase of None stores the key in plain."""
        if passphrase is None:
            key = secrets.token_bytes(KEY_BYTES)
            return cls(None, key), VaultKey(key)
        argon2 = Argon2(secrets.token_bytes(SALT_BYTES))
        return cls(argon2, None), VaultKey(argon2.derive(passphrase))

    def open(self, passphrase: bytes | None) -> VaultKey:
        """The key; that the passphrase is right shows when a record is decrypted.

        Raises:
            PassphraseError: a passphrase is missing, or given where there is none.
        """
        if self.argon2 is None:
            if passphrase is not None:
                raise PassphraseError("the vault has no passphrase, but one was given", hint="leave it out")
            return VaultKey(self.stored_key or b"")
        if passphrase is None:
            raise PassphraseError("the vault is protected by a passphrase", hint="give --passphrase-file")
        return VaultKey(self.argon2.derive(passphrase))


class VaultKey:
    """Encrypts records with AES-256-GCM; the record's label is authenticated with it."""

    __slots__ = ("_cipher",)

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_BYTES:
            raise VaultDamagedError("the vault's stored key is damaged", hint="restore a backup")
        self._cipher = AESGCM(key)

    def encrypt(self, label: str, data: bytes) -> bytes:
        """Nonce and ciphertext of a record."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, data, _context(label))

    def decrypt(self, label: str, record: bytes) -> bytes:
        """The inverse of encrypt; VaultDamagedError if record, label or key are others."""
        try:
            return self._cipher.decrypt(record[:NONCE_BYTES], record[NONCE_BYTES:], _context(label))
        except (InvalidTag, ValueError) as error:
            raise VaultDamagedError(
                f"the vault's record of {label} was changed from outside", hint="restore a backup of the vault"
            ) from error


def _context(label: str) -> bytes:
    return f"privcam vault 1: {label}".encode("ascii")
