"""The vault: the root secret, who is enrolled, and every sealed key that was ever issued.

A vault is one SQLite file.  Root secret, issuer key, sensors' key-encryption keys and hosts'
public keys are records encrypted and authenticated under the vault's key: without the passphrase
a stolen file gives away no key, and an altered one admits no host.
"""

from __future__ import annotations

import secrets
import sqlite3
import time
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from keyvault import envelope, places, registry
from keyvault.derivation import KEY_BYTES
from keyvault.device import Device
from keyvault.errors import (
    OutputError,
    PassphraseError,
    UnknownNameError,
    VaultDamagedError,
    VaultExistsError,
)
from keyvault.files import write_whole
from keyvault.grant import Kind
from keyvault.hosts import check_strength, public_pem
from keyvault.identity import check_name, thumbprint
from keyvault.issuing import HostKey, Issued, IssuerSecrets, SensorKeys, Terms, issue_epoch
from keyvault.registry import Enrolled
from keyvault.secret_files import write_secret
from keyvault.vault_key import Argon2, Lock, VaultKey
from keyvault.vault_store import connect, explained, new_database, transaction

_ROOT, _ISSUER = "root", "issuer"


class Vault:
    """An open vault; a context manager that closes it.

    A vault opens locked, which is enough to list it.  What touches keys needs :meth:`unlock` first
    and raises PassphraseError without.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self._connection = connection
        self._key: VaultKey | None = None

    @classmethod
    def create(cls, base: Path, passphrase: bytes | None) -> Vault:
        """Make a vault under a home, write the home's ``issuer.pub``, and open the vault unlocked.

        Args:
            base: the home (:func:`keyvault.places.home`).
            passphrase: None stores the secrets so that whoever reads the file has them.

        Raises:
            VaultExistsError: there is one.
            OutputError: ``issuer.pub`` of another vault is there, or nothing can be written.
        """
        cls.refuse_second(base)
        path = places.vault_file(base)
        write_secret(path, _new_vault(passphrase))
        vault = cls.open(base)
        vault.unlock(passphrase)
        vault.restore_issuer_file(base)
        return vault

    @staticmethod
    def refuse_second(base: Path) -> None:
        """Raise VaultExistsError or OutputError if a home has, or trusts, a vault already."""
        path, issuer_file = places.vault_file(base), places.issuer_file(base)
        if path.exists():
            raise VaultExistsError(f"there is a vault at {path} already", hint="use it, or give another --home")
        if issuer_file.exists():
            raise OutputError(
                f"{issuer_file} exists: this home trusts another vault", hint="give another --home, or move it away"
            )

    @classmethod
    def open(cls, base: Path) -> Vault:
        """Open the vault of a home, locked; raises as :func:`keyvault.vault_store.connect` does."""
        path = places.vault_file(base)
        return cls(path, connect(path))

    def __enter__(self) -> Vault:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file and forget the key."""
        self._key = None
        self._connection.close()

    @property
    def protected(self) -> bool:
        """Whether a passphrase is needed to unlock it."""
        return self._lock().argon2 is not None

    @property
    def issuer(self) -> Ed25519PublicKey:
        """The public key that verifies this vault's sealed keys."""
        (raw,) = self._own_row("issuer")
        if not isinstance(raw, bytes) or len(raw) != KEY_BYTES:
            raise VaultDamagedError(f"{self.path} has no issuer's key", hint="restore a backup")
        return Ed25519PublicKey.from_public_bytes(raw)

    def unlock(self, passphrase: bytes | None) -> None:
        """Make the secrets usable; PassphraseError if the passphrase is missing, wrong or not wanted."""
        key = self._lock().open(passphrase)
        try:
            signer = self._signer(key)
        except VaultDamagedError as error:
            if passphrase is None:
                raise
            raise PassphraseError(f"wrong passphrase for vault {self.path}", hint="give the right one") from error
        if thumbprint(signer.public_key()) != thumbprint(self.issuer):
            raise VaultDamagedError(
                f"the issuer's key in {self.path} was changed from outside", hint="restore a backup"
            )
        self._key = key

    def restore_issuer_file(self, base: Path) -> Path:
        """Write the home's ``issuer.pub``, of which hosts need a copy, if it is not there."""
        path = places.issuer_file(base)
        if not path.exists():
            write_whole(path, public_pem(self.issuer), replace=False)
        return path

    def sensors(self) -> list[Enrolled]:
        """The enrolled sensors, by name."""
        with explained(self.path):
            return registry.list_enrolled(self._connection, Kind.SENSOR)

    def hosts(self) -> list[Enrolled]:
        """The enrolled hosts, by name."""
        with explained(self.path):
            return registry.list_enrolled(self._connection, Kind.HOST)

    def enroll_sensor(self, name: str, device_file: Path) -> Device:
        """Enrol a sensor and write its device file.

        The file is written first.  If an enrolment was interrupted after that, the next one takes
        up the device that it finds there.

        Raises:
            NameTakenError: the vault knows a sensor of that name.
            OutputError: the file belongs to another device, or cannot be written.
        """
        check_name(name, "sensor")
        key = self._unlocked()
        with transaction(self._connection, self.path) as database:
            registry.refuse_taken(database, Kind.SENSOR, name)
            device = self._device(name, device_file)
            registry.add_sensor(database, key, SensorKeys(name, device.kek, device.signer.public_key()))
        return device

    def enroll_host(self, name: str, public: RSAPublicKey) -> HostKey:
        """Enrol a host by its RSA public key.

        Raises:
            NameTakenError: the name, or the same key under another name, is enrolled.
            WeakKeyError: not 3072 to 8192 bits.
        """
        check_name(name, "host")
        check_strength(public)
        host = HostKey(name, public)
        key = self._unlocked()
        with transaction(self._connection, self.path) as database:
            registry.add_host(database, key, host)
        return host

    def issue(self, sensor: str, terms: Terms) -> Issued:
        """Seal the next epoch of a sensor.

        The sealed key is durably in the vault before it is returned: an epoch that was handed out
        is never lost and never handed out again, whatever happens to the file it is written to.

        Raises:
            UnknownNameError: the sensor or a host is not enrolled.
            InputError: the terms contradict themselves (no host, a host twice, an end before the beginning).
        """
        key = self._unlocked()
        with transaction(self._connection, self.path) as database:
            own = IssuerSecrets(self._secret(_ROOT, key), self._signer(key))
            keys = registry.get_sensor(database, key, sensor)
            hosts = [registry.get_host(database, key, host) for host in terms.hosts]
            issued = issue_epoch(own, keys, hosts, self._next_epoch(keys.name), terms)
            grant = issued.grant
            database.execute(
                "INSERT INTO grants (sensor, epoch, key_id, issued, sealed) VALUES (?, ?, ?, ?, ?)",
                (grant.sensor, grant.epoch, grant.key_id, int(time.time()), issued.data),
            )
        return issued

    def issued(self, sensor: str, epoch: int | None = None) -> Issued:
        """A sealed key that was issued before; the last one if no epoch is given.

        Raises:
            UnknownNameError: no such sensor, or no such epoch of it.
        """
        sensors = self.sensors()
        known = next((entry for entry in sensors if entry.name.lower() == sensor.lower()), None)
        if known is None:
            raise registry.unknown(Kind.SENSOR, sensor, sensors)
        query = "SELECT sealed FROM grants WHERE sensor = ? AND epoch = ?"
        with explained(self.path):
            row = self._connection.execute(query, (sensor, known.epoch if epoch is None else epoch)).fetchone()
        if row is None:
            raise UnknownNameError(
                f"sensor {known.name} has had {known.epoch or 'no'} epochs; {epoch or 'one'} is asked for",
                hint="issue one with keyvault issue",
            )
        return Issued(envelope.verify(row[0], self.issuer).grant, row[0])

    def _next_epoch(self, sensor: str) -> int:
        query = "SELECT coalesce(max(epoch), 0) + 1 FROM grants WHERE sensor = ?"
        (epoch,) = self._connection.execute(query, (sensor,)).fetchone()
        return int(epoch)

    def _device(self, name: str, path: Path) -> Device:
        if not path.exists():
            device = Device.create(name, self.issuer)
            device.save(path)
            return device
        device = Device.load(path)
        if device.sensor != name or thumbprint(device.issuer) != thumbprint(self.issuer):
            raise OutputError(
                f"{path} is the device file of sensor {device.sensor} of another enrolment",
                hint="choose another name or move the file away",
            )
        return device

    def _lock(self) -> Lock:
        stored_key, *costs = self._own_row("stored_key, salt, iterations, memory_kib, lanes")
        return Lock(Argon2(*costs) if stored_key is None else None, stored_key)

    def _own_row(self, columns: str) -> tuple[Any, ...]:
        """The one row of the table that describes the vault itself."""
        with explained(self.path):
            row: tuple[Any, ...] | None = self._connection.execute(f"SELECT {columns} FROM vault").fetchone()  # noqa: S608
        if row is None:
            raise VaultDamagedError(f"{self.path} does not say which vault it is", hint="restore a backup")
        return row

    def _unlocked(self) -> VaultKey:
        if self._key is None:
            raise PassphraseError(f"vault {self.path} is locked", hint="unlock it first")
        return self._key

    def _signer(self, key: VaultKey) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(self._secret(_ISSUER, key))

    def _secret(self, label: str, key: VaultKey) -> bytes:
        with explained(self.path):
            row = self._connection.execute("SELECT record FROM secrets WHERE label = ?", (label,)).fetchone()
        return key.decrypt(label, row[0] if row else b"")


def _new_vault(passphrase: bytes | None) -> bytes:
    lock, key = Lock.create(passphrase)
    issuer = Ed25519PrivateKey.generate()
    argon2 = lock.argon2
    costs = (argon2.salt, argon2.iterations, argon2.memory_kib, argon2.lanes) if argon2 else (None, None, None, None)
    database = new_database()
    database.execute(
        "INSERT INTO vault (id, created, issuer, stored_key, salt, iterations, memory_kib, lanes) "
        "VALUES (1, ?, ?, ?, ?, ?, ?, ?)",
        (int(time.time()), issuer.public_key().public_bytes_raw(), lock.stored_key, *costs),
    )
    for label, secret in ((_ROOT, secrets.token_bytes(KEY_BYTES)), (_ISSUER, issuer.private_bytes_raw())):
        database.execute("INSERT INTO secrets VALUES (?, ?)", (label, key.encrypt(label, secret)))
    data = database.serialize()
    database.close()
    return data
