"""Options that the commands of ``keyed-infer`` share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from keyvault.cli_options import existing_secret, file_option, pin_option

_Function = TypeVar("_Function", bound=Callable[..., Any])

DEMOSAICS = ("quad", "bilinear", "malvar")
GAMMAS = ("srgb", "none")


def opens_frames(command: _Function) -> _Function:
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


def runs_network(models: str, *, weights_come: bool = True) -> Callable[[_Function], _Function]:
    """The options of a command that runs a network.

    Args:
        models: says which it knows.
        weights_come: whether any of them has weights of its own.
    """
    default = "  [default: those that come with the model]" if weights_come else ""

    def decorate(command: _Function) -> _Function:
        for option in (
            click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line for each frame."),
            click.option("--device", type=click.Choice(["cpu", "cuda"]), default="cpu", show_default=True),
            click.option("--backend", type=click.Choice(["gather", "reference"]), default="gather", show_default=True),
            file_option("--weights", required=not weights_come, help=f"safetensors, npz or torch.save file.{default}"),
            click.option("--model", required=True, help=models),
        ):
            command = option(command)
        return command

    return decorate


def gamma_option(command: _Function) -> _Function:
    """``--gamma``."""
    return click.option(
        "--gamma", type=click.Choice(GAMMAS), default="srgb", show_default=True, help="Transfer function."
    )(command)


def demosaic_option(command: _Function) -> _Function:
    """``--demosaic`` of a network that has a way of its own."""
    return click.option("--demosaic", type=click.Choice(DEMOSAICS), help="Way to RGB.  [default: the model's]")(command)


def malvar_option(command: _Function) -> _Function:
    """``--demosaic`` for a good picture in full size."""
    return click.option(
        "--demosaic", type=click.Choice(DEMOSAICS), default="malvar", show_default=True, help="Way to RGB."
    )(command)


def overlay_option(what: str) -> Callable[[_Function], _Function]:
    """``--overlay``, which puts ``what`` on the plain image."""
    return click.option(
        "--overlay", is_flag=True, help=f"Draw {what} over the plain image: this reveals the frame to who has the file."
    )
