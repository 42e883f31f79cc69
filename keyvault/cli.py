"""The command ``keyvault``: make a vault, enrol sensors and hosts, issue and inspect sealed keys."""

from __future__ import annotations

from pathlib import Path

import click

from keyvault import hosts, passphrase, places
from keyvault.cli_grants import export, inspect, issue, rotate
from keyvault.cli_options import existing_passphrase, file_option, new_passphrase, open_vault, say
from keyvault.console import Group
from keyvault.errors import OutputError
from keyvault.files import write_whole
from keyvault.identity import thumbprint
from keyvault.registry import Enrolled
from keyvault.vault import Vault


@click.group(cls=Group, name="keyvault", context_settings={"help_option_names": ["-h", "--help"]})
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


@keyvault.command()
@new_passphrase
@click.pass_obj
def init(base: Path, passphrase_file: str | None, no_passphrase: bool) -> None:
    """Make the vault, and the public key that its sealed keys are verified with.

    An init that was interrupted between the two is completed.
    """
    if places.vault_file(base).exists() and not places.issuer_file(base).exists():
        vault = Vault.open(base)
        vault.restore_issuer_file(base)
    else:
        Vault.refuse_second(base)
        vault = Vault.create(base, passphrase.new(passphrase_file, no_passphrase, f"the vault in {base}"))
    with vault:
        say("vault", vault.path)
        say("issuer", f"{places.issuer_file(base)} (key {thumbprint(vault.issuer)})")
        if not vault.protected:
            click.echo("keyvault: the vault has no passphrase: whoever reads its file has every key", err=True)


@keyvault.group(cls=Group)
def enroll() -> None:
    """Enrol a sensor or a host."""


@enroll.command()
@click.argument("name")
@file_option("--device", help="Where to write the device file.  [default: devices/NAME.json in the home]")
@existing_passphrase
@click.pass_obj
def sensor(base: Path, name: str, device: Path | None, passphrase_file: str | None) -> None:
    """Enrol a sensor: make its device key and its signing key, and write them to its device file."""
    path = device or places.device_file(name, base)
    with open_vault(base, passphrase_file) as vault:
        enrolled = vault.enroll_sensor(name, path)
    say("sensor", f"{name} (key {enrolled.kid})")
    say("device", path)


@enroll.command()
@click.argument("name")
@file_option("--public", required=True, help="The host's RSA public key in PEM: the host.pub that host-key wrote.")
@existing_passphrase
@click.pass_obj
def host(base: Path, name: str, public: Path, passphrase_file: str | None) -> None:
    """Enrol a host by its public key."""
    key = hosts.load_host_public(public)
    with open_vault(base, passphrase_file) as vault:
        enrolled = vault.enroll_host(name, key)
    say("host", f"{enrolled.name} (key {enrolled.recipient.kid})")


@keyvault.command("host-key")
@file_option("-o", "--output", help="Private key; the public one goes beside it.  [default: host.pem in the home]")
@click.option("--bits", type=int, default=hosts.MIN_RSA_BITS, show_default=True, help="Size of the RSA key.")
@new_passphrase
@click.pass_obj
def host_key(base: Path, output: Path | None, bits: int, passphrase_file: str | None, no_passphrase: bool) -> None:
    """Make this host's RSA key pair."""
    private = output or places.host_key_file(base)
    public = places.public_half(private)
    for path in (private, public):
        if path.exists() or path == places.issuer_file(base):
            raise OutputError(f"{path} exists", hint="choose another name with -o")
    if private == public:
        raise OutputError(
            f"{private} is where the public key goes", hint="name the private key with -o, such as host.pem"
        )
    hosts.check_bits(bits)
    chosen = passphrase.new(passphrase_file, no_passphrase, str(private))
    key = hosts.generate_host_key(bits)
    hosts.save_host_key(key, private, chosen)
    write_whole(public, hosts.public_pem(key.public_key()), replace=False)
    say("private", private)
    say("public", f"{public} (key {thumbprint(key.public_key())})")
    if chosen is None:
        click.echo(f"keyvault: {private} has no passphrase: whoever reads it is this host", err=True)


@keyvault.command("list")
@click.pass_obj
def list_enrolled(base: Path) -> None:
    """List sensors with their last epoch, and hosts."""
    with Vault.open(base) as vault:
        for entry in vault.sensors():
            _line("sensor", entry, f"epoch {entry.epoch}" if entry.epoch else "no epoch yet")
        for entry in vault.hosts():
            _line("host", entry, "")


def _line(kind: str, entry: Enrolled, note: str) -> None:
    say(kind, f"{entry.name:<16}  key {entry.kid}  {note}".rstrip())


for _command in (issue, rotate, export, inspect):
    keyvault.add_command(_command)


def main() -> None:
    """Entry point of the console script."""
    keyvault(prog_name="keyvault")
