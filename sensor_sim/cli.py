"""The command ``sensor-sim``: the simulated camera at the command line."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource
from tqdm import tqdm

from adc_firmware import write
from keyvault.cli_options import size
from keyvault.console import Group, native_messages_off
from keyvault.files import check_outputs, write_whole
from keyvault.policy import Cfa
from sensor_sim.camera import Camera
from sensor_sim.cli_cost import cost_command
from sensor_sim.loading import CHART
from sensor_sim.outputs import FrameNames, describe
from sensor_sim.raw_files import RawLayout, read_headerless
from sensor_sim.scene import DnScene
from sensor_sim.sensor_profile import IDEAL, SUFFIX, list_profiles, user_folder
from sensor_sim.settings import SEED_BITS, CameraSettings

_FILE = click.Path(path_type=Path, dir_okay=False)
_RAW_OPTIONS = ("raw_size", "raw_cfa", "raw_black", "raw_white")


@click.group(cls=Group, name="sensor-sim", context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="privcam")
def sensor_sim() -> None:
    """A simulated camera whose chip puts out private frames only."""


sensor_sim.add_command(cost_command)


@sensor_sim.command()
@click.option(
    "--key", "keys", multiple=True, required=True, type=click.Path(path_type=Path), help="Sealed key, or a folder."
)
@click.option("--scene", default=CHART, show_default=True, help="chart, an image (PNG, JPEG) or a raw file.")
@click.option("-o", "--output", default="frame%05d.dng", show_default=True, help="File; %d is the frame's number.")
@click.option("--frames", type=click.IntRange(min=1), default=1, show_default=True, help="How many frames.")
@click.option("--shutter", type=int, default=10_000, show_default=True, help="Exposure time, microseconds.")
@click.option("--gain", type=float, default=1.0, show_default=True, help="Analogue gain.")
@click.option("--noise", type=click.Choice(["on", "off"]), default="on", show_default=True, help="Shot and read noise.")
@click.option("--seed", type=click.IntRange(0, 2**SEED_BITS - 1), help="Of the noise.  [default: a new one]")
@click.option(
    "--profile",
    default=IDEAL,
    show_default=True,
    help="What the sensor is like: a name (list-profiles shows them) or a TOML file.",
)
@click.option("--temperature", type=float, default=25.0, show_default=True, help="Of the sensor, degrees Celsius.")
@click.option("--metadata", type=_FILE, help="Write what the headers and the profile say to this file as JSON.")
@click.option("--device", type=_FILE, help="The sensor's device file.  [default: the one in this user's home]")
@click.option("--raw-size", help="Headerless .raw (16 bits, little-endian): photosites, width first.", **size)
@click.option("--raw-cfa", type=click.Choice([value.value for value in Cfa]), help="Headerless .raw: its mosaic.")
@click.option("--raw-black", type=click.IntRange(0, 65_535), help="Headerless .raw: black level, DN.")
@click.option("--raw-white", type=click.IntRange(0, 65_535), help="Headerless .raw: white level, DN.")
@click.option("-q", "--quiet", is_flag=True, help="Do not print the names of the files.")
@click.pass_context
def capture(context: click.Context, /, **options: Any) -> None:
    """Capture private frames.

    The newest epoch among the keys that is valid now is used.  Files appear whole or not at all,
    and replace what had their name.  A raw file enters as it is: --shutter and --gain then only
    go into the header.
    """
    names = FrameNames(options["output"], options["frames"])
    scene: Path | DnScene | str = options["scene"] if options["scene"] == CHART else Path(options["scene"])
    extra = [path for path in (options["metadata"],) if path]
    check_outputs([*names.paths(), *extra], _inputs(options))
    if any(options[name] is not None for name in _RAW_OPTIONS):
        scene = read_headerless(Path(options["scene"]), _layout(options))
    settings = CameraSettings(
        options["shutter"],
        options["gain"],
        options["noise"] == "on",
        options["seed"],
        temperature_c=options["temperature"],
    )
    camera = Camera(
        options["keys"], scene=scene, device=options["device"], settings=settings, profile=options["profile"]
    )
    with ExitStack() as stack:
        with native_messages_off():
            stack.enter_context(camera)
        _refuse_noise_on_dn(context, camera)
        _capture(camera, names, options)


@sensor_sim.command("list-profiles")
def list_profiles_command() -> None:
    """List the sensor profiles that capture --profile knows by name, and where one's own belong."""
    found = list_profiles()
    width = max(len(profile.name) for profile in found)
    for profile in found:
        click.echo(f"{profile.name:{width}}  {profile.summary}")
    click.echo(f"Your own: {user_folder() / 'NAME.toml'}, or name any TOML file; docs/sensor.md says what is in one.")


def _capture(camera: Camera, names: FrameNames, options: dict[str, Any]) -> None:
    """Write the frames, and the metadata of those that were written, also if the run is cut short."""
    records: list[dict[str, Any]] = []
    try:
        for path in tqdm(names.paths(), total=names.count, unit="frame", disable=None if names.count > 1 else True):
            frame = camera.capture()
            write(frame, path)
            records.append(describe(frame, path, camera.profile))
            if not options["quiet"]:
                tqdm.write(str(path))
    finally:
        if options["metadata"] and records:
            text = json.dumps(records, indent=2) + "\n"
            write_whole(options["metadata"], text.encode())


def _inputs(options: dict[str, Any]) -> list[Path]:
    scene = [] if options["scene"] == CHART else [Path(options["scene"])]
    device = [options["device"]] if options["device"] else []
    profile = [Path(options["profile"])] if options["profile"].endswith(SUFFIX) else []
    return [*options["keys"], *scene, *device, *profile]


def _layout(options: dict[str, Any]) -> RawLayout:
    if options["scene"] == CHART:
        raise click.UsageError("the options of a headerless raw file need its name in --scene")
    missing = [f"--{name.replace('_', '-')}" for name in _RAW_OPTIONS if options[name] is None]
    if missing:
        raise click.UsageError(f"a headerless raw file also needs {', '.join(missing)}")
    width, height = options["raw_size"]
    return RawLayout(width, height, Cfa(options["raw_cfa"]), options["raw_black"], options["raw_white"])


def _refuse_noise_on_dn(context: click.Context, camera: Camera) -> None:
    asked = [name for name in ("noise", "seed") if context.get_parameter_source(name) is ParameterSource.COMMANDLINE]
    if isinstance(camera.scene, DnScene) and asked and camera.settings.noise:
        raise click.UsageError(f"--{asked[0]} is for light; {camera.scene.name} enters as DN, without noise")


def main() -> None:
    """Entry point of the console script."""
    sensor_sim(prog_name="sensor-sim")
