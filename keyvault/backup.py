"""Backups of a vault: the whole of it in one file under a passphrase of its own (docs/spec/vault_backup.md)."""

from __future__ import annotations

import hmac
import secrets
import sqlite3
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from keyvault import audit, canonical, home_claims, places, registry, vault_records
from keyvault.derivation import KEY_BYTES
from keyvault.errors import (
    BackupDamagedError,
    BackupFormatError,
    InputError,
    OutputError,
    PassphraseError,
    VaultDamagedError,
)
from keyvault.files import read_bounded
from keyvault.hygiene import wipe
from keyvault.secret_files import write_secret
from keyvault.table_macs import TableMacs
from keyvault.vault import Vault
from keyvault.vault_key import NONCE_BYTES, SALT_BYTES, Argon2, Lock, Secret
from keyvault.vault_store import check_schema, explained, migrate

MAX_VAULT = 2**30
LOST = 1000
"""How many epochs and serials of every sensor are left out after a recovery."""
_TYPE = "privcam-vault-backup"
_VERSION = 1
_MAX_HEADER = 1024
_TAG_BYTES = 16
_ROLLBACK_JOURNAL = b"\1\1"
_COSTS = ("iterations", "memory_kib", "lanes")
_HINT = "give a file that keyvault backup wrote"


def make(vault: Vault, passphrase: bytes) -> bytes:
    """The backup of an unlocked vault; what opens it is ``passphrase`` alone, not the vault's.

    Raises:
        PassphraseError: the vault is locked.
        OutputError: the vault is larger than 1 GiB.
    """
    with vault.change() as change:
        change.note("backup", "vault")
    copy, own_key = vault.snapshot()
    try:
        lock, key = Lock.create(None)
        macs = TableMacs(copy, own_key)
        vault_records.relock(copy, own_key, lock, key, macs)
        macs.renew()
        data = bytearray(copy.serialize())
    finally:
        copy.close()
    if len(data) > MAX_VAULT:
        raise OutputError(
            f"the vault has {len(data)} bytes; a backup holds {MAX_VAULT}", hint="destroy epochs that nobody needs"
        )
    data[18:20] = _ROLLBACK_JOURNAL  # SQLite opens no database of write-ahead logging from memory
    try:
        return encrypt(data, passphrase)
    finally:
        wipe(data)


def recover(base: Path, file: Path, passphrase: bytes, vault_secret: Secret) -> Vault:
    """Make a vault under a home from a backup, and open it unlocked.

    The next epoch and the next serial of every sensor are 1000 higher than they were, since the
    numbers that were used between backup and loss are not known.

    Args:
        base: a home without a vault.
        file: the backup.
        passphrase: the backup's.
        vault_secret: the recovered vault's passphrase or key file; None stores its secrets in plain.

    Raises:
        VaultExistsError, OutputError: there is a vault, or the home trusts another one.
        BackupFormatError: the file is not a backup.
        PassphraseError: the passphrase is wrong.
        BackupDamagedError: the backup was changed.
    """
    home_claims.refuse_second(base)
    data = decrypt(read_bounded(file, MAX_VAULT + _MAX_HEADER, "backup"), file, passphrase)
    with explained(file):
        renewed, issuer = _renewed(data, file, vault_secret)
    home_claims.refuse_issuer_of_another(base, issuer)
    home_claims.write_issuer(base, issuer)
    write_secret(places.vault_file(base), renewed)  # last, so that a recovery that was interrupted can be repeated
    vault = Vault.open(base)
    vault.unlock(vault_secret)
    return vault


def _renewed(data: bytes, file: Path, secret: Secret) -> tuple[bytes, Ed25519PublicKey]:
    """The database of a backup under a new lock and with numbers left out, and its issuer's key."""
    database = sqlite3.connect(":memory:", isolation_level=None)
    try:
        database.deserialize(data)
        check_schema(database, file)
        migrate(database)
        lock, key = Lock.create(secret)
        own_key = vault_records.read_lock(database).open(None)
        macs = TableMacs(database, own_key)
        vault_records.relock(database, own_key, lock, key, macs)
        registry.skip_numbers(database, LOST)
        signer = vault_records.issuer_secrets(database, key).signer
        detail = {"protected": secret is not None, "skipped": LOST}
        audit.record(database, signer, "recover", "vault", detail, int(time.time()))
        macs.renew()
        return database.serialize(), signer.public_key()
    finally:
        database.close()


@dataclass(frozen=True, slots=True, repr=False)
class _Keys:
    """What comes from a backup's passphrase: the key of its content, and a value that tells a wrong passphrase."""

    content: bytes
    check: bytes

    @classmethod
    def derive(cls, argon2: Argon2, passphrase: bytes) -> _Keys:
        secret = argon2.derive(passphrase)
        uses = (b"privcam backup 1: key", b"privcam backup 1: check")
        return cls(*(HKDFExpand(SHA256(), KEY_BYTES, use).derive(secret) for use in uses))


def encrypt(data: bytes | bytearray, passphrase: bytes) -> bytes:
    """The file of a backup whose plaintext is ``data``."""
    argon2 = Argon2(secrets.token_bytes(SALT_BYTES))
    keys = _Keys.derive(argon2, passphrase)
    nonce = secrets.token_bytes(NONCE_BYTES)
    costs = {name: getattr(argon2, name) for name in _COSTS}
    header = canonical.dumps(
        {
            "argon2id": costs | {"salt": canonical.b64url(argon2.salt)},
            "check": canonical.b64url(keys.check),
            "iv": canonical.b64url(nonce),
            "typ": _TYPE,
            "v": _VERSION,
        }
    )
    return header + b"\n" + AESGCM(keys.content).encrypt(nonce, data, header)


def decrypt(backup: bytes, file: Path, passphrase: bytes) -> bytes:
    """The plaintext of a backup's bytes; ``file`` is its name in messages.

    Raises:
        BackupFormatError: they are not a backup.
        PassphraseError: the passphrase is wrong.
        BackupDamagedError: the backup was changed.
        VaultError: deriving its key takes more memory than there is.
    """
    header, newline, ciphertext = backup.partition(b"\n")
    try:
        argon2, check, nonce = _parse(header if newline else b"")
    except (InputError, VaultDamagedError) as error:
        raise BackupFormatError(f"{file} is not a backup of a vault: {error}", hint=_HINT) from error
    keys = _Keys.derive(argon2, passphrase)
    if not hmac.compare_digest(keys.check, check):
        raise PassphraseError(f"wrong passphrase for backup {file}", hint="give the one it was made with")
    if len(ciphertext) < _TAG_BYTES:
        raise BackupDamagedError(f"backup {file} is cut short", hint="give another copy of it")
    try:
        return AESGCM(keys.content).decrypt(nonce, ciphertext, header)
    except InvalidTag as error:
        raise BackupDamagedError(
            f"backup {file} was changed or cut short since it was made", hint="give another copy of it"
        ) from error


def _parse(header: bytes) -> tuple[Argon2, bytes, bytes]:
    """Parameters, check value and nonce; InputError or VaultDamagedError."""
    if not 2 <= len(header) <= _MAX_HEADER:
        raise InputError("its first line is not a header")
    value = canonical.loads(header, "its header")
    members = _members(value, {"argon2id", "check", "iv", "typ", "v"})
    if members["typ"] != _TYPE or type(members["v"]) is not int or members["v"] != _VERSION:
        raise InputError(f"it is {members['typ']!r:.40} of version {members['v']!r:.40}")
    costs = _members(members["argon2id"], {*_COSTS, "salt"})
    argon2 = Argon2(_octets(costs["salt"], SALT_BYTES), *(costs[name] for name in _COSTS))
    return argon2, _octets(members["check"], KEY_BYTES), _octets(members["iv"], NONCE_BYTES)


def _members(value: Any, names: set[str]) -> dict[str, Any]:
    if not isinstance(value, dict) or set(value) != names:
        raise InputError("its header has missing or unknown members")
    return value


def _octets(value: Any, length: int) -> bytes:
    data = canonical.unb64url(value, "its header") if isinstance(value, str) else b""
    if len(data) != length:
        raise InputError(f"a value of its header has not {length} bytes")
    return data
