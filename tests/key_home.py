"""A vault with one sensor and one host, for tests that need a whole home."""

from __future__ import annotations

from pathlib import Path

from keyvault.hosts import generate_host_key, save_host_key
from keyvault.issuing import Terms
from keyvault.policy import Policy
from keyvault.vault import Vault


def make_home(base: Path, policies: dict[str, Policy]) -> Path:
    """Fill BASE: the vault, sensor ``cam``, host ``lab``, and ``NAME.bin`` for each policy; returns BASE."""
    host = generate_host_key()
    with Vault.create(base, None) as vault:
        vault.enroll_sensor("cam", base / "devices" / "cam.json")
        vault.enroll_host("lab", host.public_key())
        for name, policy in policies.items():
            (base / f"{name}.bin").write_bytes(vault.issue("cam", Terms(("lab",), policy, 0, 2**32)).data)
    save_host_key(host, base / "host.pem", None)
    return base
