"""The command ``keyvault inspect``: verify a sealed key and show what it grants."""

from __future__ import annotations

import json
import time
from pathlib import Path

import click

from keyvault import hosts, places, report
from keyvault.cli_options import file_option, say
from keyvault.envelope import read_sealed


@click.command()
@click.argument("sealed", type=click.Path(path_type=Path))
@file_option("--issuer", help="Public key of the vault.  [default: issuer.pub in the home]")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def inspect(base: Path, sealed: Path, issuer: Path | None, as_json: bool) -> None:
    """Verify a sealed key and show what it grants; needs no secret.

    Whether the vault has taken it back since, the file does not know: see keyvault status show.
    """
    grants = read_sealed(sealed, hosts.load_issuer(issuer or places.issuer_file(base))).grants
    now = int(time.time())
    if as_json:
        click.echo(json.dumps(report.as_json(grants, now), indent=2))
        return
    say("signature", "verified: made by the vault, and not changed since")
    click.echo(report.as_text(grants, now))
    for text in report.warnings(grants[0], now):
        click.echo(f"WARNING: {text}")
