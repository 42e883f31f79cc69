"""A camera and the authorised host of its frames in one process, for tools that compare private with plain."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import click
import numpy as np

import inference
from adc_firmware import decode, encode
from adc_firmware.frame import FrameHeader, PrivateFrame
from inference.session import Session, ShuffledFrame
from keyvault.permutation import Permutation
from sensor_sim import Camera, CameraSettings, LightScene, Scene, Shot
from sensor_sim.pixel import ExposedArray

_Function = TypeVar("_Function", bound=Callable[..., Any])


@dataclass(frozen=True)
class BothSides:
    """An open camera, and a session that opens its frames."""

    camera: Camera
    session: Session

    def private(self, scene: Scene, number: int) -> ShuffledFrame:
        """A private frame as the host has it: captured, encoded, verified, and its mask taken off."""
        return self.opened(self.camera.capture(scene, number=number))

    def opened(self, frame: PrivateFrame) -> ShuffledFrame:
        """A captured frame as the host has it."""
        return self.session.open(decode(encode(frame), self.session.grants))

    def plain(self, scene: LightScene, number: int, header: FrameHeader) -> ShuffledFrame:
        """What this camera would put out without protection: the DN of the same exposure in true order."""
        policy, profile = header.policy, self.camera.profile
        shot = Shot(self.camera.seed, number, self.camera.serial)
        source = ExposedArray(scene, policy, self.camera.settings, profile.pixel, shot)
        samples = profile.converter(policy, self.camera.serial).convert(source.rows(0, policy.height))
        return ShuffledFrame(header, samples, Permutation.identity((policy.height, policy.width)))


def substituted(frame: ShuffledFrame, generator: np.random.Generator) -> ShuffledFrame:
    """The frame with a random permutation in place of its own: what a wrong key would make of it."""
    shape = frame.permutation.shape
    table = generator.permutation(len(frame.permutation)).astype(np.int32)
    return replace(frame, permutation=Permutation(table, shape))


def unkeyed(frame: ShuffledFrame) -> ShuffledFrame:
    """The frame as one without a permutation, which takes the stored order for the true one."""
    return replace(frame, permutation=Permutation.identity(frame.permutation.shape))


def key_options(command: _Function) -> _Function:
    """The options of a tool that captures and opens frames."""
    path = click.Path(path_type=Path)
    for option in (
        click.option("--trust", type=path, help="The vault's key.  [default: issuer.pub in the home]"),
        click.option("--identity", type=path, help="The host's key.  [default: host.pem in the home]"),
        click.option("--device", type=path, help="The sensor's device file.  [default: the one in the home]"),
        click.option("--key", "keys", multiple=True, required=True, type=path, help="Sealed key, or a folder."),
    ):
        command = option(command)
    return command


@contextmanager
def both_sides(options: dict[str, Any], settings: CameraSettings | None = None) -> Iterator[BothSides]:
    """Open camera and session from what :func:`key_options` gave; raises as Camera and open_session do."""
    session = inference.open_session(options["keys"], options["identity"], options["trust"])
    with Camera(options["keys"], device=options["device"], settings=settings) as camera:
        yield BothSides(camera, session)
