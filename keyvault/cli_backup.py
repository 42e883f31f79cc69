"""The commands for the vault as a whole: backup, recover and passwd."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from keyvault import backup as backups
from keyvault import home_claims, hosts, passphrase, places
from keyvault.cli_options import existing_secret, file_option, kdf_option, new_secret, open_vault, say
from keyvault.cli_outputs import check_output, force_option
from keyvault.files import PRIVATE_FILE, write_whole
from keyvault.identity import thumbprint
from keyvault.unlocking import NewSecret, Unlock

_BACKUP_FLAG = "--backup-passphrase-file FILE"
_NEW_FLAGS = "--new-passphrase-file FILE, or --no-passphrase to go without, or --new-key-file FILE"
_backup_passphrase = click.option(
    "--backup-passphrase-file",
    metavar="FILE",
    help="File with the backup's own passphrase; - reads standard input.  [default: ask]",
)


@click.command()
@file_option("-o", "--output", required=True, help="Backup to write.")
@force_option
@_backup_passphrase
@existing_secret
@click.pass_obj
def backup(base: Path, output: Path, force: bool, backup_passphrase_file: str | None, unlock: Unlock) -> None:
    """Write the whole vault into one file under a passphrase of its own.

    Whoever has file and passphrase has every key; the vault's passphrase is not needed to recover it.
    """
    check_output(output, force)
    with open_vault(base, unlock) as vault:
        chosen = passphrase.new(backup_passphrase_file, False, f"backup {output}", _BACKUP_FLAG)
        data = backups.make(vault, chosen or b"")
    write_whole(output, data, mode=PRIVATE_FILE, replace=force)
    say("backup", output)
    say("bytes", len(data))


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@_backup_passphrase
@new_secret()
@click.pass_obj
def recover(base: Path, file: Path, backup_passphrase_file: str | None, new: NewSecret) -> None:
    """Make the vault of an empty home from a backup, under a new passphrase.

    The next epoch and serial of every sensor are 1000 higher, since numbers that were used after the
    backup are not known.
    """
    home_claims.refuse_second(base)
    opens = passphrase.existing(backup_passphrase_file, f"backup {file}", _BACKUP_FLAG)
    chosen = new.secret(f"the vault in {base}")
    with backups.recover(base, file, opens, chosen) as vault:
        say("vault", vault.path)
        say("issuer", f"{places.issuer_file(base)} (key {thumbprint(vault.issuer)})")
        say("sensors", len(vault.sensors()))
        say("numbers", f"the next epoch and serial of each sensor are {backups.LOST} higher")
        say("next", "keyvault rotate --all -o FOLDER, and keyvault status publish")


@click.command()
@click.option(
    "--new-passphrase-file",
    metavar="FILE",
    help="File with the new passphrase; - reads standard input.  [default: ask]",
)
@file_option("--new-key-file", help="Key file in place of a passphrase; made where there is none.")
@click.option("--no-passphrase", is_flag=True, help="Store the secrets unencrypted from now on.")
@kdf_option
@file_option("--host-key", help="A host's private key in PEM, in place of the vault.")
@existing_secret
@click.pass_obj
def passwd(base: Path, /, unlock: Unlock, **options: Any) -> None:
    """Change what opens the vault: a passphrase or a key file.

    Every record is encrypted anew, in one transaction.  With --host-key the same for a host's private key; its
    passphrase is always stretched by scrypt, which is what the file format has.  Backups keep their own.
    """
    names = ("new_passphrase_file", "new_key_file", "no_passphrase", "kdf")
    new = NewSecret(*(options[name] for name in names))
    if options["host_key"] is not None:
        _change_host_key(options["host_key"], unlock, new)
        return
    with open_vault(base, unlock) as vault:
        vault.change_passphrase(new.secret(f"vault {vault.path}", _NEW_FLAGS))
        say("vault", vault.path)
        say("opens with", vault.lock.kind or "nothing: whoever reads the file has every key")


def _change_host_key(path: Path, unlock: Unlock, new: NewSecret) -> None:
    key = unlock.host_key(path)
    secret = new.for_pem(str(path), _NEW_FLAGS)
    write_whole(path, hosts.private_pem(key, secret), mode=PRIVATE_FILE)
    say("private", path)
    opener = (
        "a key file"
        if new.key_file
        else "a passphrase (scrypt)"
        if secret
        else "nothing: whoever reads it is this host"
    )
    say("opens with", opener)
