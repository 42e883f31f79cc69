"""Replay a labelled data set through the simulated sensor: private frames in shards for ML loaders.

    python tools/replay_dataset.py --key sealed.bin --sampling quad CIFAR10_FOLDER -o replay

With ``--sampling quad`` each pixel of an item fills one quad of the mosaic as DN: red, both greens
and blue as they are, black level 0, white level 255.  The private frames then carry the 8-bit
images exactly.  On a stacked sensor a pixel fills one photosite.  With ``--sampling photo`` each
item is a photograph: cropped and resized to the sensor, and exposed.
"""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource
from tqdm import tqdm

from adc_firmware import encode
from image_sources import ImageSource, Item, open_source
from keyvault.console import Command
from keyvault.errors import InputError, OutputError
from keyvault.files import make_folder, sync_folder
from keyvault.policy import Policy
from quad_scenes import quad_scene
from sensor_sim import Camera, CameraSettings, Scene
from sensor_sim.photograph import from_image
from sensor_sim.settings import SEED_BITS
from shards import MANIFEST, SHARDS, Manifest, Sample, ShardFile, read_manifest, remove_unfinished, shard_name


def to_scene(item: Item, policy: Policy, sampling: str) -> Scene:
    """What the sensor sees of an item."""
    if sampling == "quad":
        return quad_scene(item, policy)
    return from_image(item.image, policy.width, policy.height, item.name)


def replay(source: ImageSource, camera: Camera, folder: Path, plan: Manifest) -> Manifest:
    """Capture the items that no complete shard holds yet; returns the manifest of all shards.

    The plan names the options; its ``shard_size`` and ``sampling`` are used.  Noise follows the
    number of the item, so a run that was resumed makes the frames that one run would have made.
    """
    size, sampling = plan.options["shard_size"], plan.options["sampling"]
    with tqdm(total=plan.total, initial=plan.done, unit="frame", disable=None) as progress:
        while plan.done < plan.total:
            first, last = plan.done, min(plan.total, plan.done + size)
            with ShardFile(folder / shard_name(len(plan.shards))) as shard:
                for index in range(first, last):
                    item = source.read(index)
                    frame = camera.capture(to_scene(item, camera.grant.policy, sampling), number=index)
                    shard.add(Sample(f"{index:06d}", encode(frame), item.label, _info(source, item, index)))
                    progress.update()
            plan = replace(plan, shards=(*plan.shards, last - first))
            plan.write(folder)
    return plan


def _info(source: ImageSource, item: Item, index: int) -> dict[str, Any]:
    name = None if item.label is None else source.classes[item.label]
    return {"index": index, "source": item.name, "class": name}


def _start(folder: Path, wanted: Manifest, *, resume: bool) -> Manifest:
    """The manifest to go on with: new, or that of the run to resume."""
    if resume and (folder / MANIFEST).exists():
        found = read_manifest(folder)
        if replace(found, shards=()) != wanted:
            raise OutputError(
                f"{folder} was made with {_difference(found, wanted)}", hint="resume with the same options"
            )
        _check_shards(folder, found)
        remove_unfinished(folder)
        return found
    if (folder / MANIFEST).exists() or any(folder.glob(SHARDS)):
        raise OutputError(f"{folder} holds a replay, whole or begun", hint="add --resume, or choose another folder")
    make_folder(folder)
    remove_unfinished(folder)
    wanted.write(folder)
    sync_folder(folder.resolve().parent)
    return wanted


def _check_shards(folder: Path, found: Manifest) -> None:
    missing = [shard_name(i) for i in range(len(found.shards)) if not (folder / shard_name(i)).is_file()]
    if missing:
        raise InputError(f"{folder} lacks {', '.join(missing)}", hint="replay the data set into another folder")


def _difference(found: Manifest, wanted: Manifest) -> str:
    before = {**found.options, "total": found.total, "classes": list(found.classes)}
    now = {**wanted.options, "total": wanted.total, "classes": list(wanted.classes)}
    names = [name for name in sorted({*before, *now}) if before.get(name) != now.get(name)]
    return ", ".join(f"{name} {json.dumps(before.get(name))}, not {json.dumps(now.get(name))}" for name in names)


def _options(context: click.Context, source: ImageSource, camera: Camera) -> dict[str, Any]:
    """What decides the frames, for the manifest."""
    given = context.params
    photo = given["sampling"] == "photo"
    settings = camera.settings
    return {
        "source": [str(path.resolve()) for path in given["source"]],
        "kind": source.kind,
        "split": given["split"] if source.kind == "cifar10" else None,
        "sampling": given["sampling"],
        "shard_size": given["shard_size"],
        "key_id": camera.grant.key_id,
        "sensor": camera.grant.sensor,
        "noise": settings.noise if photo else None,
        "seed": settings.seed if photo and settings.noise else None,
        "shutter_us": settings.shutter_us if photo else None,
        "gain": settings.gain if photo else None,
    }


def _refuse_photo_options(context: click.Context) -> None:
    for name in ("noise", "seed", "shutter", "gain"):
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            raise click.UsageError(f"--{name} is for --sampling photo; quads enter as DN, without light")


@click.command(
    cls=Command,
    name="replay_dataset",
    goes_on="the same command with --resume goes on from there",
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.argument("source", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--key", "keys", multiple=True, required=True, type=click.Path(path_type=Path), help="Sealed key, or a folder."
)
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="Folder for the shards.")
@click.option("--sampling", type=click.Choice(["quad", "photo"]), required=True, help="How items meet the sensor.")
@click.option(
    "--format",
    "kind",
    type=click.Choice(["cifar10", "folder", "images"]),
    help="Of SOURCE.  [default: what it looks like]",
)
@click.option("--split", type=click.Choice(["train", "test"]), default="test", show_default=True, help="Of CIFAR-10.")
@click.option("--limit", type=click.IntRange(min=1), help="Only the first so many items.")
@click.option("--resume", is_flag=True, help="Go on after the last complete shard.")
@click.option("--shard-size", type=click.IntRange(min=1), default=1000, show_default=True, help="Frames in a shard.")
@click.option("--noise", type=click.Choice(["on", "off"]), default="on", show_default=True, help="With photo.")
@click.option("--seed", type=click.IntRange(0, 2**SEED_BITS - 1), default=0, show_default=True, help="Of the noise.")
@click.option("--shutter", type=int, default=10_000, show_default=True, help="Exposure time, microseconds; with photo.")
@click.option("--gain", type=float, default=1.0, show_default=True, help="Analogue gain; with photo.")
@click.option(
    "--device",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The sensor's device file.  [default: the one in this user's home]",
)
@click.pass_context
def main(context: click.Context, /, **options: Any) -> None:
    """Replay SOURCE (a CIFAR-10 folder, a folder of class folders, or images) to shards of private frames."""
    if options["sampling"] == "quad":
        _refuse_photo_options(context)
    source = open_source(options["source"], options["kind"], options["split"])
    total = min(source.length, options["limit"] or source.length)
    settings = CameraSettings(options["shutter"], options["gain"], options["noise"] == "on", options["seed"])
    with Camera(options["keys"], device=options["device"], settings=settings) as camera:
        to_scene(source.read(0), camera.grant.policy, options["sampling"])  # refuse before anything is written
        wanted = Manifest(_options(context, source, camera), source.classes, total)
        plan = _start(options["output"], wanted, resume=options["resume"])
        begin = time.monotonic()
        done = replay(source, camera, options["output"], plan)
    fresh, seconds = done.total - plan.done, time.monotonic() - begin
    print(f"{done.total} frames in {len(done.shards)} shards; {fresh} new, {fresh / seconds:.0f} a second")


if __name__ == "__main__":
    main(prog_name="replay_dataset.py")
