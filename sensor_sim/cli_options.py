"""The options that ``sensor-sim capture`` and ``record`` share, and what is made of their values.

What takes long to import is imported by the functions that need it, so that help comes at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

from keyvault.cli_options import file_option, parsed, size
from keyvault.console import native_messages_off
from keyvault.errors import OutputError
from keyvault.files import check_outputs
from keyvault.policy import Cfa

if TYPE_CHECKING:
    from adc_firmware.encodings import Encoding
    from keyvault.policy import Policy
    from sensor_sim.camera import Camera
    from sensor_sim.mode import Mode
    from sensor_sim.outputs import FrameNames
    from sensor_sim.region import Region
    from sensor_sim.scene import DnScene

_Command = TypeVar("_Command", bound=Callable[..., Any])
_PATH = click.Path(path_type=Path)
_CHART = "chart"
_LIVE = "camera:"
_RAW = ".raw"
_SIDECAR = ".json"  # what the names of sidecars add to those of their data files
_CHECKED = 1000  # so many names are looked at beforehand
_NEEDED_BY_RAW = ("raw_size", "raw_cfa", "raw_black", "raw_white")
_RAW_OPTIONS = (*_NEEDED_BY_RAW, "raw_packing", "raw_stride")


def _mode(text: str) -> Mode:
    from sensor_sim.mode import Mode  # noqa: PLC0415

    return Mode.parse(text)


_KEY = (
    click.option("--key", "keys", multiple=True, required=True, type=_PATH, help="Sealed key, or a folder of them."),
    file_option("--device", help="The sensor's device file.  [default: the one in this user's home]"),
    file_option("--status", help="The vault's status list.  [default: status.jws in this user's home]"),
)
_SCENE = (
    click.option(
        "--scene",
        default=_CHART,
        show_default=True,
        help="chart; an image, raw file or video; a folder; a series such as %04d.png; camera:0, a live camera.",
    ),
    click.option("--roi", metavar="X,Y,W,H", help="Part of the scene: fractions of it, or whole pixels."),
    click.option("--loop", is_flag=True, help="Begin the scenes again when they have ended."),
    click.option("--raw-size", help="Headerless .raw: photosites, width first.", **size),
    click.option("--raw-cfa", type=click.Choice([value.value for value in Cfa]), help="Headerless .raw: its mosaic."),
    click.option("--raw-black", type=click.IntRange(0, 65_535), help="Headerless .raw: black level, DN."),
    click.option("--raw-white", type=click.IntRange(0, 65_535), help="Headerless .raw: white level, DN."),
    click.option("--raw-packing", help="Headerless .raw: such as SRGGB12P.  [default: 16 bits, little-endian]"),
    click.option("--raw-stride", type=click.IntRange(1), help="Headerless .raw: bytes from line to line, if padded."),
)
_SENSOR = (
    click.option("--profile", help="What the sensor is like: a name (list-profiles) or TOML file.  [default: ideal]"),
    click.option(
        "--mode",
        help="W:H:BITS:P or :U: size and depth, held against the key; .raw files packed or unpacked.",
        **parsed("mode", _mode, "1920:1080:12:P"),
    ),
    click.option("--shutter", type=int, default=10_000, show_default=True, help="Exposure time, microseconds."),
    click.option("--gain", type=float, default=1.0, show_default=True, help="Analogue gain."),
    click.option(
        "--illumination", metavar="LIGHT", help="Of the scene: 0.5, 40lx (on the sensor), 500lx@f1.8 or 3000photons."
    ),
    click.option(
        "--noise", type=click.Choice(["on", "off"]), default="on", show_default=True, help="Shot and read noise."
    ),
    click.option("--seed", type=click.IntRange(0, 2**64 - 1), help="Of the noise.  [default: a new one]"),
    click.option("--temperature", type=float, default=25.0, show_default=True, help="Of the sensor, degrees Celsius."),
)
_OUTPUT = (
    click.option("-o", "--output", default="frame%05d.dng", show_default=True, help="File; %d is the frame's number."),
    click.option("--encoding", help="dng, tiff, png, npy, SRGGB12P ...  [default: what the file's name says]"),
    file_option("--metadata", help="Write what headers and profile say to this file as JSON."),
)


def takes_frames(command: _Command) -> _Command:
    """The options of a command that makes frames."""
    for option in reversed((*_KEY, *_SCENE, *_SENSOR, *_OUTPUT)):
        command = option(command)
    return command


@contextmanager
def opened(context: click.Context, options: dict[str, Any], **stream: Any) -> Iterator[tuple[Camera, Encoding]]:
    """The open camera that the options ask for, and the encoding of its files.

    Args:
        context: of the command.
        options: of the command.
        stream: of the camera's StreamConfiguration.
    """
    from sensor_sim.camera import Camera  # noqa: PLC0415
    from sensor_sim.settings import CameraSettings  # noqa: PLC0415

    settings = CameraSettings(
        options["shutter"],
        options["gain"],
        options["noise"] == "on",
        options["seed"],
        temperature_c=options["temperature"],
    )
    camera = Camera(
        options["keys"],
        scene=_scene(options),
        region=_region(options["roi"]),
        device=options["device"],
        settings=settings,
        profile=options["profile"],
        status=options["status"],
    )
    camera.configure(loop=options["loop"], **stream)
    try:
        with native_messages_off():
            camera.open()
        _refuse_light_on_dn(context, camera)
        if options["illumination"] is not None:
            _illuminate(camera, options["illumination"])
        yield camera, _encoding(options, camera.grant.policy)
    finally:
        camera.close()


def frame_names(options: dict[str, Any], count: int | None) -> FrameNames:
    """The names of the frames' files, held against the metadata file and everything that the run needs."""
    from sensor_sim.outputs import FrameNames  # noqa: PLC0415

    names = FrameNames(options["output"], count)
    metadata = [options["metadata"]] if options["metadata"] else []
    inputs = list(_inputs(options))
    check_outputs([*islice(names.paths(), _CHECKED), *metadata], inputs)
    files = [names, *([FrameNames(f"{names.pattern}{_SIDECAR}", count)] if _may_have_sidecars(options) else [])]
    for path in [*inputs, *metadata]:
        if any(file.matches(path) for file in files):
            raise OutputError(f"frames named {names.pattern} could replace {path}", hint="choose another name")
    return names


def _may_have_sidecars(options: dict[str, Any]) -> bool:
    from adc_firmware.encodings import Encoding  # noqa: PLC0415

    try:
        return Encoding.chosen(options["output"], options["encoding"]).has_sidecar
    except OutputError:  # a mode may still say what it is, or the camera's opening that it is nothing
        return True


def _scene(options: dict[str, Any]) -> DnScene | str:
    """What the camera gets for a scene."""
    given = [name for name in _RAW_OPTIONS if options[name] is not None]
    if not given:
        scene: str = options["scene"]
        return scene
    if options["scene"] == _CHART:
        raise click.UsageError("the options of a headerless raw file need its name in --scene")
    missing = [_flag(name) for name in _NEEDED_BY_RAW if options[name] is None]
    if missing:
        raise click.UsageError(f"a headerless raw file also needs {', '.join(missing)}")
    from sensor_sim.raw_files import RawLayout, read_headerless  # noqa: PLC0415

    width, height = options["raw_size"]
    rest = [options[name] for name in _RAW_OPTIONS[2:]]
    return read_headerless(Path(options["scene"]), RawLayout(width, height, Cfa(options["raw_cfa"]), *rest))


def _region(text: str | None) -> Region | None:
    if text is None:
        return None
    from sensor_sim.region import Region  # noqa: PLC0415

    return Region.parse(text)


def _encoding(options: dict[str, Any], policy: Policy) -> Encoding:
    """What the files are stored as; mode and encoding are held against the key and each other."""
    from adc_firmware.encodings import Encoding  # noqa: PLC0415

    mode, output = options["mode"], Path(options["output"])
    encoding: str | None = options["encoding"]
    if mode is not None:
        mode.check(policy)
        if encoding is None and output.suffix.lower() == _RAW and len(output.suffixes) == 1:
            encoding = mode.raw_encoding(policy)
    chosen = Encoding.chosen(output, encoding)
    chosen.check_holds(policy)
    if mode is not None and mode.contradicts(chosen):
        raise click.UsageError(f"--mode asks for {'' if mode.packed else 'un'}packed samples, which {chosen} is not")
    return chosen


def _inputs(options: dict[str, Any]) -> Iterator[Path]:
    """The files that the run needs; of a folder all that are in it."""
    scene: str = options["scene"]
    paths = [*options["keys"], options["device"], options["status"], options["profile"] and Path(options["profile"])]
    if scene != _CHART and not scene.startswith(_LIVE):
        paths += _series(scene) if "%" in scene else [Path(scene)]
    for path in filter(None, paths):
        yield from path.iterdir() if path.is_dir() else [path]


def _series(pattern: str) -> list[Path]:
    """The images of a series that are there; none if it is not one, which the camera says better."""
    from sensor_sim.outputs import FrameNames  # noqa: PLC0415

    folder = Path(pattern).parent
    try:
        names = FrameNames(pattern, None)
    except OutputError:
        return []
    return [path for path in folder.iterdir() if names.matches(path)] if folder.is_dir() else []


def _illuminate(camera: Camera, text: str) -> None:
    from sensor_sim.photometry import parse_illumination  # noqa: PLC0415

    policy = camera.grant.policy
    monochrome = policy.cfa is Cfa.NONE and policy.samples_per_photosite == 1
    factor = parse_illumination(text, camera.profile.pixel, camera.settings.shutter_us, monochrome=monochrome)
    camera.set_controls({"Illumination": factor})


def _refuse_light_on_dn(context: click.Context, camera: Camera) -> None:
    from sensor_sim.scene import DnScene  # noqa: PLC0415

    names = ("noise", "seed", "illumination") if camera.settings.noise else ("illumination",)
    asked = [name for name in names if context.get_parameter_source(name) is ParameterSource.COMMANDLINE]
    if isinstance(camera.scene, DnScene) and asked:
        raise click.UsageError(f"--{asked[0]} is for light; {camera.scene.name} enters as DN, without noise")


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"
