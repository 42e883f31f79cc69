"""The command ``sensor-sim``: the simulated camera at the command line.

What takes long to import is imported by the commands, so that help and refusals of options come at once.
"""

from __future__ import annotations

import os

import click

from keyvault.console import Group
from keyvault.hygiene import harden_process
from sensor_sim.cli_capture import capture_command
from sensor_sim.cli_cost import cost_command
from sensor_sim.cli_record import record_command
from sensor_sim.cli_show import show_command

_SILENT = {"OPENCV_LOG_LEVEL": "SILENT", "OPENCV_FFMPEG_LOGLEVEL": "-8"}  # a refusal of ours says what is wrong


@click.group(cls=Group, name="sensor-sim", context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="privcam")
def sensor_sim() -> None:
    """A simulated camera whose chip puts out private frames only."""
    for name, value in _SILENT.items():
        os.environ.setdefault(name, value)


@sensor_sim.command("list-profiles")
def list_profiles_command() -> None:
    """List the sensor profiles that --profile knows by name, and where one's own belong."""
    from sensor_sim.sensor_profile import list_profiles, user_folder  # noqa: PLC0415

    found = list_profiles()
    width = max(len(profile.name) for profile in found)
    for profile in found:
        click.echo(f"{profile.name:{width}}  {profile.summary}")
    click.echo(f"Your own: {user_folder() / 'NAME.toml'}, or name any TOML file; docs/sensor.md says what is in one.")


for _command in (capture_command, record_command, show_command, cost_command):
    sensor_sim.add_command(_command)


def main() -> None:
    """Entry point of the console script."""
    harden_process()
    sensor_sim(prog_name="sensor-sim")
