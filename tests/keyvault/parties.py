"""The vault, sensor and hosts of the test vectors, as the keyvault's tests use them."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from keyvault import places
from keyvault.device import Device
from keyvault.hosts import generate_host_key
from keyvault.issuing import Delivery, EpochSeed, HostKey, Issued, IssuerSecrets, SensorKeys, Terms, seal_delivery
from keyvault.policy import Policy
from keyvault.vault import Vault

VECTORS = Path(__file__).resolve().parent.parent / "vectors" / "sealed_key"
NOW = 1_800_000_000
SALT = b"e" * 32
ISSUER = Ed25519PrivateKey.from_private_bytes(b"i" * 32)
DEVICE = Device("cam", b"k" * 32, Ed25519PrivateKey.from_private_bytes(b"s" * 32), ISSUER.public_key())
TERMS = Terms(("lab", "mobile"), Policy(64, 48), NOW - 10, NOW + 10)


@cache
def host_key(name: str) -> RSAPrivateKey:
    """The private key of host ``lab`` or ``mobile``."""
    key = load_pem_private_key((VECTORS / f"{name}.pem").read_bytes(), None)
    assert isinstance(key, RSAPrivateKey)
    return key


@cache
def stranger() -> RSAPrivateKey:
    """The key of a host that nobody enrolled."""
    return generate_host_key()


def issued(terms: Terms = TERMS, delivery: Delivery | None = None, **changes: object) -> Issued:
    """A sealed key of ISSUER for DEVICE and the hosts of the terms: epoch 1 unless a delivery says otherwise."""
    sensor = SensorKeys("cam", DEVICE.kek, DEVICE.signer.public_key())
    hosts = [HostKey(name, host_key(name).public_key()) for name in terms.hosts]
    delivery = delivery or Delivery((EpochSeed(1, SALT),), serial=1)
    return seal_delivery(IssuerSecrets(b"r" * 32, ISSUER), sensor, hosts, delivery, replace(terms, **changes))


def small_vault(home: Path) -> Vault:
    """A new unlocked vault without passphrase, with sensor ``cam`` and the hosts of TERMS."""
    vault = Vault.create(home, None)
    vault.enroll_sensor("cam", places.device_file("cam", home))
    for name in TERMS.hosts:
        vault.enroll_host(name, host_key(name).public_key())
    return vault
