"""A vault, a sensor and a host of an attack's own, whose epoch key the attack may look at."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from keyvault.envelope import read_sealed
from keyvault.grant import OpenGrant
from keyvault.hosts import generate_host_key
from keyvault.issuing import Terms
from keyvault.policy import Policy
from keyvault.vault import Vault

SENSOR, HOST = "cam", "lab"
_FOR_GOOD = (0, 2**32)  # seconds since 1970


@dataclass(frozen=True)
class OwnHome:
    """A sensor with its first sealed key.

    Attributes:
        vault: open; it can issue further epochs.
        key, device: the sealed key's file and the sensor's.
        host: the private key of the host it is sealed for.
        terms: of the sealed key.
    """

    vault: Vault
    key: Path
    device: Path
    host: RSAPrivateKey
    terms: Terms

    def opened(self) -> OpenGrant:
        """The grant with its epoch key, as the host has it after unsealing."""
        return read_sealed(self.key, self.vault.issuer).open_as_host(self.host)[0]


@contextmanager
def own_home(policy: Policy) -> Iterator[OwnHome]:
    """Make a home in a temporary folder, which is gone afterwards."""
    host = generate_host_key()
    terms = Terms((HOST,), policy, *_FOR_GOOD)
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        key, device = base / "1.bin", base / "devices" / "cam.json"
        with Vault.create(base, None) as vault:
            vault.enroll_sensor(SENSOR, device)
            vault.enroll_host(HOST, host.public_key())
            key.write_bytes(vault.issue(SENSOR, terms).data)
            yield OwnHome(vault, key, device, host, terms)
