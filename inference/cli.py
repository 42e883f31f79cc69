"""The command ``keyed-infer``: networks on private frames, for an authorised host.

What needs torch is imported by the commands, so that help and refusals of options come at once.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import astuple
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from keyvault import places
from keyvault.cli_options import existing_secret, file_option, pin_option
from keyvault.console import Group
from keyvault.files import PRIVATE_FILE, check_outputs, write_whole
from keyvault.hygiene import harden_process
from keyvault.token_uri import is_token_uri

if TYPE_CHECKING:
    from inference.layout import KeyedTensor
    from inference.models import Preset
    from inference.module import KeyedModule
    from inference.session import Session

_Function = TypeVar("_Function", bound=Callable[..., Any])

DEMOSAICS = ("quad", "bilinear", "malvar")
GAMMAS = ("srgb", "none")


def _opens_frames(command: _Function) -> _Function:
    """The options of a command that opens private frames."""
    anything = click.Path(path_type=Path)
    for option in (
        existing_secret,
        file_option("--trust", help="Public key of the issuing vault.  [default: issuer.pub in the home]"),
        file_option("--status", help="The vault's status list.  [default: status.jws in the home, if it is there]"),
        pin_option,
        click.option(
            "--identity",
            metavar="FILE|URI",
            help="This host's private key, or the PKCS#11 URI of one in a token.  [default: host.pem in the home]",
        ),
        click.option(
            "--key", "keys", multiple=True, required=True, type=anything, help="Sealed key, or a folder of them."
        ),
    ):
        command = option(command)
    return command


def _gamma(command: _Function) -> _Function:
    return click.option(
        "--gamma", type=click.Choice(GAMMAS), default="srgb", show_default=True, help="Transfer function."
    )(command)


def _triple(_context: click.Context, _option: click.Parameter, value: str | None) -> tuple[float, ...] | None:
    """``0.485,0.456,0.406``: one number for red, green and blue each."""
    if value is None:
        return None
    try:
        red, green, blue = map(float, value.split(","))
    except ValueError as error:
        raise click.BadParameter(f"{value!r} is not three numbers such as 0.485,0.456,0.406") from error
    return red, green, blue


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


@keyed_infer.command()
@_opens_frames
@click.option("--model", required=True, help="resnet20, resnet32, preresnet110, vgg16, squeezenet or torchvision:NAME.")
@file_option("--weights", help="safetensors, npz or torch.save file.  [default: those that come with the model]")
@click.option("--backend", type=click.Choice(["gather", "reference"]), default="gather", show_default=True)
@click.option("--device", type=click.Choice(["cpu", "cuda"]), default="cpu", show_default=True)
@click.option("--demosaic", type=click.Choice(DEMOSAICS), help="Way to RGB.  [default: the model's]")
@_gamma
@click.option("--mean", metavar="R,G,B", callback=_triple, help="Of the model's input.  [default: the model's]")
@click.option("--std", metavar="R,G,B", callback=_triple, help="Of the model's input.  [default: the model's]")
@click.option("--top", type=click.IntRange(1), default=5, show_default=True, help="How many classes to print.")
@click.option("--batch", type=click.IntRange(1), default=16, show_default=True, help="Frames computed together.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line for each frame.")
@click.argument("frames", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.pass_obj
def run(home: Path, /, **options: Any) -> None:
    """Classify private frames and print the most probable classes of each."""
    from inference.errors import ModelError  # noqa: PLC0415
    from inference.imaging import isp  # noqa: PLC0415
    from inference.models import Task, preset  # noqa: PLC0415

    chosen = preset(options["model"])
    if chosen.task is not Task.CLASSES:
        raise ModelError(
            f"{chosen.name} labels every position, it does not classify images",
            hint="convert it in Python with inference.secure",
        )
    session = _session(home, options)
    wanted = {name: options[name] for name in ("demosaic", "gamma", "mean", "std")}
    settings = chosen.isp_settings(**wanted)
    network = _network(chosen, options)
    show = _show_json if options["as_json"] else _show_text
    for paths in _batches(options["frames"], options["batch"]):
        frames = isp(paths, session, settings).to(options["device"])
        for path, top in zip(paths, _classify(network, frames, chosen, options["top"]), strict=True):
            show(path, top)


@keyed_infer.command()
@_opens_frames
@click.option("--demosaic", type=click.Choice(DEMOSAICS), default="malvar", show_default=True, help="Way to RGB.")
@_gamma
@file_option("-o", "--output", required=True, help="PNG to write; only its owner can read it.")
@click.argument("frame", type=click.Path(path_type=Path))
@click.pass_obj
def reveal(home: Path, /, **options: Any) -> None:
    """Write the plain image of a private frame, for a key holder who has a right to look."""
    from adc_firmware.sidecar import path_of  # noqa: PLC0415
    from inference.imaging import Demosaic, Gamma, IspSettings, isp  # noqa: PLC0415

    frame, output = options["frame"], options["output"]
    named = [*(options[name] for name in ("identity", "trust", "status", "pin_file")), *astuple(options["unlock"])]
    others = [path for path in named if path and not is_token_uri(path)]
    check_outputs([output], [frame, path_of(frame), *options["keys"], *map(Path, others)])
    settings = IspSettings(demosaic=Demosaic(options["demosaic"]), gamma=Gamma(options["gamma"]))
    developed = isp(frame, _session(home, options), settings)
    write_whole(output, _png(developed), mode=PRIVATE_FILE)
    height, width = developed.shape[2:]
    click.echo(f"{output}: plain image of {frame}, {width}x{height}, no longer protected")


def _session(home: Path, options: dict[str, Any]) -> Session:
    from inference.session import open_session  # noqa: PLC0415
    from keyvault.identities import open_identity  # noqa: PLC0415

    named = options["identity"] or str(places.host_key_file(home))
    with open_identity(named, options["unlock"], options["pin_file"]) as key:
        return open_session(options["keys"], key, options["trust"], status=options["status"], home=home)


def _network(chosen: Preset, options: dict[str, Any]) -> KeyedModule:
    import torch  # noqa: PLC0415

    from inference.convert import secure  # noqa: PLC0415
    from inference.weights import pretrained  # noqa: PLC0415

    plain = pretrained(chosen, options["weights"])
    example = torch.zeros(1, 3, *chosen.size).contiguous(memory_format=torch.channels_last)
    return secure(plain, example, backend=options["backend"], device=options["device"])


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


def _png(developed: KeyedTensor) -> bytes:
    """The revealed image of one frame as an 8-bit PNG."""
    import cv2  # noqa: PLC0415

    rgb = developed.reveal()[0].mul(255).add(0.5).clamp(0, 255).byte().permute(1, 2, 0).numpy()
    encoded = cv2.imencode(".png", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))[1]
    return bytes(encoded.tobytes())


def main() -> None:
    """Entry point of the console script."""
    harden_process()
    keyed_infer(prog_name="keyed-infer")
