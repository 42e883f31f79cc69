"""A folder with a host's home, a sealed key and frames, for tests of keyed-infer."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from click.testing import CliRunner, Result
from host_factories import DAY, capture, scene, sealed, write_home

from adc_firmware import PrivateFrame, write
from inference.cli import keyed_infer
from keyvault.policy import Policy

POLICY = Policy(64, 64)
NOW = int(time.time())


@dataclass(frozen=True)
class Place:
    """A folder with a host's home, a sealed key and frames."""

    folder: Path
    frames: tuple[PrivateFrame, ...]

    def __getitem__(self, name: str) -> str:
        return str(self.folder / name)


def make_place(folder: Path, home: Path, frames: int = 3) -> Place:
    """Write sealed.bin and frame0.dng and so on into a folder, and what opens them into the home."""
    write_home(home)
    key = current()
    (folder / "sealed.bin").write_bytes(key)
    captured = tuple(capture(key, scene(POLICY, seed), NOW) for seed in range(frames))
    for number, frame in enumerate(captured):
        write(frame, folder / f"frame{number}.dng")
    return Place(folder, captured)


def current(epoch: int = 1, host: str = "lab", end: int = NOW + DAY) -> bytes:
    """A sealed key that is valid now."""
    return sealed(epoch, host=host, policy=POLICY, start=NOW - DAY, end=end)


def call(*arguments: str) -> Result:
    """Run keyed-infer."""
    return CliRunner().invoke(keyed_infer, list(arguments))
