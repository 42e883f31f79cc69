"""The command that comes first: make a vault."""

from __future__ import annotations

from pathlib import Path

import click

from keyvault import home_claims, places
from keyvault.cli_options import new_secret, say
from keyvault.identity import thumbprint
from keyvault.unlocking import NewSecret
from keyvault.vault import Vault


@click.command()
@new_secret()
@click.pass_obj
def init(base: Path, new: NewSecret) -> None:
    """Make the vault, and the public key that its sealed keys are verified with.

    An init that was interrupted between the two is completed.
    """
    if places.vault_file(base).exists() and not places.issuer_file(base).exists():
        vault = Vault.open(base)
        vault.restore_issuer_file(base)
    else:
        home_claims.refuse_second(base)
        home_claims.refuse_issuer_of_another(base)
        vault = Vault.create(base, new.secret(f"the vault in {base}"))
    with vault:
        say("vault", vault.path)
        say("issuer", f"{places.issuer_file(base)} (key {thumbprint(vault.issuer)})")
        if not vault.lock.kind:
            click.echo("keyvault: the vault has no passphrase: whoever reads its file has every key", err=True)
