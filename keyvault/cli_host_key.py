"""The command that makes a host's key pair: in a file, or in a PKCS#11 token."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from keyvault import hosts, identities, places, token_uri
from keyvault.cli_options import file_option, new_secret, pin_option, say
from keyvault.errors import OutputError
from keyvault.files import write_whole
from keyvault.identity import thumbprint
from keyvault.secret_files import make_private_folders
from keyvault.unlocking import NewSecret


@click.command("host-key")
@file_option(
    "-o",
    "--output",
    help="Private key; the public one goes beside it, and is all there is with --token.  "
    "[default: host.pem in the home]",
)
@click.option("--bits", type=int, default=hosts.MIN_RSA_BITS, show_default=True, help="Size of the RSA key.")
@click.option("--token", metavar="URI", help="PKCS#11 URI of the key, which is to be in a token and never leaves it.")
@pin_option
@new_secret(kdf=False)
@click.pass_obj
def host_key(base: Path, /, **options: Any) -> None:
    """Make this host's RSA key pair."""
    if options["token"] is not None:
        _in_token(base, options)
        return
    if options["pin_file"] is not None:
        raise click.UsageError("--pin-file is for --token")
    _in_file(base, options)


def _in_file(base: Path, options: dict[str, Any]) -> None:
    private: Path = options["output"] or places.host_key_file(base)
    public = places.public_half(private)
    for path in (private, public):
        _refuse_taken(path, base)
    if private == public:
        raise OutputError(
            f"{private} is where the public key goes", hint="name the private key with -o, such as host.pem"
        )
    hosts.check_bits(options["bits"])
    chosen = options["new"].for_pem(str(private))
    key = hosts.generate_host_key(options["bits"])
    hosts.save_host_key(key, private, chosen)
    say("private", private)
    _write_public(public, key.public_key())
    if chosen is None:
        click.echo(f"keyvault: {private} has no passphrase: whoever reads it is this host", err=True)


def _in_token(base: Path, options: dict[str, Any]) -> None:
    from keyvault.pkcs11 import make_key  # noqa: PLC0415  # needs a library that files do not need

    if options["new"] != NewSecret():
        raise click.UsageError("a key in a token has a PIN and no passphrase: give --pin-file")
    public = places.public_half(options["output"] or places.host_key_file(base))
    _refuse_taken(public, base)
    uri = token_uri.parse(options["token"])
    key, new = make_key(uri, identities.pin(uri, options["pin_file"]), options["bits"])
    say("private", "in the token, which it cannot leave" if new else "in the token, which had it before")
    _write_public(public, key)


def _refuse_taken(path: Path, base: Path) -> None:
    if path.exists() or path == places.issuer_file(base):
        raise OutputError(f"{path} exists", hint="choose another name with -o")


def _write_public(path: Path, key: RSAPublicKey) -> None:
    make_private_folders(path.parent)
    write_whole(path, hosts.public_pem(key), replace=False)
    say("public", f"{path} (key {thumbprint(key)})")
