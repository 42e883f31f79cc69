"""The command ``keyed-infer``: networks on private frames, for an authorised host.

What needs torch is imported by the commands, so that help and refusals of options come at once.
"""

from __future__ import annotations

from pathlib import Path

import click

from inference.cli_detect import detect_command
from inference.cli_reveal import reveal_command
from inference.cli_run import run_command
from inference.cli_segment import segment_command
from keyvault import places
from keyvault.console import Group
from keyvault.hygiene import harden_process


@click.group(cls=Group, name="keyed-infer", context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="privcam")
@click.option(
    "--home",
    type=click.Path(path_type=Path, file_okay=False),
    help=f"Folder of this host's keys.  [default: ${places.HOME_VARIABLE}, or the user's data folder]",
)
@click.pass_context
def keyed_infer(context: click.Context, home: Path | None) -> None:
    """Networks on private frames, which stay shuffled throughout."""
    context.obj = home or places.home()


for _command in (run_command, segment_command, detect_command, reveal_command):
    keyed_infer.add_command(_command)


def main() -> None:
    """Entry point of the console script."""
    harden_process()
    keyed_infer(prog_name="keyed-infer")
