"""The whole pipeline on one photograph: python tools/demo.py --output demo-output

Runs the project's own commands, and prints them, so that each can be repeated by hand.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import click
import torch

import adc_firmware
import contact_sheet
import inference
from example_photograph import PHOTOGRAPH
from inference.session import Session, ShuffledFrame
from keyvault.console import Command, native_messages_off
from keyvault.errors import OutputError, PrivcamError
from keyvault.files import make_folder
from keyvault.permutation import Permutation
from sensor_sim import CameraSettings, Shot, load_profile, serial_number
from sensor_sim.photograph import decode
from sensor_sim.photograph import read as read_photograph
from sensor_sim.pixel import ExposedArray

SIZE = "384x256"
SEED = 7
MODEL = "resnet20"
MARKER = ".privcam-demo"


@dataclass(frozen=True)
class Workplace:
    """Where the demonstration keeps its files, and how it runs a command."""

    folder: Path

    def run(self, *words: str, refused: bool = False) -> str:
        """Run a command in the folder and print it; its output.  ``refused``: it must end with a refusal."""
        click.secho(f"$ {shlex.join(words)}", bold=True)
        program = Path(sys.executable).with_name(words[0])
        environment = os.environ | {"PRIVCAM_HOME": "home"}
        done = subprocess.run(
            [program, *words[1:]], cwd=self.folder, env=environment, capture_output=True, text=True, check=False
        )
        if refused:
            click.echo(f"{done.stderr.strip()}   [exit code {done.returncode}]\n")
        if refused == (done.returncode == 0):
            raise PrivcamError(f"{words[0]} ended with {done.returncode}: {done.stderr.strip()}")
        return done.stdout


def prepare(folder: Path) -> Workplace:
    """An empty folder; an earlier demonstration's is replaced, anybody else's is not."""
    make_folder(folder)
    if any(folder.iterdir()):
        if not (folder / MARKER).exists():
            raise OutputError(f"{folder} holds other files", hint="choose an empty folder with --output")
        shutil.rmtree(folder)
        make_folder(folder)
    (folder / MARKER).touch()
    return Workplace(folder)


def make_keys(place: Workplace) -> None:
    """Vault, sensor, two hosts of which one is authorised, and a sealed key."""
    place.run("keyvault", "init", "--no-passphrase")
    place.run("keyvault", "enroll", "sensor", "cam0")
    place.run("keyvault", "host-key", "--no-passphrase")
    place.run("keyvault", "enroll", "host", "lab-gpu", "--public", "home/host.pub")
    click.echo(
        place.run(
            *("keyvault", "issue", "--sensor", "cam0", "--host", "lab-gpu"),
            *("--size", SIZE, "--cfa", "RGGB", "-o", "sealed.bin"),
        )
    )


def capture(place: Workplace, photograph: Path) -> None:
    """One private frame of the photograph."""
    shutil.copyfile(photograph, place.folder / f"scene{photograph.suffix}")
    place.run(
        *("sensor-sim", "capture", "--key", "sealed.bin", "--scene", f"scene{photograph.suffix}"),
        *("--seed", str(SEED), "-o", "private.dng"),
    )


def plain_frame(session: Session, place: Workplace, photograph: Path) -> ShuffledFrame:
    """What a camera without protection would have put out: same scene, noise and converter."""
    frame = adc_firmware.read(place.folder / "private.dng", session.grants)
    policy, profile, serial = frame.header.policy, load_profile(None), serial_number(frame.header.sensor)
    scene = read_photograph(photograph, policy.width, policy.height)
    source = ExposedArray(scene, policy, CameraSettings(), profile.pixel, Shot(SEED, 0, serial))
    samples = profile.converter(policy, serial).convert(source.rows(0, policy.height))
    return ShuffledFrame(frame.header, samples, Permutation.identity((policy.height, policy.width)))


def plain_scores(frame: ShuffledFrame) -> dict[str, float]:
    """Probabilities of the ordinary network on the ordinary image."""
    chosen = inference.preset(MODEL)
    network = inference.pretrained(chosen)
    image = inference.isp(frame, settings=chosen.isp_settings()).reveal()
    with torch.inference_mode():
        probabilities = network(image).softmax(1)[0].tolist()
    return dict(zip(chosen.classes, probabilities, strict=True))


def private_scores(place: Workplace) -> dict[str, float]:
    """Probabilities of the keyed network on the private frame, from the command's JSON."""
    output = place.run("keyed-infer", "run", "--key", "sealed.bin", "--model", MODEL, "--json", "private.dng")
    result = json.loads(output)
    return {entry["label"]: entry["probability"] for entry in result["top"]}


def compare(plain: dict[str, float], private: dict[str, float]) -> None:
    """Both predictions, side by side."""
    click.echo(f"\n{'class':<12} {'plain frame, plain network':>28} {'private frame, keyed network':>30}")
    for label in sorted(private, key=private.__getitem__, reverse=True):
        click.echo(f"{label:<12} {plain[label]:>28.6f} {private[label]:>30.6f}")
    click.echo(f"largest difference: {max(abs(plain[label] - private[label]) for label in private):.1e}\n")


def refusals(place: Workplace) -> None:
    """What must not work."""
    click.secho("A host that the key is not sealed for:", fg="yellow")
    place.run("keyvault", "host-key", "--no-passphrase", "-o", "stranger.pem")
    infer = ("keyed-infer", "run", "--key", "sealed.bin", "--model", MODEL)
    place.run(*infer, "--identity", "stranger.pem", "private.dng", refused=True)

    click.secho("A key that has expired:", fg="yellow")
    place.run(
        *("keyvault", "issue", "--sensor", "cam0", "--host", "lab-gpu", "--size", SIZE),
        *("--not-before", "2026-01-01", "--valid-for", "1h", "-o", "expired.bin"),
    )
    place.run("sensor-sim", "capture", "--key", "expired.bin", "-o", "late.dng", refused=True)

    click.secho("A frame with one bit changed:", fg="yellow")
    data = bytearray((place.folder / "private.dng").read_bytes())
    data[len(data) // 2] ^= 1
    (place.folder / "tampered.dng").write_bytes(data)
    place.run(*infer, "tampered.dng", refused=True)


def draw_sheet(session: Session, place: Workplace, photograph: Path, scores: dict[str, float]) -> Path:
    """Scene, private frame, unmasked but shuffled, and revealed, in one picture."""
    private = adc_firmware.read(place.folder / "private.dng", session.grants)
    path = place.folder / "contact_sheet.png"
    contact_sheet.draw(photograph, private, session.open(private), scores, path)
    return path


@click.command(cls=Command)
@click.option("-o", "--output", type=click.Path(path_type=Path), default=Path("demo-output"), show_default=True)
@click.option(
    "--photograph",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    default=PHOTOGRAPH,
    help="PNG or JPEG.  [default: the cat that scikit-image ships]",
)
def main(output: Path, photograph: Path) -> None:
    """Photograph -> private frame -> keyed network, then what must be refused."""
    with native_messages_off():
        decode(photograph)  # refuse before anything is written
    place = prepare(output)
    make_keys(place)
    capture(place, photograph)
    session = inference.open_session(output / "sealed.bin", home=output / "home")
    private = private_scores(place)
    compare(plain_scores(plain_frame(session, place, photograph)), private)
    refusals(place)
    place.run("keyed-infer", "reveal", "--key", "sealed.bin", "private.dng", "-o", "revealed.png")
    click.echo(f"\npicture: {draw_sheet(session, place, photograph, private)}")


if __name__ == "__main__":
    main()
