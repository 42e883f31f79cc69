"""The command ``keyvault``; its subcommands are in ``cli_*.py`` and are imported when they are used."""

from __future__ import annotations

from pathlib import Path

import click

from keyvault import places
from keyvault.console import LazyGroup
from keyvault.hygiene import harden_process

_COMMANDS = {
    "audit": "keyvault.cli_audit:audit_log",
    "backup": "keyvault.cli_backup:backup",
    "destroy": "keyvault.cli_epochs:destroy",
    "disable": "keyvault.cli_epochs:disable",
    "doctor": "keyvault.cli_doctor:doctor",
    "enroll": "keyvault.cli_enroll:enroll",
    "export": "keyvault.cli_grants:export",
    "grant": "keyvault.cli_grants:grant",
    "host-key": "keyvault.cli_host_key:host_key",
    "init": "keyvault.cli_setup:init",
    "inspect": "keyvault.cli_inspect:inspect",
    "issue": "keyvault.cli_grants:issue",
    "list": "keyvault.cli_enroll:list_enrolled",
    "passwd": "keyvault.cli_backup:passwd",
    "promote": "keyvault.cli_grants:promote",
    "recover": "keyvault.cli_backup:recover",
    "restore": "keyvault.cli_epochs:restore",
    "retire": "keyvault.cli_epochs:retire",
    "revoke": "keyvault.cli_enroll:revoke",
    "rewrap": "keyvault.cli_grants:rewrap",
    "rotate": "keyvault.cli_grants:rotate",
    "status": "keyvault.cli_status:status",
}


@click.group(cls=LazyGroup, name="keyvault", places=_COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="privcam")
@click.option(
    "--home",
    type=click.Path(path_type=Path, file_okay=False),
    help=f"Folder of vault, devices and keys.  [default: ${places.HOME_VARIABLE}, or the user's data folder]",
)
@click.pass_context
def keyvault(context: click.Context, home: Path | None) -> None:
    """Keys of the private camera: who may make frames, and who may open them."""
    context.obj = home or places.home()


def main() -> None:
    """Entry point of the console script."""
    harden_process()
    keyvault(prog_name="keyvault")
