"""``sensor-sim capture``: defaults, files, refusals, and being killed."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from camera_kit import device, enrol, open_sealed, plain, reveal, seal
from click.testing import CliRunner, Result

import adc_firmware
from adc_firmware.packing import pack
from keyvault.policy import Cfa, Policy
from sensor_sim import CameraSettings, Shot, draw_chart
from sensor_sim.cli import sensor_sim
from sensor_sim.keys import open_newest

ROOT = Path(__file__).resolve().parent.parent.parent
POLICY = Policy(32, 24)


@pytest.fixture
def place(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a sealed key, and its device at home."""
    monkeypatch.chdir(tmp_path)
    enrol(home)
    seal(tmp_path / "sealed.bin", POLICY)
    return tmp_path


def capture(*arguments: str) -> Result:
    return CliRunner().invoke(sensor_sim, ["capture", *arguments], prog_name="sensor-sim")


def read(path: Path, key: str = "sealed.bin") -> np.ndarray:
    opened = open_sealed(Path(key))
    return reveal(adc_firmware.read(path, {opened.grant.key_id: opened.grant}), opened)


def test_the_key_is_all_it_needs(place: Path) -> None:
    result = capture("--key", "sealed.bin")
    assert result.exit_code == 0, result.output
    assert result.stdout == "frame00000.dng\n"
    assert read(place / "frame00000.dng").shape == (24, 32)


def test_lux_are_the_light_of_white(place: Path) -> None:
    shared = ("--key", "sealed.bin", "--profile", "phone-rolling", "--seed", "9", "-q")
    assert capture(*shared, "--illumination", "30lx", "-o", "dim.dng").exit_code == 0
    assert capture(*shared, "--illumination", "60lx", "-o", "bright.dng").exit_code == 0
    black = 64
    dim, bright = (read(place / f"{name}.dng").astype(float).mean() - black for name in ("dim", "bright"))
    assert bright / dim == pytest.approx(2, rel=0.05)
    refused = capture("--key", "sealed.bin", "--illumination", "30lx")
    assert (refused.exit_code, refused.stdout) == (3, "")
    assert "pitch_um" in refused.stderr


def test_options_reach_the_pixel(place: Path) -> None:
    result = capture("--key", "sealed.bin", "--shutter", "4000", "--gain", "2.5", "--seed", "9", "--frames", "2", "-q")
    assert (result.exit_code, result.stdout) == (0, "")
    settings = CameraSettings(4_000, 2.5, noise=True, seed=9)
    for number in range(2):
        expected = plain(draw_chart(32, 24), POLICY, settings, Shot(9, number))
        assert np.array_equal(read(place / f"frame0000{number}.dng"), expected)


def test_without_noise_a_photograph_is_its_expected_values(place: Path) -> None:
    image = np.random.default_rng(0).integers(0, 256, (24, 32, 3), np.uint8)
    cv2.imwrite("photo.png", image)
    assert capture("--key", "sealed.bin", "--scene", "photo.png", "--noise", "off", "-o", "a.dng").exit_code == 0
    from_camera = read(place / "a.dng")
    red = image[0, 0, 2] / 255
    linear = red / 12.92 if red <= 0.04045 else ((red + 0.055) / 1.055) ** 2.4
    assert from_camera[0, 0] == int(linear * (4095 - 64) + 64 + 0.5)


def test_metadata_tells_what_the_headers_say(place: Path) -> None:
    assert capture("--key", "sealed.bin", "--frames", "3", "-o", "f%d.dng", "--metadata", "m.json").exit_code == 0
    records = json.loads((place / "m.json").read_text())
    opened = open_sealed(Path("sealed.bin"))
    assert [record["file"] for record in records] == ["f0.dng", "f1.dng", "f2.dng"]
    for number, record in enumerate(records):
        header = adc_firmware.read(place / record["file"], {opened.grant.key_id: opened.grant}).header
        assert (record["KeyId"], record["Epoch"], record["Sensor"]) == (header.key_id, 1, "cam")
        assert (record["Session"], record["Counter"]) == (header.session.hex(), number)
        assert (record["ExposureTime"], record["AnalogueGain"]) == (10_000, 1.0)
        assert record["SensorTimestamp"] == header.timestamp_ns
        assert record["SensorBlackLevels"] == [1024] * 4
        assert (record["BlackLevel"], record["WhiteLevel"]) == (64, 4095)
        assert record["Protection"] == "shuffle+mask"
    assert [record["SensorTimestamp"] for record in records] == sorted(record["SensorTimestamp"] for record in records)


def test_a_file_that_is_there_is_replaced_whole(place: Path) -> None:
    (place / "a.dng").write_bytes(b"old")
    assert capture("--key", "sealed.bin", "-o", "a.dng").exit_code == 0
    assert read(place / "a.dng").shape == (24, 32)


def test_a_headerless_raw_file_enters_as_it_is(place: Path) -> None:
    dn = np.random.default_rng(0).integers(0, 4096, (24, 32)).astype("<u2")
    (place / "a.raw").write_bytes(dn.tobytes())
    layout = ["--raw-size", "32x24", "--raw-cfa", "RGGB", "--raw-black", "64", "--raw-white", "4000"]
    assert capture("--key", "sealed.bin", "--scene", "a.raw", *layout, "-o", "a.dng").exit_code == 0
    assert np.array_equal(read(place / "a.dng"), dn)


def test_a_packed_headerless_raw_file_enters_too(place: Path) -> None:
    dn = np.random.default_rng(0).integers(0, 4096, (24, 32)).astype(np.uint16)
    lines = np.frombuffer(pack(dn, "SRGGB12P"), np.uint8).reshape(24, 48)
    (place / "a.raw").write_bytes(np.pad(lines, ((0, 0), (0, 16))).tobytes())
    layout = ["--raw-size", "32x24", "--raw-cfa", "RGGB", "--raw-black", "64", "--raw-white", "4000"]
    padded = ["--raw-packing", "SRGGB12P", "--raw-stride", "64"]
    result = capture("--key", "sealed.bin", "--scene", "a.raw", *layout, *padded, "-o", "a.dng")
    assert result.exit_code == 0, result.output
    assert np.array_equal(read(place / "a.dng"), dn)


@pytest.mark.parametrize("name", ["a.tif", "a.png", "a.npy", "a.SRGGB12P.raw", "a.raw"])
def test_the_name_or_the_encoding_says_what_is_written(place: Path, name: str) -> None:
    encoding = ["--encoding", "DNG12"] if name == "a.raw" else []
    result = capture("--key", "sealed.bin", "--noise", "off", "-o", name, *encoding)
    assert result.exit_code == 0, result.output
    assert result.stdout == f"{name}\n"
    assert capture("--key", "sealed.bin", "--noise", "off", "-o", "a.dng", "--metadata", "a.dng.json").exit_code == 0
    assert np.array_equal(read(place / name), read(place / "a.dng"))


def prepare(place: Path) -> None:
    """Everything that the refusals below name."""
    noise = np.random.default_rng(0).integers(0, 256, (24, 32, 3), np.uint8)
    jpeg = cv2.imencode(".jpg", noise)[1].tobytes()
    png = cv2.imencode(".png", noise)[1].tobytes()
    key = (place / "sealed.bin").read_bytes()
    (place / "half.jpg").write_bytes(jpeg[: len(jpeg) // 2])
    (place / "half.png").write_bytes(png[: len(png) // 2])
    (place / "half.dng").write_bytes(b"II*\0\x08\0\0\0" + bytes(200))
    (place / "text.png").write_text("not an image")
    (place / "half.bin").write_bytes(key[: len(key) // 2])
    (place / "image.bin").write_bytes(png)
    (place / "small.raw").write_bytes(bytes(100))
    (place / "high.raw").write_bytes(np.full((24, 32), 5000, "<u2").tobytes())
    (place / "folder").mkdir()
    (place / "file").write_text("")
    (place / "open.json").write_bytes(device().to_bytes())
    (place / "open.json").chmod(0o644)
    device("stranger", 2).save(place / "stranger.json")
    seal(place / "old.bin", POLICY, days=(-3, -1))
    seal(place / "next.bin", POLICY, days=(1, 2))
    seal(place / "theirs.bin", POLICY, owner=device("theirs", 3))


RAW = ["--raw-size", "32x24", "--raw-cfa", "RGGB", "--raw-black", "64"]
REFUSALS = [
    ("a missing key", ["--key", "missing.bin"], 3, "missing.bin"),
    ("half a key", ["--key", "half.bin"], 3, "half.bin"),
    ("an image as key", ["--key", "image.bin"], 3, "image.bin"),
    ("a folder without keys", ["--key", "folder"], 3, "no sealed key"),
    ("an expired key", ["--key", "old.bin"], 8, "expired"),
    ("a key for later", ["--key", "next.bin"], 8, "valid from"),
    ("a key of another sensor", ["--key", "theirs.bin"], 7, "theirs.json"),
    ("the wrong device", ["--key", "sealed.bin", "--device", "stranger.json"], 7, "stranger"),
    ("a device file that others can read", ["--key", "sealed.bin", "--device", "open.json"], 3, "open.json"),
    ("a missing device file", ["--key", "sealed.bin", "--device", "missing.json"], 3, "missing.json"),
    ("an image as device", ["--key", "sealed.bin", "--device", "image.bin"], 3, "image.bin"),
    ("a missing scene", ["--key", "sealed.bin", "--scene", "missing.png"], 3, "missing.png"),
    ("half a jpeg", ["--key", "sealed.bin", "--scene", "half.jpg"], 3, "half.jpg"),
    ("half a png", ["--key", "sealed.bin", "--scene", "half.png"], 3, "half.png"),
    ("half a dng", ["--key", "sealed.bin", "--scene", "half.dng"], 3, "half.dng"),
    ("text as scene", ["--key", "sealed.bin", "--scene", "text.png"], 3, "text.png"),
    ("a folder as scene", ["--key", "sealed.bin", "--scene", "folder"], 3, "folder"),
    ("raw without layout", ["--key", "sealed.bin", "--scene", "small.raw"], 3, "--raw-size"),
    ("raw with half a layout", ["--key", "sealed.bin", "--scene", "small.raw", *RAW], 2, "--raw-white"),
    ("raw options without a file", ["--key", "sealed.bin", *RAW, "--raw-white", "4000"], 2, "--scene"),
    ("short raw", ["--key", "sealed.bin", "--scene", "small.raw", *RAW, "--raw-white", "4000"], 3, "1536"),
    ("DN beyond the depth", ["--key", "sealed.bin", "--scene", "high.raw", *RAW, "--raw-white", "4000"], 3, "5000 DN"),
    ("levels beyond the depth", ["--key", "sealed.bin", "--scene", "high.raw", *RAW, "--raw-white", "5000"], 5, "13"),
    (
        "noise on raw",
        ["--key", "sealed.bin", "--scene", "high.raw", *RAW, "--raw-white", "4095", "--noise", "on"],
        2,
        "--noise",
    ),
    ("black above white", ["--key", "sealed.bin", "--scene", "high.raw", *RAW, "--raw-white", "60"], 3, "black level"),
    ("no folder", ["--key", "sealed.bin", "-o", "none/a.dng"], 4, "none"),
    ("a file as folder", ["--key", "sealed.bin", "-o", "file/a.dng"], 4, "file"),
    ("a folder as output", ["--key", "sealed.bin", "-o", "folder"], 4, "folder"),
    ("no number for two frames", ["--key", "sealed.bin", "-o", "a.dng", "--frames", "2"], 4, "frame%05d.dng"),
    ("two numbers", ["--key", "sealed.bin", "-o", "a%d%d.dng", "--frames", "2"], 4, "frame%05d.dng"),
    ("another conversion", ["--key", "sealed.bin", "-o", "a%s.dng"], 4, "frame%05d.dng"),
    ("the key as output", ["--key", "sealed.bin", "-o", "sealed.bin"], 4, "inputs"),
    ("the scene as output", ["--key", "sealed.bin", "--scene", "half.jpg", "-o", "./half.jpg"], 4, "inputs"),
    ("metadata on a frame", ["--key", "sealed.bin", "-o", "a.dng", "--metadata", "a.dng"], 4, "two outputs"),
    ("no folder for metadata", ["--key", "sealed.bin", "--metadata", "none/m.json"], 4, "none"),
    ("a device for metadata", ["--key", "sealed.bin", "--metadata", os.devnull], 4, "not a file that can be replaced"),
    ("metadata on a sidecar", ["--key", "sealed.bin", "-o", "a.npy", "--metadata", "a.npy.json"], 4, "a.npy.json"),
    ("another mode", ["--key", "sealed.bin", "--mode", "64:48"], 5, "64x48"),
    ("no frames", ["--key", "sealed.bin", "--frames", "0"], 2, "--frames"),
    ("no shutter", ["--key", "sealed.bin", "--shutter", "0"], 3, "shutter"),
    ("no gain", ["--key", "sealed.bin", "--gain", "0"], 3, "gain"),
    ("no key", [], 2, "--key"),
]


@pytest.mark.parametrize(("arguments", "code", "words"), [r[1:] for r in REFUSALS], ids=[r[0] for r in REFUSALS])
def test_refusals(place: Path, arguments: list[str], code: int, words: str, capfd: pytest.CaptureFixture[str]) -> None:
    prepare(place)
    open_newest("sealed.bin")  # which the sensor remembers
    before = {path: path.read_bytes() for path in place.rglob("*") if path.is_file()}
    result = capture(*arguments)
    assert result.exit_code == code, result.output
    assert words in result.stderr
    assert result.stdout == ""
    assert len(result.stderr.splitlines()) == 1
    assert re.match(r"sensor-sim: .", result.stderr)
    assert capfd.readouterr() == ("", "")  # nor do image libraries print anything
    assert {path: path.read_bytes() for path in place.rglob("*") if path.is_file()} == before


def test_a_scene_that_does_not_fit_names_the_size(place: Path) -> None:
    (place / "a.raw").write_bytes(bytes(40 * 30 * 2))
    layout = ["--raw-size", "40x30", "--raw-cfa", "RGGB", "--raw-black", "0", "--raw-white", "255"]
    result = capture("--key", "sealed.bin", "--scene", "a.raw", *layout)
    assert result.exit_code == 5
    assert "--size 40x30" in result.stderr


def test_a_folder_that_cannot_be_written_to_is_refused_before_capture(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: not mode & os.W_OK)  # who runs as root may write anywhere
    result = capture("--key", "sealed.bin")
    assert (result.exit_code, list(place.glob("*.dng"))) == (4, [])


KILLED = """
import os, signal, sys
real = getattr(os, {step!r})
def last(*arguments):
    {after}
    os.kill(os.getpid(), signal.SIGKILL)
os.{step} = last
from sensor_sim.cli import main
main()
"""


@pytest.mark.parametrize(
    ("step", "after", "new"),
    [
        ("fsync", "pass", False),
        ("replace", "pass", False),
        ("replace", "real(*arguments)", True),
    ],
)
def test_a_killed_capture_leaves_the_old_file_or_the_new_one(place: Path, step: str, after: str, new: bool) -> None:
    (place / "a.dng").write_bytes(b"old")
    open_newest("sealed.bin")  # so that only the frame is written
    program = KILLED.format(step=step, after=after)
    arguments = ["capture", "--key", "sealed.bin", "-o", "a.dng"]
    run = subprocess.run(
        [sys.executable, "-c", program, *arguments], check=False, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    assert run.returncode == -signal.SIGKILL
    if new:
        assert read(place / "a.dng").shape == (24, 32)
    else:
        assert (place / "a.dng").read_bytes() == b"old"


def test_an_interrupted_run_keeps_its_frames_and_their_metadata(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[Path] = []

    real = adc_firmware.write

    def write(frame: adc_firmware.PrivateFrame, path: Path, encoding: str | None = None) -> None:
        if len(written) == 2:
            raise KeyboardInterrupt
        written.append(path)
        real(frame, path, encoding)

    monkeypatch.setattr("adc_firmware.files.write", write)
    result = capture("--key", "sealed.bin", "--frames", "5", "--metadata", "m.json")
    assert result.exit_code == 130
    assert [record["file"] for record in json.loads((place / "m.json").read_text())] == list(map(str, written))
    for path in written:
        assert read(place / path).shape == (24, 32)


def test_stacked_and_monochrome_sensors_capture_too(place: Path) -> None:
    for name, policy in [("mono", Policy(31, 23, Cfa.NONE)), ("stacked", Policy(31, 23, Cfa.NONE, 3))]:
        seal(place / f"{name}.bin", policy)
        assert capture("--key", f"{name}.bin", "-o", f"{name}.dng").exit_code == 0
        assert read(place / f"{name}.dng", f"{name}.bin").shape[:2] == (23, 31)
