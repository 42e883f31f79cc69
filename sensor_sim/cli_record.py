"""``sensor-sim record``: a stream at a frame rate, into one file a frame."""

from __future__ import annotations

import threading
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from keyvault.console import native_messages_off
from sensor_sim.cli_options import frame_names, opened, takes_frames

if TYPE_CHECKING:
    from sensor_sim.camera import Camera
    from sensor_sim.recording import Plan, Recorded

_DEFAULT_MS = 5_000
_DEFAULT_RATE = 30.0


@click.command("record")
@takes_frames
@click.option("--frames", type=click.IntRange(min=1), help="How many frames.  [default: no limit but --timeout]")
@click.option(
    "-t",
    "--timeout",
    type=click.IntRange(min=0),
    help=f"How long, milliseconds; 0: until interrupted.  [default: {_DEFAULT_MS}; 0 with --frames]",
)
@click.option(
    "--framerate",
    type=float,
    help=f"Frames a second; 0: as many as can be.  [default: the video's, else {_DEFAULT_RATE:g}]",
)
@click.option("--buffer-count", type=int, default=4, show_default=True, help="Frames in memory at most.")
@click.option(
    "--overflow",
    type=click.Choice(["block", "drop-oldest"]),
    default="block",
    show_default=True,
    help="Without a free buffer: wait, or give up the oldest frame.",
)
@click.option("--strict", is_flag=True, help="Fail (exit code 14) if a frame was dropped or missed.")
@click.option("--watch-key", type=float, metavar="SECONDS", help="Look so often for a newer epoch, and take it over.")
@click.option("-q", "--quiet", is_flag=True, help="No progress, no summary.")
@click.pass_context
def record_command(context: click.Context, /, **options: Any) -> None:
    """Record private frames at a steady rate, one file each, named by their number.

    A number that is not there is a frame that was dropped, or missed because the one before took
    too long.  Ends with --frames, with --timeout, with the scenes, or with Ctrl-C, which is no error:
    what was recorded is whole.
    """
    names = frame_names(options, options["frames"])
    stream = {
        "frame_rate": _frame_rate(options),
        "buffer_count": options["buffer_count"],
        "overflow": options["overflow"],
        "watch_key": options["watch_key"],
    }
    with opened(context, options, **stream) as (camera, encoding):
        from sensor_sim.recording import Plan  # noqa: PLC0415

        plan = Plan(names, encoding, options["frames"], _seconds(options))
        recorded = _record(camera, plan, options)
    if options["strict"]:
        recorded.check_whole()
    if not options["quiet"]:
        click.echo(f"sensor-sim: {recorded.summary()}", err=True)
        if recorded.key_error:
            click.echo(f"sensor-sim: no newer key was taken over: {recorded.key_error}", err=True)


def _record(camera: Camera, plan: Plan, options: dict[str, Any]) -> Recorded:
    from tqdm import tqdm  # noqa: PLC0415

    from sensor_sim.metadata_file import MetadataFile  # noqa: PLC0415
    from sensor_sim.recording import record, stopping  # noqa: PLC0415

    stop = threading.Event()
    file = MetadataFile(options["metadata"]) if options["metadata"] else nullcontext()
    with (
        stopping(stop),
        file as metadata,
        tqdm(total=plan.frames, unit="frame", disable=True if options["quiet"] else None) as progress,
    ):
        return record(camera, plan, stop, metadata=metadata, written=lambda _path: progress.update())


def _frame_rate(options: dict[str, Any]) -> float | None:
    """Exposures a second; None for as many as can be."""
    from sensor_sim import video  # noqa: PLC0415

    if options["framerate"] is not None:
        return options["framerate"] or None
    scene = Path(options["scene"])
    if scene.suffix.lower() not in video.SUFFIXES:
        return _DEFAULT_RATE
    with native_messages_off():
        return video.frame_rate(scene) or _DEFAULT_RATE


def _seconds(options: dict[str, Any]) -> float | None:
    timeout = options["timeout"]
    if timeout is None:
        timeout = _DEFAULT_MS if options["frames"] is None else 0
    return timeout / 1000 or None
