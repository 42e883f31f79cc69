"""Replaying data sets: what the shards hold, resuming, and being interrupted."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tarfile
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner, Result

import replay_dataset
import shards
from adc_firmware import decode, frame_permutation, unmask
from image_sources import Item
from keyvault.device import Device
from keyvault.envelope import read_sealed
from keyvault.errors import PolicyError
from keyvault.grant import OpenGrant
from keyvault.hosts import generate_host_key
from keyvault.issuing import Terms
from keyvault.policy import Cfa, Policy
from keyvault.vault import Vault
from quad_scenes import quad_scene
from sensor_sim import Shot, expose
from sensor_sim.photograph import from_image
from sensor_sim.settings import CameraSettings, PixelModel

COUNT = 23
RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (COUNT, 32, 32, 3), np.uint8)
LABELS = RNG.integers(0, 10, COUNT)
CLASSES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
TOOLS = Path(replay_dataset.__file__).parent
POLICIES = {
    "bayer": Policy(64, 64, bits=8),
    "deep": Policy(64, 64, Cfa.GBRG, bits=12),
    "stacked": Policy(32, 32, Cfa.NONE, 3, bits=8),
    "mono": Policy(64, 64, Cfa.NONE, bits=8),
}


@pytest.fixture(scope="module")
def camera_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with an enrolled sensor and its sealed key for each policy, made by a vault."""
    base = tmp_path_factory.mktemp("camera") / "home"
    with Vault.create(base, None) as vault:
        vault.enroll_host("lab", generate_host_key().public_key())
        for name, policy in POLICIES.items():
            vault.enroll_sensor(name, base / "devices" / f"{name}.json")
            (base / f"{name}.bin").write_bytes(vault.issue(name, Terms(("lab",), policy, 0, 2**32)).data)
    return base


@pytest.fixture
def keys(camera_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of sealed keys, with the working folder elsewhere and a CIFAR-10 test batch in ``cifar``."""
    monkeypatch.setenv("PRIVCAM_HOME", str(camera_home))
    monkeypatch.chdir(tmp_path)
    records = [bytes([label]) + image.transpose(2, 0, 1).tobytes() for image, label in zip(IMAGES, LABELS, strict=True)]
    (tmp_path / "cifar").mkdir()
    (tmp_path / "cifar" / "test_batch.bin").write_bytes(b"".join(records))
    return camera_home


def run(key: Path, *arguments: str) -> Result:
    return CliRunner().invoke(replay_dataset.main, ["--key", str(key), *arguments], prog_name="replay_dataset.py")


def replay(key: Path, *arguments: str) -> None:
    result = run(key, *arguments)
    assert result.exit_code == 0, result.output


def opened(key: Path) -> OpenGrant:
    device = Device.load(key.parent / "devices" / f"{key.stem}.json")
    return read_sealed(key, device.issuer).open_as_sensor(device)


def reveal(data: bytes, grant: OpenGrant) -> np.ndarray:
    frame = decode(data, {grant.grant.key_id: grant.grant})
    permutation = frame_permutation(grant, frame.header.frame_id)
    mask_key = grant.frame_secrets(frame.header.frame_id).mask_key
    return permutation.undo(unmask(frame.samples, permutation, mask_key, grant.grant.policy))


def planes(dn: np.ndarray, cfa: str) -> dict[str, list[np.ndarray]]:
    """The four planes of a mosaic, by colour."""
    found: dict[str, list[np.ndarray]] = {"R": [], "G": [], "B": []}
    for place, colour in enumerate(cfa):
        found[colour].append(dn[place // 2 :: 2, place % 2 :: 2])
    return found


@pytest.mark.parametrize("name", ["bayer", "deep"])
def test_quads_carry_every_pixel_exactly(keys: Path, name: str) -> None:
    key = keys / f"{name}.bin"
    replay(key, "--sampling", "quad", "cifar", "-o", "out")
    grant = opened(key)
    samples = list(shards.iter_shards("out"))
    assert [sample.key for sample in samples] == [f"{i:06d}" for i in range(COUNT)]
    assert [sample.label for sample in samples] == LABELS.tolist()
    assert samples[3].info == {"index": 3, "source": "test/3", "class": CLASSES[LABELS[3]]}
    for sample, image in zip(samples, IMAGES, strict=True):
        header = decode(sample.frame, {grant.grant.key_id: grant.grant}).header
        assert (header.black_level, header.white_level) == (0, 255)
        found = planes(reveal(sample.frame, grant), POLICIES[name].cfa)
        assert [len(found[colour]) for colour in "RGB"] == [1, 2, 1]
        for channel, colour in enumerate("RGB"):
            for plane in found[colour]:
                assert np.array_equal(plane, image[:, :, channel])


def test_a_stacked_sensor_carries_the_image_itself(keys: Path) -> None:
    key = keys / "stacked.bin"
    replay(key, "--sampling", "quad", "cifar", "-o", "out")
    for sample, image in zip(shards.iter_shards("out"), IMAGES, strict=True):
        assert np.array_equal(reveal(sample.frame, opened(key)), image)


def test_the_real_test_images_are_carried_exactly(keys: Path, privcam_data: Path) -> None:
    with np.load(privcam_data / "cifar10" / "test_first1017.npz") as data:
        images, labels = data["x"], data["y"]
    records = np.concatenate([labels[:, None], images.transpose(0, 3, 1, 2).reshape(len(images), -1)], axis=1)
    Path("cifar/test_batch.bin").write_bytes(records.astype(np.uint8).tobytes())
    replay(keys / "bayer.bin", "--sampling", "quad", "cifar", "-o", "out")
    grant = opened(keys / "bayer.bin")
    count = 0
    for sample, image, label in zip(shards.iter_shards("out"), images, labels, strict=True):
        found = planes(reveal(sample.frame, grant), "RGGB")
        means = [np.mean(found[colour], axis=0) for colour in "RGB"]
        assert np.array_equal(np.stack(means, axis=2), image)
        assert sample.label == label
        count += 1
    assert count == 1017


def test_photographs_are_exposed(keys: Path) -> None:
    key = keys / "bayer.bin"
    replay(key, "--sampling", "photo", "--seed", "4", "--gain", "2", "--shutter", "4000", "cifar", "-o", "out")
    settings, pixel, policy = CameraSettings(4_000, 2.0, noise=True, seed=4), PixelModel(), POLICIES["bayer"]
    for index, sample in enumerate(shards.iter_shards("out")):
        source = expose(from_image(IMAGES[index], 64, 64), policy, settings, pixel, Shot(4, index))
        expected = pixel.converter(8).convert(source.rows(0, 64))
        assert np.array_equal(reveal(sample.frame, opened(key)), expected)


def test_all_frames_are_of_one_session(keys: Path) -> None:
    replay(keys / "bayer.bin", "--sampling", "quad", "cifar", "-o", "out", "--shard-size", "10")
    grant = opened(keys / "bayer.bin").grant
    headers = [decode(sample.frame, {grant.key_id: grant}).header for sample in shards.iter_shards("out")]
    assert len({header.session for header in headers}) == 1
    assert [header.counter for header in headers] == list(range(COUNT))


def test_limit_and_shard_size_shape_the_run(keys: Path) -> None:
    replay(keys / "bayer.bin", "--sampling", "quad", "cifar", "-o", "out", "--shard-size", "8", "--limit", "20")
    manifest = shards.read_manifest(Path("out"))
    assert (manifest.shards, manifest.total, manifest.done) == ((8, 8, 4), 20, 20)
    assert json.loads(Path("out/manifest.json").read_text())["complete"] is True
    assert sorted(path.name for path in Path("out").iterdir()) == [
        "manifest.json",
        "shard-000000.tar",
        "shard-000001.tar",
        "shard-000002.tar",
    ]


SLOW = """
import os, signal, sys
sys.path[:0] = [{tools!r}, {root!r}]
import shards
real = shards.ShardFile.add
seen = []
def add(self, sample):
    seen.append(sample)
    if len(seen) == {count}:
        os.kill(os.getpid(), signal.{signal})
    real(self, sample)
shards.ShardFile.add = add
import replay_dataset
replay_dataset.main(prog_name="replay_dataset.py")
"""


def stopped(key: Path, kind: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A run that gets a signal while it adds its 15th frame: the second shard of ten is under way."""
    program = SLOW.format(tools=str(TOOLS), root=str(TOOLS.parent), count=15, signal=kind)
    return subprocess.run(
        [sys.executable, "-c", program, "--key", str(key), *arguments],
        check=False,
        capture_output=True,
        text=True,
        env=dict(os.environ),
    )


@pytest.mark.parametrize(("kind", "code"), [("SIGINT", 130), ("SIGKILL", -signal.SIGKILL)])
def test_a_run_that_was_stopped_goes_on_where_it_stood(keys: Path, kind: str, code: int) -> None:
    photo = ["--sampling", "photo", "--seed", "4", "cifar", "--shard-size", "10"]
    key = keys / "bayer.bin"
    broken = stopped(key, kind, *photo, "-o", "broken")
    assert broken.returncode == code, broken.stderr
    assert shards.read_manifest(Path("broken")).shards == (10,)
    assert len(list(Path("broken").glob(".*"))) == (kind == "SIGKILL")
    assert len(list(shards.iter_shards("broken"))) == 10
    first = Path("broken/shard-000000.tar").read_bytes()
    replay(key, *photo, "-o", "broken", "--resume")
    replay(key, *photo, "-o", "whole")
    assert Path("broken/shard-000000.tar").read_bytes() == first
    assert not list(Path("broken").glob(".*"))
    assert shards.read_manifest(Path("broken")) == shards.read_manifest(Path("whole"))
    grant = opened(key)
    for one, other in zip(shards.iter_shards("broken"), shards.iter_shards("whole"), strict=True):
        assert (one.key, one.label, one.info) == (other.key, other.label, other.info)
        assert np.array_equal(reveal(one.frame, grant), reveal(other.frame, grant))


def test_resuming_a_finished_or_an_unstarted_run_is_fine(keys: Path) -> None:
    arguments = ["--sampling", "quad", "cifar", "-o", "out", "--resume"]
    replay(keys / "bayer.bin", *arguments)
    before = Path("out/shard-000000.tar").read_bytes()
    replay(keys / "bayer.bin", *arguments)
    assert Path("out/shard-000000.tar").read_bytes() == before


def test_a_folder_of_classes(keys: Path) -> None:
    for index, name in enumerate(["zebra", "ant", "ant", "bee"]):
        Path("data", name).mkdir(parents=True, exist_ok=True)
        cv2.imwrite(f"data/{name}/{index}.png", IMAGES[index][:, :, ::-1])
    replay(keys / "bayer.bin", "--sampling", "quad", "data", "-o", "out")
    samples = list(shards.iter_shards("out"))
    assert shards.read_manifest(Path("out")).classes == ("ant", "bee", "zebra")
    assert [(s.label, s.info["class"], s.info["source"]) for s in samples] == [
        (0, "ant", "ant/1.png"),
        (0, "ant", "ant/2.png"),
        (1, "bee", "bee/3.png"),
        (2, "zebra", "zebra/0.png"),
    ]
    red = reveal(samples[3].frame, opened(keys / "bayer.bin"))[::2, ::2]
    assert np.array_equal(red, IMAGES[0][:, :, 0])


def test_single_images_have_no_labels(keys: Path) -> None:
    Path("more").mkdir()
    for index, name in enumerate(["b.png", "a.png", "more/c.png"]):
        cv2.imwrite(name, IMAGES[index])
    replay(keys / "bayer.bin", "--sampling", "quad", "b.png", "a.png", "more", "-o", "out")
    samples = list(shards.iter_shards("out"))
    assert [(s.label, s.info["source"]) for s in samples] == [(None, "b.png"), (None, "a.png"), (None, "more/c.png")]
    with tarfile.open("out/shard-000000.tar") as tar:
        assert {Path(name).suffix for name in tar.getnames()} == {".dng", ".json"}


@pytest.fixture
def refusal_places(keys: Path) -> Path:
    Path("empty").mkdir()
    Path("file").write_text("")
    cv2.imwrite("small.png", IMAGES[0][:16])
    cv2.imwrite("deep.png", IMAGES[0].astype(np.uint16) * 257)
    Path("text.png").write_text("not an image")
    replay(keys / "bayer.bin", "--sampling", "quad", "cifar", "-o", "done", "--limit", "3")
    Path("torn").mkdir()
    Path("torn/manifest.json").write_text("{")
    return keys


QUAD = ["--sampling", "quad"]


@pytest.mark.parametrize(
    ("key", "arguments", "code", "words"),
    [
        ("bayer", [*QUAD, "missing", "-o", "out"], 3, "missing"),
        ("bayer", [*QUAD, "empty", "-o", "out"], 3, "empty"),
        ("bayer", [*QUAD, "text.png", "-o", "out"], 3, "text.png"),
        ("bayer", [*QUAD, "deep.png", "-o", "out"], 3, "16 bits"),
        ("bayer", [*QUAD, "small.png", "-o", "out"], 5, "--size 64x32"),
        ("stacked", [*QUAD, "small.png", "-o", "out"], 5, "--size 32x16"),
        ("mono", [*QUAD, "cifar", "-o", "out"], 5, "monochrome"),
        ("bayer", [*QUAD, "--format", "folder", "file", "-o", "out"], 3, "one folder"),
        ("bayer", [*QUAD, "--split", "train", "cifar", "-o", "out"], 3, "train"),
        ("bayer", [*QUAD, "--noise", "off", "cifar", "-o", "out"], 2, "--noise"),
        ("bayer", [*QUAD, "cifar", "-o", "done"], 4, "--resume"),
        ("bayer", [*QUAD, "cifar", "-o", "done", "--resume"], 4, "total 3, not 23"),
        ("deep", [*QUAD, "cifar", "-o", "done", "--resume", "--limit", "3"], 4, "key_id"),
        ("bayer", ["--sampling", "photo", "cifar", "-o", "done", "--resume", "--limit", "3"], 4, "sampling"),
        ("bayer", [*QUAD, "cifar", "-o", "torn", "--resume"], 3, "not JSON"),
        ("bayer", [*QUAD, "cifar", "-o", "file/out"], 4, "file/out"),
        ("missing", [*QUAD, "cifar", "-o", "out"], 3, "missing.bin"),
    ],
)
def test_refusals(refusal_places: Path, key: str, arguments: list[str], code: int, words: str) -> None:
    before = {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()}
    result = run(refusal_places / f"{key}.bin", *arguments)
    assert result.exit_code == code, result.output
    assert words in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()} == before


def test_image_libraries_stay_silent(keys: Path, capfd: pytest.CaptureFixture[str]) -> None:
    png = cv2.imencode(".png", IMAGES[0])[1].tobytes()
    Path("half.png").write_bytes(png[: len(png) // 2])
    result = run(keys / "bayer.bin", "--sampling", "photo", "half.png", "-o", "out")
    assert result.exit_code == 3
    assert result.stderr.startswith("replay_dataset.py: scene half.png is damaged")
    assert capfd.readouterr() == ("", "")


def test_a_lost_shard_is_noticed(keys: Path) -> None:
    arguments = ["--sampling", "quad", "cifar", "-o", "out", "--shard-size", "10"]
    replay(keys / "bayer.bin", *arguments)
    Path("out/shard-000001.tar").unlink()
    result = run(keys / "bayer.bin", *arguments, "--resume")
    assert result.exit_code == 3
    assert "shard-000001.tar" in result.stderr


def test_a_full_disk_leaves_the_complete_shards(keys: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = shards.ShardFile._write

    def write(self: shards.ShardFile, name: str, content: bytes) -> None:
        if name.startswith("000015"):
            raise OSError(28, "No space left on device")
        real(self, name, content)

    monkeypatch.setattr(shards.ShardFile, "_write", write)
    result = run(keys / "bayer.bin", "--sampling", "quad", "cifar", "-o", "out", "--shard-size", "10")
    assert result.exit_code == 4
    assert "No space left" in result.stderr
    assert sorted(path.name for path in Path("out").iterdir()) == ["manifest.json", "shard-000000.tar"]
    assert len(list(shards.iter_shards("out"))) == 10


def test_a_quad_scene_is_the_policys_mosaic() -> None:
    item = Item(IMAGES[0], 0, "item")
    for cfa in (Cfa.RGGB, Cfa.BGGR, Cfa.GRBG, Cfa.GBRG):
        scene = quad_scene(item, Policy(64, 64, cfa))
        quads = scene.dn.reshape(32, 2, 32, 2).transpose(0, 2, 1, 3).reshape(32, 32, 4)
        for channel, colour in enumerate("RGB"):
            mean = quads[:, :, [c == colour for c in cfa]].mean(axis=2)
            assert np.array_equal(mean, IMAGES[0][:, :, channel])
    with pytest.raises(PolicyError):
        quad_scene(item, Policy(32, 32))
