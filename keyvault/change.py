"""One change of an unlocked vault: a transaction, and the secrets that it needs."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from keyvault import audit, deliveries, registry
from keyvault.deliveries import SealedFile
from keyvault.epochs import Content, Epoch
from keyvault.grant import Kind
from keyvault.issuing import Delivery, HostKey, Issued, IssuerSecrets, SensorKeys, Terms, seal_delivery
from keyvault.table_macs import HOSTS, TableMacs, of_sensor
from keyvault.vault_key import VaultKey


@dataclass(frozen=True, slots=True, repr=False)
class Change:
    """What an operation on the vault works with; all that it does is kept together, or nothing is.

    Attributes:
        database: within a transaction.
        key: encrypts the vault's records.
        secrets: root secret and issuer's key.
        macs: check and code the rows that it reads and changes.
        hosts: the hosts' keys that were parsed before.
        now: Unix time of the change.
        destroyed: the epochs whose key was destroyed at its beginning, since their time had come.
    """

    database: sqlite3.Connection
    key: VaultKey
    secrets: IssuerSecrets
    macs: TableMacs
    hosts: registry.HostKeys
    now: int
    destroyed: list[Epoch] = field(default_factory=list)

    @contextmanager
    def part(self) -> Iterator[None]:
        """What happens inside is undone if it raises, and the rest of the change goes on."""
        self.database.execute("SAVEPOINT part")
        try:
            yield
        except BaseException:
            if self.database.in_transaction:
                self.database.execute("ROLLBACK TO part")
            raise
        finally:
            if self.database.in_transaction:
                self.database.execute("RELEASE part")

    def note(self, operation: str, subject: str, **detail: Any) -> None:
        """Record in the audit log what was done to whom; raises as :func:`keyvault.audit.record`."""
        audit.record(self.database, self.secrets.signer, operation, subject, detail, self.now)

    def own_name(self, kind: Kind, name: str) -> str:
        """The name of a sensor or host as it was enrolled, whose rows may change; UnknownNameError."""
        self.macs.open(of_sensor(name) if kind is Kind.SENSOR else HOSTS)
        return registry.own_name(self.database, kind, name)

    def sensor(self, name: str, *, active: bool = True) -> SensorKeys:
        """The keys of a sensor, whose rows may change; raises as :func:`keyvault.registry.get_sensor`."""
        self.macs.open(of_sensor(name))
        return registry.get_sensor(self.database, self.key, name, active=active)

    def host(self, name: str) -> HostKey:
        """The key of an active host; raises as :meth:`keyvault.registry.HostKeys.get`."""
        self.macs.check(HOSTS)
        return self.hosts.get(self.database, self.key, name)

    def active_hosts(self) -> set[str]:
        """The names of the hosts that are not revoked."""
        self.macs.check(HOSTS)
        return set(registry.names(self.database, Kind.HOST, registry.ACTIVE))

    def seal(self, sensor: SensorKeys, delivery: Delivery, terms: Terms) -> Issued:
        """Seal a delivery for hosts that are all active; it is not kept yet."""
        return seal_delivery(self.secrets, sensor, [self.host(name) for name in terms.hosts], delivery, terms)

    def keep(self, issued: Issued) -> SealedFile:
        """Keep a sealed key whose epochs are kept."""
        return deliveries.add(self.database, issued, self.now)

    def seal_epoch(self, sensor: SensorKeys, content: Content, *, for_sensor: bool) -> SealedFile:
        """Seal an epoch that the vault has, once more and with the next serial."""
        numbers = registry.take_numbers(self.database, sensor.name, epoch=False)
        delivery = Delivery((content.seed,), numbers.serial, numbers.min_epoch, for_sensor)
        return self.keep(self.seal(sensor, delivery, content.terms))
