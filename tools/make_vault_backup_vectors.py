"""Write the vectors of docs/spec/vault_backup.md to tests/vectors/vault_backup/.

``vault.bin`` is the backup of a small vault; it is kept where it exists, since a vault is random.
Everything else follows from it and is the same at every run.  Deriving costs next to nothing.
"""

from __future__ import annotations

import json
import sqlite3
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from keyvault import backup, canonical
from keyvault.vault import Vault
from keyvault.vault_key import Argon2
from sealed_key_bench import FOLDER as SEALED_KEY_FOLDER
from sealed_key_bench import HOSTS, SENSOR, host_key, write_files

FOLDER = SEALED_KEY_FOLDER.parent / "vault_backup"
PASSPHRASE = "a passphrase of test vectors"  # noqa: S105
COSTS = {"iterations": 1, "lanes": 1, "memory_kib": 64}
FORMAT, DAMAGED = "BackupFormatError", "BackupDamagedError"
Members = dict[str, Any]


@dataclass(frozen=True)
class Case:
    """A backup, the passphrase that is tried, and the error that must result."""

    name: str
    what: str
    error: str
    backup: bytes
    passphrase: str = PASSPHRASE

    def to_json(self) -> Members:
        """The members of the vector's file."""
        text = self.backup.hex()
        return {"what": self.what, "error": self.error, "passphrase": self.passphrase, "backup": text}


def write(plaintext: bytes, **changes: Any) -> bytes:
    """A backup from the specification alone, with other members in its header if given."""
    argon2 = Argon2(bytes(range(16)), COSTS["iterations"], COSTS["memory_kib"], COSTS["lanes"])
    secret = argon2.derive(PASSPHRASE.encode())
    key, check = (HKDFExpand(SHA256(), 32, b"privcam backup 1: " + use).derive(secret) for use in (b"key", b"check"))
    iv = bytes(range(12))
    header: Members = {
        "argon2id": COSTS | {"salt": canonical.b64url(argon2.salt)},
        "check": canonical.b64url(check),
        "iv": canonical.b64url(iv),
        "typ": "privcam-vault-backup",
        "v": 1,
    }
    text = canonical.dumps(header | changes)
    return text + b"\n" + AESGCM(key).encrypt(iv, plaintext, text)


def cases() -> Iterator[Case]:
    """Every refusal; the plaintext of those that end before it is five bytes."""
    good = write(b"small")
    yield Case("wrong-passphrase", "another passphrase", "PassphraseError", good, "another passphrase")
    yield from _headers(good)
    yield from _bodies(good)
    plaintext = b"not a database"
    yield Case("no-database", "the plaintext is no database", "VaultDamagedError", write(plaintext))
    yield Case("empty-database", "the plaintext is an empty database", "VaultDamagedError", write(_database(0, 0)))
    newer = _database(0x70766C74, 1_000_000)
    yield Case("newer-schema", "a vault of schema 1,000,000", "VaultSchemaError", write(newer))


def _headers(good: bytes) -> Iterator[Case]:
    header, _, rest = good.partition(b"\n")
    members = json.loads(header)
    costs = members["argon2id"]
    for name, what, changes in (
        ("version-2", "version 2", {"v": 2}),
        ("version-true", "a version that is true", {"v": True}),
        ("other-type", "typ JWT", {"typ": "JWT"}),
        ("unknown-member", "a member more than there are", {"note": ""}),
        ("iterations-zero", "no iteration", {"argon2id": costs | {"iterations": 0}}),
        ("oversized-memory", "more than 4 GiB", {"argon2id": costs | {"memory_kib": 2**22 + 1}}),
        ("oversized-iterations", "65 iterations", {"argon2id": costs | {"iterations": 65}}),
        ("oversized-lanes", "65 lanes", {"argon2id": costs | {"lanes": 65}}),
        ("memory-below-lanes", "7 KiB for a lane", {"argon2id": costs | {"memory_kib": 7}}),
        ("algorithm", "scrypt instead of argon2id", {"scrypt": costs}),
        ("short-salt", "a salt of 15 bytes", {"argon2id": costs | {"salt": "A" * 20}}),
        ("long-iv", "a nonce of 16 bytes", {"iv": canonical.b64url(bytes(16))}),
        ("padded", "base64 padding", {"check": members["check"] + "="}),
        ("trailing-bits", "non-zero trailing bits", {"argon2id": costs | {"salt": costs["salt"][:-1] + "x"}}),
    ):
        yield Case(name, what, FORMAT, canonical.dumps(members | changes) + b"\n" + rest)
    for name, what, text in (
        ("duplicate-member", "v occurs twice", header.replace(b'"v":1', b'"v":1,"v":1')),
        ("white-space", "a space in the header", header.replace(b'"v":1', b'"v": 1')),
        ("oversized-header", "a header of more than 1024 bytes", header[:-1] + b" " * 1024 + b"}"),
        ("no-header", "an empty first line", b""),
    ):
        yield Case(name, what, FORMAT, text + b"\n" + rest)
    yield Case("header-alone", "the line end is missing", FORMAT, header)
    wrong = canonical.dumps(members | {"check": canonical.b64url(bytes(32))})
    yield Case("altered-check", "another check", "PassphraseError", wrong + b"\n" + rest)


def _bodies(good: bytes) -> Iterator[Case]:
    header, _, rest = good.partition(b"\n")
    other = canonical.dumps(json.loads(header) | {"iv": canonical.b64url(bytes(12))})
    for name, what, data in (
        ("altered-iv", "another nonce", other + b"\n" + rest),
        ("altered-ciphertext", "one bit changed", header + b"\n" + bytes((rest[0] ^ 1,)) + rest[1:]),
        ("altered-tag", "one bit of the tag changed", good[:-1] + bytes((good[-1] ^ 1,))),
        ("truncated", "the last byte is missing", good[:-1]),
        ("cut-tag", "15 bytes after the header", header + b"\n" + rest[:15]),
        ("trailing-bytes", "a byte more", good + b"\0"),
        ("trailing-newline", "a line end more", good + b"\n"),
    ):
        yield Case(name, what, DAMAGED, data)


def _database(application: int, schema: int) -> bytes:
    database = sqlite3.connect(":memory:", isolation_level=None)
    for pragma in ("page_size = 512", f"application_id = {application}", f"user_version = {schema}"):
        database.execute(f"PRAGMA {pragma}")
    if not application:
        database.execute("CREATE TABLE other (member)")
    data = bytearray(database.serialize())
    database.close()
    data[92:100] = bytes(8)  # which release of SQLite wrote it
    return bytes(data)


def make_vault() -> tuple[bytes, bytes]:
    """The backup of a vault that has the sensor and hosts of the sealed-key vectors, and the issuer's raw key."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        with Vault.create(home, None) as vault:
            vault.enroll_sensor(SENSOR, Path(folder) / "device.json")
            for name in HOSTS:
                vault.enroll_host(name, host_key(name).public_key())
            cheap = Argon2(bytes(range(16)), COSTS["iterations"], COSTS["memory_kib"], COSTS["lanes"])
            with patch.object(backup, "Argon2", lambda _: cheap):
                data = backup.make(vault, PASSPHRASE.encode())
            return data, vault.issuer.public_bytes_raw()


def files() -> dict[str, str]:
    """Every refusal by the name of its file."""
    return {f"refused/{case.name}.json": json.dumps(case.to_json(), indent=2) + "\n" for case in cases()}


def main() -> None:
    """Write every vector."""
    write_files(FOLDER, "refused", files())
    if not (FOLDER / "vault.bin").exists():
        data, issuer = make_vault()
        (FOLDER / "vault.bin").write_bytes(data)
        expected = {"passphrase": PASSPHRASE, "issuer": issuer.hex(), "sensors": [SENSOR], "hosts": list(HOSTS)}
        (FOLDER / "vault.json").write_text(json.dumps(expected, indent=2) + "\n")


if __name__ == "__main__":
    main()
