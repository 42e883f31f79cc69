"""Which vault a home belongs to: the one in it, and the one whose ``issuer.pub`` it trusts."""

from __future__ import annotations

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from keyvault import places
from keyvault.errors import OutputError, VaultDamagedError, VaultExistsError
from keyvault.files import write_whole
from keyvault.hosts import load_issuer, public_pem
from keyvault.identity import thumbprint
from keyvault.secret_files import check_private_folder, make_private_folders


def refuse_second(base: Path) -> None:
    """Raise VaultExistsError if a home has a vault already, ExposedFileError if others can use its folder for one."""
    path = places.vault_file(base)
    if path.parent.exists():
        check_private_folder(path.parent, "vault")
    if path.exists():
        raise VaultExistsError(f"there is a vault at {path} already", hint="use it, or give another --home")


def refuse_issuer_of_another(base: Path, issuer: Ed25519PublicKey | None = None) -> None:
    """Raise OutputError if a home has an ``issuer.pub``, unless it is that of this issuer."""
    path = places.issuer_file(base)
    if path.exists() and (issuer is None or thumbprint(load_issuer(path)) != thumbprint(issuer)):
        raise OutputError(f"{path} exists: this home trusts another vault", hint="give another --home, or move it away")


def check_issuer(base: Path, issuer: Ed25519PublicKey) -> bool:
    """Hold the key that a vault's file names against the home's ``issuer.pub``; False if there is none.

    Raises:
        VaultDamagedError: they differ, so one of them was replaced.
    """
    path = places.issuer_file(base)
    if not path.exists():
        return False
    trusted = thumbprint(load_issuer(path))
    if trusted != thumbprint(issuer):
        raise VaultDamagedError(
            f"the vault's file names the issuer key {thumbprint(issuer)}, and {path} holds key {trusted}",
            hint="restore a backup, or the right issuer.pub, of which every host has a copy",
        )
    return True


def write_issuer(base: Path, issuer: Ed25519PublicKey) -> Path:
    """Write a home's ``issuer.pub``, of which hosts need a copy, if it is not there."""
    path = places.issuer_file(base)
    if not path.exists():
        make_private_folders(base)
        write_whole(path, public_pem(issuer), replace=False)
    return path
