"""``keyed-infer run``: classify frames."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from inference.cli_options import demosaic_option, gamma_option, opens_frames, runs_network
from inference.cli_session import network_of, session_of

if TYPE_CHECKING:
    from inference.layout import KeyedTensor
    from inference.models import Preset
    from inference.module import KeyedModule


def _triple(_context: click.Context, _option: click.Parameter, value: str | None) -> tuple[float, ...] | None:
    """``0.485,0.456,0.406``: one number for red, green and blue each."""
    if value is None:
        return None
    try:
        red, green, blue = map(float, value.split(","))
    except ValueError as error:
        raise click.BadParameter(f"{value!r} is not three numbers such as 0.485,0.456,0.406") from error
    return red, green, blue


@click.command("run")
@opens_frames
@runs_network("resnet20, resnet32, preresnet110, vgg16, squeezenet or torchvision:NAME.")
@demosaic_option
@gamma_option
@click.option("--mean", metavar="R,G,B", callback=_triple, help="Of the model's input.  [default: the model's]")
@click.option("--std", metavar="R,G,B", callback=_triple, help="Of the model's input.  [default: the model's]")
@click.option("--top", type=click.IntRange(1), default=5, show_default=True, help="How many classes to print.")
@click.option("--batch", type=click.IntRange(1), default=16, show_default=True, help="Frames computed together.")
@click.argument("frames", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.pass_obj
def run_command(home: Path, /, **options: Any) -> None:
    """Classify private frames and print the most probable classes of each."""
    from inference.errors import ModelError  # noqa: PLC0415
    from inference.imaging import isp  # noqa: PLC0415
    from inference.models import Task, preset  # noqa: PLC0415

    chosen = preset(options["model"])
    if chosen.task is not Task.CLASSES:
        raise ModelError(
            f"{chosen.name} labels every position, it does not classify images", hint="use keyed-infer segment"
        )
    session = session_of(home, options)
    wanted = {name: options[name] for name in ("demosaic", "gamma", "mean", "std")}
    settings = chosen.isp_settings(**wanted)
    network = network_of(chosen, options)
    show = _show_json if options["as_json"] else _show_text
    for paths in _batches(options["frames"], options["batch"]):
        frames = isp(paths, session, settings).to(options["device"])
        for path, top in zip(paths, _classify(network, frames, chosen, options["top"]), strict=True):
            show(path, top)


def _batches(frames: tuple[Path, ...], size: int) -> Iterator[tuple[Path, ...]]:
    for first in range(0, len(frames), size):
        yield frames[first : first + size]


def _classify(network: KeyedModule, frames: KeyedTensor, chosen: Preset, count: int) -> Iterator[list[dict[str, Any]]]:
    """The ``count`` most probable classes of each frame, the best first."""
    probabilities = network(frames).float().softmax(1).cpu()
    best = probabilities.topk(min(count, probabilities.shape[1]), 1)
    for values, indices in zip(best.values.tolist(), best.indices.tolist(), strict=True):
        yield [
            {"class": index, "label": chosen.classes[index], "probability": round(value, 6)}
            for index, value in zip(indices, values, strict=True)
        ]


def _show_text(path: Path, top: list[dict[str, Any]]) -> None:
    click.echo(path)
    for entry in top:
        click.echo(f"  {100 * entry['probability']:6.2f} %  {entry['label']}")


def _show_json(path: Path, top: list[dict[str, Any]]) -> None:
    click.echo(json.dumps({"frame": str(path), "top": top}))
