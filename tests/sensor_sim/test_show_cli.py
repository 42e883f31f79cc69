"""``sensor-sim show``: pictures, metadata, what is verified, and what is refused."""

from __future__ import annotations

import json
import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from camera_kit import ISSUER, device, enrol, seal
from click.testing import CliRunner, Result
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from adc_firmware import Encoding, write
from keyvault.hosts import public_pem
from keyvault.policy import Cfa, Policy, Protection
from sensor_sim import Camera
from sensor_sim.cli import sensor_sim
from sensor_sim.frame_page import Shown, draw
from sensor_sim.histogram import Histogram, in_short, ticks

POLICY = Policy(32, 24)
VIEW_AT = (40, 110)  # left, top


@pytest.fixture
def place(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a key and a frame under it, and the issuer's public key at home."""
    monkeypatch.chdir(tmp_path)
    enrol(home)
    (home / "issuer.pub").write_bytes(public_pem(ISSUER.public_key()))
    seal(tmp_path / "sealed.bin", POLICY)
    with Camera("sealed.bin") as camera:
        for name in ("a.dng", "a.npy"):
            write(camera.capture(), tmp_path / name)
    return tmp_path


def show(*arguments: str) -> Result:
    return CliRunner().invoke(sensor_sim, ["show", *arguments], prog_name="sensor-sim")


def test_a_picture_beside_the_frame_without_any_key(place: Path) -> None:
    for secret in (place / "home").rglob("*"):
        if secret.is_file():
            secret.unlink()
    result = show("a.dng")
    assert result.exit_code == 0, result.output
    summary, picture = result.stdout.splitlines()
    assert summary.startswith("a.dng: 32x24 RGGB, 12 bits, shuffle+mask, sensor cam, key ")
    assert summary.endswith("; not verified")
    assert picture == "a.dng.view.png"
    assert cv2.imread(picture).shape[1] == 1240


def test_the_view_is_what_is_stored(place: Path) -> None:
    assert show("a.npy", "-o", "view.png").exit_code == 0
    stored = np.load("a.npy")
    left, top = VIEW_AT
    times = 700 // 32
    page = cv2.imread("view.png")
    for row, column in ((0, 0), (11, 30), (23, 31)):
        inside = page[top + row * times + times // 2, left + column * times + times // 2]
        assert set(inside.tolist()) == {int(stored[row, column]) >> 4}


def test_metadata_as_json_without_a_picture(place: Path) -> None:
    result = show("a.dng", "a.npy", "--json")
    first, second = json.loads(result.stdout)
    assert (first["file"], first["Encoding"], first["Counter"]) == ("a.dng", "dng", 0)
    assert (second["file"], second["Encoding"], second["Counter"]) == ("a.npy", "npy", 1)
    assert first["Verified"] is False
    assert first["BlackLevel"] == 64
    assert first["Policy"] == POLICY.to_json()
    assert not list(place.glob("*.png"))
    assert show("a.dng", "--json", "-o", "view.png").stdout.startswith("[")
    assert (place / "view.png").exists()


def test_with_the_public_part_of_a_key_the_signature_is_verified(place: Path) -> None:
    result = show("a.dng", "a.npy", "--key", "sealed.bin")
    assert result.stdout.count("; signature verified") == 2
    (record,) = json.loads(show("a.dng", "--key", ".", "--json").stdout)
    assert record["Verified"] is True
    first, second = (cv2.imread(f"{name}.view.png") for name in ("a.dng", "a.npy"))
    assert first.shape == second.shape
    assert show("a.dng", "-o", "unverified.png").exit_code == 0
    assert not np.array_equal(cv2.imread("unverified.png")[30:70], first[30:70])  # the title says so


def test_several_pictures_are_counted(place: Path) -> None:
    assert show("a.dng", "a.npy", "-o", "v%d.png").stdout.split()[-1] == "v1.png"
    assert (place / "v0.png").exists()


def prepare(place: Path) -> None:
    data = bytearray((place / "a.dng").read_bytes())
    data[-1] ^= 1
    (place / "changed.dng").write_bytes(data)
    (place / "half.dng").write_bytes(data[: len(data) // 2])
    (place / "text.dng").write_text("hello")
    (place / "folder").mkdir()
    seal(place / "other.bin", POLICY, epoch=2)
    stranger = Ed25519PrivateKey.from_private_bytes(b"x" * 32)
    seal(place / "theirs.bin", POLICY, owner=device("cam", 3, stranger), issuer=stranger)


REFUSALS = [
    ("a missing frame", ["missing.dng"], 3, "missing.dng"),
    ("half a frame", ["half.dng"], 3, "truncated"),
    ("text", ["text.dng"], 3, "not a private frame"),
    ("a folder", ["folder"], 3, "folder"),
    ("a pipe", ["pipe"], 3, "pipe"),
    ("a sidecar", ["a.npy.json"], 3, "give the data file, a.npy"),
    ("a changed frame under its key", ["changed.dng", "--key", "sealed.bin"], 6, "changed.dng"),
    ("another key", ["a.dng", "--key", "other.bin"], 7, "epoch 1"),
    ("another vault's key", ["a.dng", "--key", "theirs.bin"], 6, "trusted"),
    ("a missing key", ["a.dng", "--key", "missing.bin"], 3, "missing.bin"),
    ("an issuer without a key", ["a.dng", "--trust", "issuer.pub"], 2, "--key"),
    ("a picture over the frame", ["a.dng", "-o", "a.dng"], 4, "inputs"),
    ("a picture over a sidecar", ["a.npy", "-o", "a.npy.json"], 4, "inputs"),
    ("one name for two", ["a.dng", "a.npy", "-o", "v.png"], 4, "frame%05d"),
    ("no folder", ["a.dng", "-o", "none/v.png"], 4, "none"),
    ("a picture of another kind", ["a.dng", "-o", "v.jpg"], 4, "PNG"),
    ("no frame", [], 2, "FRAMES"),
]


@pytest.mark.parametrize(("arguments", "code", "words"), [r[1:] for r in REFUSALS], ids=[r[0] for r in REFUSALS])
def test_refusals(place: Path, arguments: list[str], code: int, words: str, capfd: pytest.CaptureFixture[str]) -> None:
    prepare(place)
    os.mkfifo(place / "pipe")
    result = show(*arguments)
    assert result.exit_code == code, result.output
    assert words in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert capfd.readouterr() == ("", "")
    assert not list(place.glob("*.png"))


@pytest.mark.parametrize(("width", "height"), [(1, 1), (65_535, 1), (1, 3000), (1500, 20)])
def test_every_shape_is_drawn(place: Path, width: int, height: int) -> None:
    policy = Policy(width, height, Cfa.NONE, 1, 16, protection=Protection.SHUFFLE)
    seal(place / "odd.bin", policy)
    with Camera("odd.bin") as camera:
        frame = camera.capture()
    page = draw(Shown(Path("x" * 300), frame.header, frame.samples, Encoding.DNG, verified=True))
    assert cv2.imdecode(np.frombuffer(page, np.uint8), cv2.IMREAD_COLOR).shape[1] == 1240


def test_a_histogram_counts_every_sample() -> None:
    samples = np.random.default_rng(0).integers(0, 4096, (50, 40)).astype(np.uint16)
    histogram = Histogram.of(samples, 12)
    assert histogram.counts.shape == (1, 256)
    assert histogram.counts.sum() == 2000
    assert histogram.counts[0, 7] == np.count_nonzero(samples // 16 == 7)
    stacked = np.stack([samples, samples, samples * 16], axis=2)  # the last plane is beyond the depth
    planes = Histogram.of(stacked, 12).counts
    assert np.array_equal(planes[0], histogram.counts[0])
    assert planes[2].sum() == 2000


def test_ticks_are_round_and_few() -> None:
    assert list(ticks(4096, 9)) == [0, 1000, 2000, 3000, 4000]
    assert list(ticks(1.08, 5)) == [0, 1]
    for top in (1, 3, 255, 65_536, 123_456_789):
        found = list(ticks(top, 5))
        assert 2 <= len(found) <= 5
        assert len(set(np.diff(found))) == 1
    assert [in_short(n) for n in (0, 999, 1500, 2_000_000)] == ["0", "999", "1.5 k", "2 M"]
