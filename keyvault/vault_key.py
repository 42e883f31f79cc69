"""The key that encrypts a vault's records, and where it comes from."""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from keyvault.derivation import KEY_BYTES
from keyvault.errors import PassphraseError, VaultDamagedError, VaultError
from keyvault.key_files import FileKey

SALT_BYTES, NONCE_BYTES = 16, 12
_MAX_ITERATIONS, _MAX_MEMORY_KIB, _MAX_LANES = 64, 4 * 2**20, 64
_MAX_N, _MAX_R, _MAX_P = 2**20, 16, 16  # 2 GiB at most
_BLOCKS = 8  # KiB that each lane takes at least (RFC 9106, section 3.1)


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
        enough = bounded and self.memory_kib >= _BLOCKS * self.lanes
        if type(self.salt) is not bytes or len(self.salt) != SALT_BYTES or not enough:
            raise VaultDamagedError("the vault's passphrase parameters are out of bounds", hint="restore a backup")

    def derive(self, passphrase: bytes) -> bytes:
        """32 bytes from a passphrase; VaultError if there is not enough memory."""
        function = Argon2id(
            salt=self.salt,
            length=KEY_BYTES,
            iterations=self.iterations,
            memory_cost=self.memory_kib,
            lanes=self.lanes,
        )
        try:
            return function.derive(passphrase)
        except MemoryError as error:
            raise _too_much(self.memory_kib) from error


@dataclass(frozen=True, slots=True)
class ScryptCosts:
    """Salt and costs of scrypt (RFC 7914); a new lock takes 128 MiB."""

    salt: bytes
    n: int = 2**17
    r: int = 8
    p: int = 1

    def __post_init__(self) -> None:
        bounds = (self.n, _MAX_N), (self.r, _MAX_R), (self.p, _MAX_P)
        bounded = all(type(value) is int and 1 <= value <= most for value, most in bounds)
        power = bounded and self.n > 1 and self.n & (self.n - 1) == 0
        if type(self.salt) is not bytes or len(self.salt) != SALT_BYTES or not power:
            raise VaultDamagedError("the vault's passphrase parameters are out of bounds", hint="restore a backup")

    def derive(self, passphrase: bytes) -> bytes:
        """32 bytes from a passphrase; VaultError if there is not enough memory."""
        try:
            return Scrypt(self.salt, KEY_BYTES, self.n, self.r, self.p).derive(passphrase)
        except MemoryError as error:
            raise _too_much(self.n * self.r // 8) from error


@dataclass(frozen=True, slots=True)
class FromKeyFile:
    """Salt of a key that comes from a key file, which is random and needs no costs: HKDF-SHA256 (RFC 5869)."""

    salt: bytes

    def __post_init__(self) -> None:
        if type(self.salt) is not bytes or len(self.salt) != SALT_BYTES:
            raise VaultDamagedError("the vault's key file parameters are out of bounds", hint="restore a backup")

    def derive(self, key: bytes) -> bytes:
        """32 bytes from those of a key file."""
        return HKDF(SHA256(), KEY_BYTES, self.salt, b"privcam vault 1: key file").derive(key)


class ScryptPassphrase(bytes):
    """A passphrase under which a lock is made with scrypt instead of Argon2id; opens as any passphrase does."""

    __slots__ = ()


Secret = bytes | FileKey | None
"""What opens a lock: a passphrase, a key file's content, or nothing."""


@dataclass(frozen=True, slots=True, repr=False)
class Lock:
    """How a vault's key is had: by derivation from a secret, or, where that was asked for, stored in plain.

    Exactly one of the two attributes is set.
    """

    derivation: Argon2 | ScryptCosts | FromKeyFile | None
    stored_key: bytes | None

    @classmethod
    def create(cls, secret: Secret) -> tuple[Lock, VaultKey]:
        """A new lock, and the key behind it; a secret of None stores the key in plain."""
        if secret is None:
            key = secrets.token_bytes(KEY_BYTES)
            return cls(None, key), VaultKey(key)
        salt = secrets.token_bytes(SALT_BYTES)
        if isinstance(secret, FileKey):
            lock = cls(FromKeyFile(salt), None)
        else:
            lock = cls(ScryptCosts(salt) if isinstance(secret, ScryptPassphrase) else Argon2(salt), None)
        return lock, lock.open(secret)

    @property
    def kind(self) -> str:
        """What opens it, in words; empty where nothing is needed."""
        words = {Argon2: "a passphrase (Argon2id)", ScryptCosts: "a passphrase (scrypt)", FromKeyFile: "a key file"}
        return words.get(type(self.derivation), "")

    @property
    def by_file(self) -> bool:
        """Whether a key file opens it."""
        return isinstance(self.derivation, FromKeyFile)

    @property
    def opener(self) -> str:
        """What opens it, in a word or two."""
        return "key file" if self.by_file else "passphrase"

    def is_same(self, other: Lock) -> bool:
        """Whether another lock is this one, in constant time."""
        stored = hmac.compare_digest(self.stored_key or b"", other.stored_key or b"")
        return stored and self.derivation == other.derivation

    def open(self, secret: Secret) -> VaultKey:
        """The key; that the secret is right shows when a record is decrypted.

        Raises:
            PassphraseError: a secret is missing, of another kind, or given where none is needed.
        """
        if self.derivation is None:
            if secret is not None:
                raise PassphraseError("the vault has no passphrase, but one was given", hint="leave it out")
            return VaultKey(self.stored_key or b"")
        given = secret.key if isinstance(secret, FileKey) else secret
        if given is None or isinstance(secret, FileKey) != self.by_file:
            flag = "--key-file" if self.by_file else "--passphrase-file"
            raise PassphraseError(f"the vault is protected by a {self.opener}", hint=f"give {flag}")
        return VaultKey(self.derivation.derive(given))


class VaultKey:
    """Encrypts records with AES-256-GCM, which authenticates the label too, and codes rows with HMAC-SHA256."""

    __slots__ = ("_cipher", "_coder")

    def __init__(self, key: bytes) -> None:
        if type(key) is not bytes or len(key) != KEY_BYTES:
            raise VaultDamagedError("the vault's stored key is damaged", hint="restore a backup")
        self._cipher = AESGCM(key)
        self._coder = HMAC(HKDF(SHA256(), KEY_BYTES, None, b"privcam vault 1: tables").derive(key), SHA256())

    def encrypt(self, label: str, data: bytes) -> bytes:
        """Nonce and ciphertext of a record."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, data, _context(label))

    def decrypt(self, label: str, record: bytes) -> bytes:
        """The inverse of encrypt; VaultDamagedError if record, label or key are others."""
        try:
            return self._cipher.decrypt(record[:NONCE_BYTES], record[NONCE_BYTES:], _context(label))
        except (InvalidTag, TypeError, ValueError) as error:  # SQLite may hand over a value of another type
            raise VaultDamagedError(
                f"the vault's record of {label} was changed from outside", hint="restore a backup of the vault"
            ) from error

    def mac(self, data: bytes) -> bytes:
        """32 bytes that authenticate ``data``, under a key of their own (RFC 2104, RFC 5869)."""
        coder = self._coder.copy()
        coder.update(data)
        return coder.finalize()


def _context(label: str) -> bytes:
    return f"privcam vault 1: {label}".encode("ascii")


def _too_much(kib: int) -> VaultError:
    return VaultError(
        f"the key of this passphrase takes {kib} KiB of memory, more than there is",
        hint="use a machine with more memory, or end other programs",
    )
