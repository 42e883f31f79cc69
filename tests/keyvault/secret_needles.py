"""Secrets, and how each would look if it had got into a text or a file."""

from __future__ import annotations

import base64
import gc
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from keyvault import epochs, places, registry, vault_records
from keyvault.device import Device
from keyvault.epochs import State
from keyvault.grant import Kind
from keyvault.vault import Vault

SHORTEST = 8  # bytes; anything shorter would be found by chance
PACKAGES = ("keyvault", "adc_firmware", "sensor_sim", "inference")


def looks(secret: bytes) -> set[bytes]:
    """A secret as raw bytes, as Python shows it, hexadecimal, decimal, and base64 of every alignment and alphabet."""
    found = {secret, secret.hex().encode(), secret.hex().upper().encode()}
    found |= {
        repr(secret)[2:-1].encode(),
        str(list(secret))[1:-1].encode(),
        str(int.from_bytes(secret, "big")).encode(),
    }
    for before in range(3):
        first, last = -(-before * 8 // 6), (before + len(secret)) * 8 // 6
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            found.add(encode(bytes(before) + secret)[first:last])
    return found


@dataclass
class Needles:
    """The secrets that are known, by what each is called."""

    named: dict[bytes, str] = field(default_factory=dict)
    _looks: dict[bytes, set[bytes]] = field(default_factory=dict)

    def add(self, name: str, secret: bytes) -> None:
        assert len(secret) >= SHORTEST
        if secret not in self.named:
            self.named[secret] = name
            self._looks[secret] = looks(secret)

    def add_rsa(self, name: str, key: RSAPrivateKey) -> None:
        """The private numbers of a host's key."""
        numbers = key.private_numbers()
        for part in ("p", "q", "d", "dmp1", "dmq1", "iqmp"):
            value = getattr(numbers, part)
            self.add(f"{part} of {name}", value.to_bytes(-(-value.bit_length() // 8), "big"))

    def add_device(self, path: Path) -> None:
        device = Device.load(path)
        self.add(f"key-encryption key of {device.sensor}", device.kek)
        self.add(f"signing key of {device.sensor}", device.signer.private_bytes_raw())

    def add_vault(self, home: Path, passphrase: bytes | None) -> None:
        """Everything secret that a vault holds now."""
        with Vault.open(home) as vault:
            lock = vault_records.read_lock(vault._connection)
            if lock.stored_key is not None:
                self.add("key of the vault", lock.stored_key)
            elif passphrase is not None and lock.derivation is not None:
                self.add("key of the vault", lock.derivation.derive(passphrase))
            key = lock.open(passphrase)
            secrets = vault_records.issuer_secrets(vault._connection, key)
            self.add("root secret", secrets.root)
            self.add("issuer's seed", secrets.signer.private_bytes_raw())
            for sensor in registry.names(vault._connection, Kind.SENSOR):
                keys = registry.get_sensor(vault._connection, key, sensor, active=False)
                self.add(f"key-encryption key of {sensor}", keys.kek)
            for epoch in vault.epochs():
                if epoch.state is not State.DESTROYED:
                    self.add(f"salt of {epoch.words}", epochs.content(vault._connection, key, epoch).seed.salt)
        for path in places.devices_folder(home).glob("*.json"):
            self.add_device(path)

    def found_in(self, data: bytes) -> set[str]:
        """The names of the secrets that data holds in any form."""
        in_lines = data + b"\0" + data.replace(b"\n", b"")  # base64 is often broken into lines
        return {self.named[secret] for secret, forms in self._looks.items() if any(form in in_lines for form in forms)}


def own_objects() -> Iterator[Any]:
    """Every object alive whose class is the project's.

    Not so the handles of python-pkcs11: their classes are made while our code runs and seem to be of our module,
    and showing one whose session has ended kills the process.
    """
    for item in gc.get_objects():
        module = type(item).__module__
        if isinstance(module, str) and module.split(".")[0] in PACKAGES and not _is_handle(type(item)):
            yield item


def _is_handle(kind: type) -> bool:
    return any(str(base.__module__).startswith("pkcs11.") for base in kind.__mro__)


def chain(error: BaseException | None) -> Iterable[BaseException]:
    """An exception and all that it was raised from or during."""
    seen: list[BaseException] = []
    waiting = [error]
    while waiting:
        one = waiting.pop()
        if one is not None and one not in seen:
            seen.append(one)
            waiting += [one.__cause__, one.__context__]
    return seen
