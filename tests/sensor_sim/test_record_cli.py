"""``sensor-sim record``: when it ends, what it leaves, gaps, and what it refuses."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from camera_kit import enrol, open_sealed, reveal, seal
from click.testing import CliRunner, Result

import adc_firmware
from keyvault.errors import OutputError
from keyvault.policy import Policy
from sensor_sim import Camera, Request
from sensor_sim.cli import sensor_sim
from sensor_sim.errors import FramesDroppedError
from sensor_sim.keys import open_newest
from sensor_sim.metadata_file import MetadataFile
from sensor_sim.outputs import FrameNames
from sensor_sim.recording import Plan, Recorded, record, stopping

ROOT = Path(__file__).resolve().parent.parent.parent
POLICY = Policy(32, 24)
KEY = ("--key", "sealed.bin")
SUMMARY = re.compile(r"sensor-sim: (\d+) frames, (\d+) dropped, (\d+) missed(, [\d.]+ frames/s)?\n")


@pytest.fixture
def place(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a sealed key, and its device at home."""
    monkeypatch.chdir(tmp_path)
    enrol(home)
    seal(tmp_path / "sealed.bin", POLICY)
    return tmp_path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(sensor_sim, ["record", *KEY, *arguments], prog_name="sensor-sim")


def counters(place: Path, pattern: str = "*.dng") -> list[int]:
    """The counters of the frames that are there, each verified."""
    opened = open_sealed(place / "sealed.bin")
    grants = {opened.grant.key_id: opened.grant}
    return [adc_firmware.read(path, grants).header.counter for path in sorted(place.glob(pattern))]


def test_so_many_frames_in_files_named_by_their_number(place: Path) -> None:
    result = run("--frames", "5", "--framerate", "0", "--metadata", "m.json")
    assert result.exit_code == 0, result.output
    assert result.stdout == ""
    assert SUMMARY.fullmatch(result.stderr)[1] == "5"
    records = json.loads((place / "m.json").read_text())
    names = [f"frame{record['FrameSequence']:05d}.dng" for record in records]
    assert [record["file"] for record in records] == names == sorted(path.name for path in place.glob("*.dng"))
    assert [record["Counter"] for record in records] == counters(place) == list(range(5))


def test_time_is_counted_in_slots_of_the_frame_rate(place: Path) -> None:
    result = run("--timeout", "400", "--framerate", "10")
    assert result.exit_code == 0, result.output
    written, dropped, missed, _ = SUMMARY.fullmatch(result.stderr).groups()
    assert int(written) + int(dropped) + int(missed) <= 4
    assert {path.name for path in place.glob("*.dng")} <= {f"frame0000{n}.dng" for n in range(4)}
    assert (place / "frame00000.dng").exists()


def test_other_encodings_have_their_sidecars(place: Path) -> None:
    assert run("--frames", "2", "--framerate", "0", "--mode", "32:24:12:P", "-o", "f%d.raw").exit_code == 0
    assert len(list(place.glob("f*.raw"))) == len(list(place.glob("f*.raw.json"))) == 2
    assert all(path.stat().st_size == 32 * 24 * 12 // 8 for path in place.glob("f*.raw"))
    assert run("--frames", "1", "--mode", "32:24:12:U", "-o", "u.raw").exit_code == 0
    assert (place / "u.raw").stat().st_size == 32 * 24 * 2
    assert counters(place, "?*.raw") == [0, 1, 0]


@pytest.fixture
def clip(place: Path) -> str:
    """A video of 6 frames at 20 frames a second."""
    writer = cv2.VideoWriter("clip.avi", cv2.VideoWriter_fourcc(*"MJPG"), 20, (32, 24))
    for level in range(0, 240, 40):
        writer.write(np.full((24, 32, 3), level, np.uint8))
    writer.release()
    return "clip.avi"


def test_a_video_is_recorded_at_its_own_rate_to_its_end(place: Path, clip: str) -> None:
    result = run("--scene", clip, "--noise", "off", "--metadata", "m.json")
    assert result.exit_code == 0, result.output
    records = json.loads((place / "m.json").read_text())
    assert [record["FrameDuration"] for record in records] == [50_000] * 6
    assert counters(place) == list(range(6))


def test_half_a_video_is_said_in_one_line(place: Path) -> None:
    writer = cv2.VideoWriter("whole.avi", cv2.VideoWriter_fourcc(*"MJPG"), 20, (64, 48))
    for image in np.random.default_rng(0).integers(0, 256, (8, 48, 64, 3), np.uint8):
        writer.write(image)
    writer.release()
    data = (place / "whole.avi").read_bytes()
    (place / "half.avi").write_bytes(data[: len(data) // 2])
    command = [sys.executable, "-c", "from sensor_sim.cli import main; main()", "record", *KEY, "--scene", "half.avi"]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=env, check=False, capture_output=True, text=True)
    assert done.returncode == 3
    (told,) = done.stderr.splitlines()  # what decodes the video has something to say as well
    assert re.match(r"sensor-sim: scene half\.avi ends after \d of 8 frames", told)


def test_scenes_that_end_too_soon_are_said_and_loop_helps(place: Path, clip: str) -> None:
    result = run("--scene", clip, "--framerate", "0", "--frames", "8")
    assert result.exit_code == 1
    assert "after 6 of 8 frames; --loop" in result.stderr
    assert counters(place) == list(range(6))
    assert run("--scene", clip, "--framerate", "0", "--frames", "8", "--loop", "--strict").exit_code == 0
    assert counters(place) == list(range(8))


def test_a_region_is_cut(place: Path) -> None:
    image = np.zeros((24, 32, 3), np.uint8)
    image[12:, 16:] = 255
    cv2.imwrite("photo.png", image)
    whole = ("--scene", "photo.png", "--noise", "off", "--frames", "1", "--metadata", "m.json")
    assert run(*whole, "--roi", "0.5,0.5,0.5,0.5", "-o", "white.dng").exit_code == 0
    assert run(*whole, "--roi", "0,0,16,12", "-o", "black.dng").exit_code == 0
    opened = open_sealed(place / "sealed.bin")
    white, black = (
        adc_firmware.read(f"{name}.dng", {opened.grant.key_id: opened.grant}) for name in ("white", "black")
    )
    assert np.all(reveal(white, opened) == 4095)
    assert np.all(reveal(black, opened) == 64)


def test_quiet_is_quiet(place: Path) -> None:
    result = run("--frames", "1", "-q")
    assert (result.exit_code, result.output) == (0, "")


def slow_disk(seconds: float) -> Callable[..., None]:
    """Request.save that loses time, so that the stream runs ahead of it."""
    real = Request.save

    def save(request: Request, *arguments: Any) -> None:
        time.sleep(seconds)
        real(request, *arguments)

    return save


@pytest.mark.parametrize("overflow", ["block", "drop-oldest"])
def test_gaps_are_counted_and_strict_refuses_them(place: Path, monkeypatch: pytest.MonkeyPatch, overflow: str) -> None:
    monkeypatch.setattr(Request, "save", slow_disk(0.05))
    slow = (
        "--frames",
        "8",
        "--framerate",
        "100",
        "--buffer-count",
        "2",
        "--overflow",
        overflow,
        "--metadata",
        "m.json",
    )
    result = run(*slow, "--strict")
    assert result.exit_code == 14
    (last,) = result.stderr.splitlines()
    assert re.match(r"sensor-sim: the recording has gaps: 8 frames, \d+ dropped, \d+ missed", last)
    sequences = [record["FrameSequence"] for record in json.loads((place / "m.json").read_text())]
    lost = sequences[-1] + 1 - len(sequences)
    numbers = [int(number) for number in re.findall(r"(\d+) (?:dropped|missed)", last)]
    assert sum(numbers) == lost > 0
    assert (numbers[0] > 0) is (overflow == "drop-oldest")
    assert [f"frame{n:05d}.dng" for n in sequences] == sorted(path.name for path in place.glob("*.dng"))
    assert run(*slow).exit_code == 0


def test_strict_is_content_without_gaps(place: Path) -> None:
    assert run("--frames", "4", "--framerate", "0", "--strict").exit_code == 0
    whole, gap = Recorded(frames=3, slots=3), Recorded(frames=3, slots=5, dropped=1)
    whole.check_whole()
    with pytest.raises(FramesDroppedError, match="3 frames, 1 dropped, 1 missed"):
        gap.check_whole()


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_it_cleanly(place: Path, signum: int) -> None:
    program = "from sensor_sim.cli import main; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", program, "record", *KEY, "-t", "0", "--framerate", "50", "--metadata", "m.json"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 60
    while len(list(place.glob("*.dng"))) < 3 and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signum)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 0, told
    found = SUMMARY.fullmatch(told)
    assert found, told
    files = sorted(path.name for path in place.glob("*.dng"))
    assert int(found[1]) == len(files) >= 3
    assert [record["file"] for record in json.loads((place / "m.json").read_text())] == files
    assert counters(place) == sorted(set(counters(place)))


def test_a_killed_recording_leaves_whole_frames_and_valid_metadata(place: Path) -> None:
    program = (
        "import os, signal\n"
        "from sensor_sim import metadata_file\n"
        "real, added = metadata_file.MetadataFile.add, []\n"
        "def add(self, record):\n"
        "    real(self, record)\n"
        "    added.append(record)\n"
        "    if len(added) == 3: os.kill(os.getpid(), signal.SIGKILL)\n"
        "metadata_file.MetadataFile.add = add\n"
        "from sensor_sim.cli import main; main()\n"
    )
    arguments = ["record", *KEY, "-t", "0", "--framerate", "0", "--metadata", "m.json"]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", program, *arguments], env=env, check=False, capture_output=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    records = json.loads((place / "m.json").read_text())
    assert [record["Counter"] for record in records] == counters(place) == [0, 1, 2]


def test_a_failing_output_ends_it_with_what_was_written(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Request.save

    def save(self: Request, path: Path, encoding: str | None = None) -> None:
        if path.name == "frame00002.dng":
            raise OutputError("cannot write frame00002.dng: No space left on device", hint="free space")
        real(self, path, encoding)

    monkeypatch.setattr(Request, "save", save)
    result = run("--frames", "5", "--framerate", "0", "--metadata", "m.json")
    assert result.exit_code == 4
    assert result.stderr == "sensor-sim: cannot write frame00002.dng: No space left on device; free space\n"
    assert counters(place) == [0, 1]
    assert len(json.loads((place / "m.json").read_text())) == 2
    assert "privcam camera" not in {thread.name for thread in threading.enumerate()}


def test_a_second_interrupt_is_as_without() -> None:
    event, before = threading.Event(), signal.getsignal(signal.SIGINT)

    def interrupt_twice() -> None:
        with stopping(event):
            signal.raise_signal(signal.SIGINT)
            assert event.is_set()
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        interrupt_twice()
    assert signal.getsignal(signal.SIGINT) is before


def test_a_newer_key_is_taken_over_and_nothing_is_lost(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (place / "keys").mkdir()
    seal(place / "keys" / "1.bin", POLICY)
    real, added = MetadataFile.add, []

    def add(self: MetadataFile, entry: dict[str, Any]) -> None:
        real(self, entry)
        added.append(entry)
        if len(added) == 3:
            seal(place / "keys" / "2.bin", POLICY, epoch=2)

    monkeypatch.setattr(MetadataFile, "add", add)
    arguments = ["--frames", "60", "--framerate", "0", "--watch-key", "0", "--metadata", "m.json", "--strict"]
    result = CliRunner().invoke(sensor_sim, ["record", "--key", "keys", *arguments])
    assert result.exit_code == 0, result.output
    records = json.loads((place / "m.json").read_text())
    epochs = [record["Epoch"] for record in records]
    assert epochs == sorted(epochs)
    assert set(epochs) == {1, 2}
    assert [record["FrameSequence"] for record in records] == list(range(60))
    first = epochs.index(2)
    assert [record["Counter"] for record in records] == [*range(first), *range(60 - first)]


def test_a_terminal_sees_progress(place: Path) -> None:
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 80))
    program = "from sensor_sim.cli import main; main()"
    command = [sys.executable, "-c", program, "record", *KEY, "--frames", "3", "--framerate", "0"]
    process = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(ROOT)}, stderr=theirs)
    assert process.wait(timeout=60) == 0
    os.close(theirs)
    seen = os.read(ours, 10_000).decode()
    os.close(ours)
    assert "3/3" in seen
    assert "sensor-sim: 3 frames, 0 dropped, 0 missed" in seen


def test_stop_is_heeded_before_the_first_frame(place: Path) -> None:
    stop = threading.Event()
    stop.set()
    with Camera("sealed.bin") as camera:
        assert record(camera, Plan(FrameNames("f%d.dng", None)), stop) == Recorded()
        assert not camera.running


REFUSALS = [
    ("one name", ["-o", "a.dng"], 4, "frame%05d.dng"),
    ("frames over the key", ["-o", "sealed%d.bin", "--encoding", "dng", "--key", "sealed1.bin"], 4, "sealed1.bin"),
    ("sidecars over the metadata", ["-o", "f%d.npy", "--metadata", "f3.npy.json"], 4, "f3.npy.json"),
    ("a name without encoding", ["-o", "f%d.raw"], 4, "does not say what to write"),
    ("an encoding of another mosaic", ["--encoding", "SBGGR12P", "-o", "f%d.raw"], 5, "SBGGR12P"),
    ("an unknown encoding", ["--encoding", "srggb12p", "-o", "f%d.raw"], 4, "SRGGB12P"),
    ("packed and not", ["--mode", "32:24:12:U", "-o", "f%d.SRGGB12P"], 2, "unpacked"),
    ("another size", ["--mode", "64:48:12:P"], 5, "the mode is 64x48, 12 bits; the key is for 32x24, 12 bits"),
    ("another depth", ["--mode", "32:24:10"], 5, "10 bits"),
    ("no mode", ["--mode", "32x24"], 2, "1920:1080:12:P"),
    ("too fast", ["--framerate", "1000"], 3, "ask for"),
    ("a negative rate", ["--framerate", "-1"], 3, "frame rate"),
    ("no buffers", ["--buffer-count", "0"], 3, "buffer_count"),
    ("a negative time", ["-t", "-1"], 2, "--timeout"),
    ("no gain", ["--gain", "0"], 3, "gain"),
    ("no region", ["--roi", "1,2"], 3, "X,Y,W,H"),
    ("no video", ["--scene", "missing.mp4"], 3, "missing.mp4"),
    ("no live camera", ["--scene", "camera:99"], 3, "camera 99"),
    ("an empty folder", ["--scene", "home"], 3, "home"),
    ("its own scenes", ["--scene", "shot%d.png", "-o", "shot%d.png"], 4, "shot1.png"),
    ("no profile", ["--profile", "nothing"], 3, "nothing"),
]


@pytest.mark.parametrize(("arguments", "code", "words"), [r[1:] for r in REFUSALS], ids=[r[0] for r in REFUSALS])
def test_refusals(place: Path, arguments: list[str], code: int, words: str) -> None:
    seal(place / "sealed1.bin", POLICY)
    cv2.imwrite("shot1.png", np.zeros((24, 32, 3), np.uint8))
    open_newest("sealed.bin")  # which the sensor remembers
    before = {path: path.read_bytes() for path in place.rglob("*") if path.is_file()}
    result = run(*arguments)
    assert result.exit_code == code, result.output
    assert words in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert {path: path.read_bytes() for path in place.rglob("*") if path.is_file()} == before
