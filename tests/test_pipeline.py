"""The whole pipeline, with the project's own commands: scene to sensor to host to network."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

import inference
from cifar10 import load
from evaluate_cifar10 import evaluate
from inference.imaging import Gamma

ROOT = Path(__file__).resolve().parent.parent
RESNET32_HITS = 944  # of the first 1,017 test images, stated by the weights' source
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def command(*words: str | Path, folder: Path) -> str:
    """Run one of the project's commands; its output."""
    program = Path(sys.executable).with_name(str(words[0]))
    done = subprocess.run([program, *words[1:]], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def cifar(privcam_data: Path, tmp_path: Path) -> Path:
    """The test images at hand in the standard binary layout."""
    stored = np.load(privcam_data / "cifar10" / "test_first1017.npz")
    records = np.empty((len(stored["x"]), 3073), np.uint8)
    records[:, 0] = stored["y"]
    records[:, 1:] = stored["x"].transpose(0, 3, 1, 2).reshape(len(stored["x"]), -1)
    folder = tmp_path / "cifar-10-batches-bin"
    folder.mkdir()
    records.tofile(folder / "test_batch.bin")
    return tmp_path


def test_resnet32_computes_the_same_on_private_frames_of_all_test_images(
    cifar: Path, privcam_data: Path, home: Path
) -> None:
    folder = cifar
    command("keyvault", "init", "--no-passphrase", folder=folder)
    command("keyvault", "enroll", "sensor", "cam0", folder=folder)
    command("keyvault", "host-key", "--no-passphrase", folder=folder)
    command("keyvault", "enroll", "host", "lab", "--public", home / "host.pub", folder=folder)
    geometry = ("--size", "64x64", "--cfa", "RGGB", "--bits", "8")
    command("keyvault", "issue", "--sensor", "cam0", "--host", "lab", *geometry, "-o", "sealed.bin", folder=folder)
    replay = (ROOT / "tools" / "replay_dataset.py", "--key", "sealed.bin", "--sampling", "quad")
    command("python", *replay, folder, "-o", "replay", folder=folder)

    chosen = inference.preset("resnet32")
    network = inference.pretrained(chosen, next((privcam_data / "cifar10-resnet").glob("resnet32-*.th")))
    settings = chosen.isp_settings(gamma=Gamma.NONE, mean=IMAGENET_MEAN, std=IMAGENET_STD)
    session = inference.open_session(folder / "sealed.bin")
    result = evaluate(folder / "replay", session, network, settings, load(folder, "test"))

    assert result.plain.total == result.agreeing == 1017
    assert result.plain.correct == result.keyed.correct == RESNET32_HITS
    assert result.largest_difference < 1e-4
    assert 54 <= result.substituted.correct <= 150  # a tenth, within five standard deviations


def test_the_demonstration_shows_equal_predictions_refusals_and_a_picture(tmp_path: Path) -> None:
    output = command("python", ROOT / "tools" / "demo.py", "--output", "demo", folder=tmp_path)

    assert "cat" in output
    difference = float(output.partition("largest difference: ")[2].split()[0])
    assert difference < 1e-5
    assert [line.rpartition("[exit code ")[2] for line in output.splitlines() if "[exit code" in line] == [
        "7]",
        "8]",
        "6]",
    ]
    sheet = cv2.imread(str(tmp_path / "demo" / "contact_sheet.png"))
    assert sheet.shape[0] > 500
    assert not (tmp_path / "demo" / "late.dng").exists()
