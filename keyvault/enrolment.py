"""Taking sensors and hosts into a vault."""

from __future__ import annotations

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from keyvault import registry
from keyvault.change import Change
from keyvault.device import Device
from keyvault.errors import InputError, OutputError
from keyvault.grant import Kind
from keyvault.hosts import check_strength
from keyvault.identity import check_name, thumbprint
from keyvault.issuing import HostKey, SensorKeys
from keyvault.table_macs import HOSTS, of_sensor


def sensor(change: Change, name: str, device_file: Path) -> Device:
    """Enrol a sensor and write its device file.

    The file is written first.  If an enrolment was interrupted after that, the next one takes
    up the device that it finds there.

    Raises:
        NameTakenError: the vault knows a sensor of that name.
        OutputError: the file belongs to another device, or cannot be written.
    """
    check_name(name, "sensor")
    change.macs.open(of_sensor(name))
    registry.refuse_taken(change.database, Kind.SENSOR, name)
    device = _device(name, device_file, change.secrets.signer.public_key())
    registry.add_sensor(change.database, change.key, SensorKeys(name, device.kek, device.signer.public_key()))
    change.note("enroll", f"sensor {name}", kid=device.kid)
    return device


def host(change: Change, name: str, public: RSAPublicKey) -> HostKey:
    """Enrol a host by its RSA public key.

    Raises:
        NameTakenError: the name, or the same key under another name, is enrolled.
        WeakKeyError: not 3072 to 8192 bits.
    """
    check_name(name, "host")
    check_strength(public)
    change.macs.open(HOSTS)
    enrolled = HostKey(name, public)
    registry.add_host(change.database, change.key, enrolled)
    change.note("enroll", f"host {name}", kid=enrolled.recipient.kid)
    return enrolled


def check_names(names: list[str]) -> None:
    """Raise InputError unless these can be the names of as many new sensors."""
    seen: dict[str, str] = {}
    for name in names:
        check_name(name, "sensor")
        other = seen.get(name.lower())
        if other is not None:
            raise InputError(f"two sensors are named {other} and {name}", hint="names must differ in more than case")
        seen[name.lower()] = name


def _device(name: str, path: Path, issuer: Ed25519PublicKey) -> Device:
    if not path.exists():
        device = Device.create(name, issuer)
        device.save(path)
        return device
    device = Device.load(path)
    if device.sensor != name or thumbprint(device.issuer) != thumbprint(issuer):
        raise OutputError(
            f"{path} is the device file of sensor {device.sensor} of another enrolment",
            hint="choose another name or move the file away",
        )
    return device
