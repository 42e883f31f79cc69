"""A vault with sensors and one host, for tests that need a whole home."""

from __future__ import annotations

from pathlib import Path

from keyvault.hosts import generate_host_key, save_host_key
from keyvault.issuing import Terms
from keyvault.policy import Policy
from keyvault.vault import Vault


def make_home(base: Path, policies: dict[str, Policy]) -> Path:
    """Fill BASE: the vault, host ``lab``, and for each policy a sensor and its key ``NAME.bin``; returns BASE."""
    host = generate_host_key()
    with Vault.create(base, None) as vault:
        vault.enroll_host("lab", host.public_key())
        for name, policy in policies.items():
            vault.enroll_sensor(name, base / "devices" / f"{name}.json")
            (base / f"{name}.bin").write_bytes(vault.issue(name, Terms(("lab",), policy, 0, 2**32)).data)
    save_host_key(host, base / "host.pem", None)
    return base
