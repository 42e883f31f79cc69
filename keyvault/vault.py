"""The vault: the root secret, who is enrolled, and every epoch and sealed key that was ever made.

A vault is one SQLite file.  Root secret, issuer key, sensors' key-encryption keys, hosts' public keys
and the epochs' salts and terms are records encrypted and authenticated under the vault's key: without
the passphrase a stolen file gives away no key.  The rows around them are plain, and authenticated under
the same passphrase (:mod:`keyvault.table_macs`): an unlocked vault acts on none that was changed, removed
or set back from outside.  A locked one shows them as they are.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from keyvault import (
    audit,
    deliveries,
    enrolment,
    envelope,
    epochs,
    home_claims,
    places,
    registry,
    sealing,
    status_source,
    vault_records,
    withdrawal,
)
from keyvault.change import Change
from keyvault.deliveries import SealedFile
from keyvault.device import Device
from keyvault.epochs import Epoch
from keyvault.errors import PassphraseError, VaultDamagedError
from keyvault.files import remove_leftovers
from keyvault.grant import Kind
from keyvault.identity import thumbprint
from keyvault.issuing import HostKey, Issued, Terms
from keyvault.registry import Enrolled
from keyvault.secret_files import write_secret
from keyvault.table_macs import STATUS, VAULT, TableMacs, of_sensor
from keyvault.vault_key import Lock, Secret, VaultKey
from keyvault.vault_store import connect, explained, transaction, truncate_log


class Vault:
    """An open vault; a context manager that closes it.

    A vault opens locked, which is enough to list it.  What touches keys needs :meth:`unlock` first
    and raises PassphraseError without.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self._connection = connection
        self._key: tuple[Lock, VaultKey] | None = None
        self._hosts = registry.HostKeys()

    @classmethod
    def create(cls, base: Path, secret: Secret) -> Vault:
        """Make a vault under a home, write the home's ``issuer.pub``, and open the vault unlocked.

        Args:
            base: the home (:func:`keyvault.places.home`).
            secret: what will open it (:class:`keyvault.vault_key.Lock`); None: whoever reads the file has the keys.

        Raises:
            VaultExistsError: there is one.
            ExposedFileError: its folder is there and open to others.
            OutputError: ``issuer.pub`` of another vault is there, or nothing can be written.
        """
        home_claims.refuse_second(base)
        home_claims.refuse_issuer_of_another(base)
        write_secret(places.vault_file(base), vault_records.new_vault(secret))
        vault = cls.open(base)
        vault.unlock(secret)
        vault.restore_issuer_file(base)
        return vault

    @classmethod
    def open(cls, base: Path) -> Vault:
        """Open the vault of a home, locked; raises as :func:`keyvault.vault_store.connect` does."""
        path = places.vault_file(base)
        remove_leftovers(path.parent.absolute())
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
    def lock(self) -> Lock:
        """What unlocks it."""
        with explained(self.path):
            return vault_records.read_lock(self._connection)

    @property
    def issuer(self) -> Ed25519PublicKey:
        """The public key that verifies this vault's sealed keys."""
        with explained(self.path):
            return Ed25519PublicKey.from_public_bytes(vault_records.read_issuer(self._connection))

    def unlock(self, secret: Secret) -> None:
        """Make the secrets usable; PassphraseError if passphrase or key file are missing, wrong or not wanted."""
        with explained(self.path):
            lock = vault_records.read_lock(self._connection)
            key = lock.open(secret)
            try:
                signer = vault_records.issuer_secrets(self._connection, key).signer
            except VaultDamagedError as error:
                if secret is None:
                    raise
                raise PassphraseError(f"wrong {lock.opener} for vault {self.path}", hint="give its own") from error
        if thumbprint(signer.public_key()) != thumbprint(self.issuer):
            raise VaultDamagedError(
                f"the issuer's key in {self.path} was changed from outside", hint="restore a backup"
            )
        self._key = lock, key

    @contextmanager
    def change(self) -> Iterator[Change]:
        """A change of the vault: all that happens inside is kept, durably, or nothing is.

        Keys whose time of destruction has come are destroyed first.

        Raises:
            PassphraseError: it is locked or has another passphrase now.
            VaultDamagedError, AuditHeadError: it was changed from outside.
            VaultBusyError: another process holds the vault for too long; VaultError: it cannot be written.
        """
        lock, key = self._unlocked()
        with transaction(self._connection, self.path) as database:
            self._check_lock(database, lock)
            audit.head(database, self.issuer)
            macs = TableMacs(database, key)
            macs.check_whole()
            macs.check(VAULT)
            secrets = vault_records.issuer_secrets(database, key)
            change = Change(database, key, secrets, macs, self._hosts, int(time.time()))
            change.destroyed.extend(withdrawal.destroy_due(change))
            yield change
            macs.renew()
        if change.destroyed:
            truncate_log(self._connection, self.path)

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """The database as of one moment, for reading; VaultError or VaultDamagedError."""
        with explained(self.path):
            self._connection.execute("BEGIN")
            try:
                yield self._connection
            finally:
                self._connection.execute("ROLLBACK")

    def destroy_due(self) -> list[Epoch]:
        """Destroy the keys whose time has come, and what the log still holds of them; which they were.

        Raises:
            VaultBusyError: they are destroyed, but another process keeps the log from being emptied.
        """
        with self.change() as change:
            pass
        truncate_log(self._connection, self.path)
        return change.destroyed

    def change_passphrase(self, secret: Secret) -> None:
        """Encrypt every record under a new passphrase or key file, or None, in one transaction."""
        lock, key = Lock.create(secret)
        with self.change() as change:
            vault_records.relock(change.database, change.key, lock, key, change.macs)
            change.note("passwd", "vault", protected=secret is not None)
        self._key = lock, key
        truncate_log(self._connection, self.path)

    def restore_issuer_file(self, base: Path) -> Path:
        """Write the home's ``issuer.pub``, of which hosts need a copy, if it is not there."""
        return home_claims.write_issuer(base, self.issuer)

    def sensors(self) -> list[Enrolled]:
        """The enrolled sensors, by name."""
        with explained(self.path):
            return registry.list_enrolled(self._connection, Kind.SENSOR)

    def hosts(self) -> list[Enrolled]:
        """The enrolled hosts, by name."""
        with explained(self.path):
            return registry.list_enrolled(self._connection, Kind.HOST)

    def active_sensors(self) -> list[str]:
        """The names of the sensors that are not revoked, in order; all rows are checked if it is unlocked."""
        with self.reading() as database:
            self._check_rows(database)
            return registry.names(database, Kind.SENSOR, registry.ACTIVE)

    def own_name(self, sensor: str) -> str:
        """The name of a sensor as it was enrolled; UnknownNameError."""
        with explained(self.path):
            return registry.own_name(self._connection, Kind.SENSOR, sensor)

    def epochs(self, sensor: str | None = None) -> list[Epoch]:
        """The epochs of a sensor, or of all; UnknownNameError."""
        with explained(self.path):
            return epochs.listed(self._connection, None if sensor is None else self.own_name(sensor))

    def files(self, sensor: str) -> list[dict[str, Any]]:
        """What is known of the sealed keys of a sensor, by serial; UnknownNameError."""
        with explained(self.path):
            return deliveries.listed(self._connection, self.own_name(sensor))

    def sensors_of(self, host: str) -> list[str]:
        """The sensors of which a host was given a key that is not erased; all rows are checked if it is unlocked.

        Raises:
            UnknownNameError: no such host; VaultDamagedError.
        """
        with self.reading() as database:
            self._check_rows(database)
            return deliveries.sensors_of_host(database, registry.own_name(database, Kind.HOST, host))

    def enroll_sensor(self, name: str, device_file: Path) -> Device:
        """Enrol a sensor and write its device file; raises as :func:`keyvault.enrolment.sensor`."""
        with self.change() as change:
            return enrolment.sensor(change, name, device_file)

    def enroll_host(self, name: str, public: RSAPublicKey) -> HostKey:
        """Enrol a host by its RSA public key; raises as :func:`keyvault.enrolment.host`."""
        with self.change() as change:
            return enrolment.host(change, name, public)

    def issue(self, sensor: str, terms: Terms) -> Issued:
        """Make the next epoch of a sensor under new terms, and seal it; raises as :func:`keyvault.sealing.issue`.

        The sealed key is durably in the vault before it is returned: an epoch that was handed out
        is never lost and never handed out again, whatever happens to the file it is written to.
        """
        with self.change() as change:
            return sealing.issue(change, sensor, terms)

    def file(self, sensor: str, epoch: int | None = None, serial: int | None = None) -> SealedFile:
        """The newest sealed key of an epoch, the primary one unless another is named, or the one with a serial.

        Raises:
            UnknownNameError: no such sensor, epoch or file.
            StateError: an epoch in it is disabled, destroyed or to be destroyed.
            VaultDamagedError: the vault is unlocked, and rows of the sensor were changed from outside.
        """
        with self.reading() as database:
            self._check_rows(database, of_sensor(sensor))
            name = registry.own_name(database, Kind.SENSOR, sensor)
            if serial is not None:
                found = deliveries.by_serial(database, name, serial)
            else:
                found = deliveries.of_epoch(database, epochs.usable(epochs.chosen(database, name, epoch)))
            for number in range(found.first, found.last + 1):
                epochs.usable(epochs.get(database, name, number))
        return found

    def issued(self, sensor: str, epoch: int | None = None, serial: int | None = None) -> Issued:
        """A sealed key that was made before, with its claims; raises as :meth:`file`."""
        data = self.file(sensor, epoch, serial).data
        return Issued(envelope.verify(data, self.issuer).grants, data)

    def publish_status(self, valid_for: int) -> bytes:
        """The next status list's file, for which another is due in ``valid_for`` seconds; InputError if too large."""
        with self.change() as change:
            change.macs.check_all()
            change.macs.open(STATUS)
            data = status_source.publish(change.database, change.secrets.signer, change.now, valid_for)
            change.note("status", "vault", valid_for=valid_for)
        return data

    def snapshot(self) -> tuple[sqlite3.Connection, VaultKey]:
        """A copy of the vault in memory, of one moment, and the key of its records; raises as :meth:`change`."""
        lock, key = self._unlocked()
        copy = sqlite3.connect(":memory:", isolation_level=None)
        with explained(self.path):
            self._connection.backup(copy)
            self._check_lock(copy, lock)
        return copy, key

    def _unlocked(self) -> tuple[Lock, VaultKey]:
        if self._key is None:
            raise PassphraseError(f"vault {self.path} is locked", hint="unlock it first")
        return self._key

    def _check_lock(self, database: sqlite3.Connection, lock: Lock) -> None:
        if not vault_records.read_lock(database).is_same(lock):
            raise PassphraseError(f"the passphrase of vault {self.path} was changed just now", hint="try again")

    def _check_rows(self, database: sqlite3.Connection, *units: str) -> None:
        """If the vault is unlocked, check that units, or all, are as it left them; VaultDamagedError."""
        if self._key is None:
            return
        lock, key = self._key
        self._check_lock(database, lock)
        TableMacs(database, key).check_read(*units)
