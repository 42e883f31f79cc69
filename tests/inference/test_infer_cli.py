"""The command line of the authorised host: results, and refusals in one line with their exit code."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from host_factories import capture, scene, write_home
from host_place import NOW, POLICY, Place, call, current, make_place

from adc_firmware import write
from inference.imaging import IspSettings, isp
from inference.models import preset
from inference.session import open_session
from inference.weights import load_weights


@pytest.fixture
def place(tmp_path: Path, home: Path) -> Place:
    return make_place(tmp_path, home)


def plain_probabilities(place: Place) -> torch.Tensor:
    """What the network says of the revealed frames."""
    chosen = preset("resnet20")
    assert chosen.weights is not None
    network = chosen.build().eval()
    load_weights(network, chosen.weights)
    x = isp(place.frames, open_session(place["sealed.bin"]), chosen.isp_settings()).reveal()
    with torch.no_grad():
        return network(x).softmax(1)


@pytest.mark.parametrize("backend", ["gather", "reference"])
def test_run_says_what_the_plain_network_says(place: Place, backend: str) -> None:
    paths = [place[f"frame{number}.dng"] for number in range(3)]
    options = ["--key", place["sealed.bin"], "--model", "resnet20", "--backend", backend, "--batch", "2"]
    result = call("run", *options, "--top", "10", "--json", *paths)
    assert result.exit_code == 0, result.stderr
    records = [json.loads(line) for line in result.stdout.splitlines()]
    assert [record["frame"] for record in records] == paths
    for record, expected in zip(records, plain_probabilities(place), strict=True):
        ranked = [entry["class"] for entry in record["top"]]
        assert ranked == expected.argsort(descending=True).tolist()
        for entry in record["top"]:
            assert entry["label"] == preset("resnet20").classes[entry["class"]]
            assert entry["probability"] == pytest.approx(float(expected[entry["class"]]), abs=1e-5)


def test_run_prints_the_top_classes_of_each_frame(place: Place) -> None:
    result = call("run", "--key", str(place.folder), "--model", "resnet20", place["frame1.dng"], place["frame0.dng"])
    lines = result.stdout.splitlines()
    assert [lines[0], lines[6]] == [place["frame1.dng"], place["frame0.dng"]]
    assert len(lines) == 12
    best = plain_probabilities(place)[1]
    assert lines[1].split() == [f"{100 * best.max():.2f}", "%", preset("resnet20").classes[int(best.argmax())]]


def test_reveal_writes_a_plain_image_for_its_owner_only(place: Place) -> None:
    result = call("reveal", "--key", place["sealed.bin"], "-o", place["out.png"], place["frame0.dng"])
    assert result.exit_code == 0, result.stderr
    assert "plain image" in result.stdout
    assert stat.S_IMODE((place.folder / "out.png").stat().st_mode) == 0o600
    image = cv2.cvtColor(cv2.imread(place["out.png"]), cv2.COLOR_BGR2RGB)
    developed = isp(place.frames[0], open_session(place["sealed.bin"]), IspSettings(demosaic="malvar")).reveal()
    assert np.abs(image / 255 - developed[0].permute(1, 2, 0).numpy()).max() <= 0.5 / 255 + 1e-6


def test_frames_of_other_encodings_do_as_well(place: Place) -> None:
    names = [place[name] for name in ("a.png", "a.tif", "a.npy", "a.SRGGB12P.raw")]
    for name in names:
        write(place.frames[0], name)
    told = call("run", "--key", place["sealed.bin"], "--model", "resnet20", place["frame0.dng"], *names).stdout
    lines = told.splitlines()
    assert lines[::6] == [place["frame0.dng"], *names]
    assert all(lines[first + 1 : first + 6] == lines[1:6] for first in range(6, 30, 6))
    refused = call("reveal", "--key", place["sealed.bin"], "-o", place["a.npy.json"], place["a.npy"])
    assert (refused.exit_code, "one of the inputs" in refused.stderr) == (4, True)
    assert call("reveal", "--key", place["sealed.bin"], "-o", place["out.png"], place["a.npy"]).exit_code == 0


def test_an_encrypted_identity_takes_its_passphrase_from_a_file(place: Place, tmp_path: Path) -> None:
    write_home(tmp_path / "safe", passphrase=b"correct horse")
    (tmp_path / "word").write_bytes(b"correct horse\n")
    arguments = ["--home", str(tmp_path / "safe"), "reveal", "--key", place["sealed.bin"], "-o", place["out.png"]]
    refused = call(*arguments, place["frame0.dng"])
    assert (refused.exit_code, refused.stderr.count("\n")) == (10, 1)
    assert call(*arguments, "--passphrase-file", str(tmp_path / "word"), place["frame0.dng"]).exit_code == 0


def spoil(place: Place) -> None:
    """Everything that the refusals below need."""
    folder = place.folder
    open_session(place["sealed.bin"])  # which this host remembers
    (folder / "expired.bin").write_bytes(current(2, end=NOW - 5))
    (folder / "theirs.bin").write_bytes(current(3, host="mobile"))
    (folder / "cut.bin").write_bytes(current()[:200])
    write(capture(current(4), scene(POLICY), NOW), folder / "foreign.dng")
    data = bytearray((folder / "frame0.dng").read_bytes())
    data[-9] ^= 4
    (folder / "tampered.dng").write_bytes(data)
    (folder / "text.dng").write_text("hello")
    torch.save({"conv1.weight": torch.zeros(1)}, folder / "other.pth")


REFUSALS = [
    ("run --key missing.bin --model resnet20 frame0.dng", 3, "missing.bin"),
    ("run --key cut.bin --model resnet20 frame0.dng", 3, "cut.bin"),
    ("run --key theirs.bin --model resnet20 frame0.dng", 7, "host mobile"),
    ("run --key expired.bin --model resnet20 frame0.dng", 8, "expired at"),
    ("run --key sealed.bin --identity issuer.pem --model resnet20 frame0.dng", 3, "issuer.pem"),
    ("run --key sealed.bin --trust frame0.dng --model resnet20 frame0.dng", 3, "issuer"),
    ("run --key sealed.bin --model resnet20 missing.dng", 3, "missing.dng"),
    ("run --key sealed.bin --model resnet20 text.dng", 3, "private frame"),
    ("run --key sealed.bin --model resnet20 foreign.dng", 7, "at hand"),
    ("run --key sealed.bin --model resnet20 tampered.dng", 6, "not what sensor"),
    ("run --key sealed.bin --model resnet19 frame0.dng", 13, "resnet19"),
    ("run --key sealed.bin --model resnet32 frame0.dng", 13, "--weights"),
    ("run --key sealed.bin --model resnet20 --weights other.pth frame0.dng", 13, "does not fit the ResNet"),
    ("run --key sealed.bin --model resnet20 --std 1,1,0 frame0.dng", 13, "std"),
    ("reveal --key sealed.bin -o nowhere/out.png frame0.dng", 4, "nowhere"),
    ("reveal --key sealed.bin -o frame0.dng frame0.dng", 4, "one of the inputs"),
    ("reveal --key sealed.bin -o sealed.bin frame0.dng", 4, "one of the inputs"),
    ("reveal --key sealed.bin -o out.png tampered.dng", 6, "not what sensor"),
]


@pytest.mark.parametrize(("line", "code", "says"), REFUSALS)
def test_refusals(place: Place, line: str, code: int, says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    spoil(place)
    monkeypatch.chdir(place.folder)
    before = {path: path.read_bytes() for path in place.folder.rglob("*") if path.is_file()}
    result = call(*line.split())
    assert result.exit_code == code, result.output
    assert result.stderr.startswith("keyed-infer: ")
    assert result.stderr.count("\n") == 1
    assert says in result.stderr
    assert result.stdout == ""
    assert {path: path.read_bytes() for path in place.folder.rglob("*") if path.is_file()} == before


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_cuda_where_there_is_none(place: Place) -> None:
    result = call("run", "--key", place["sealed.bin"], "--model", "resnet20", "--device", "cuda", place["frame0.dng"])
    assert (result.exit_code, result.stderr.count("\n")) == (11, 1)


@pytest.mark.parametrize("value", ["1,2", "a,b,c", "", "1,2,3,4"])
def test_means_that_are_not_three_numbers(place: Place, value: str) -> None:
    result = call("run", "--key", place["sealed.bin"], "--model", "vgg16", "--mean", value, place["frame0.dng"])
    assert result.exit_code == 2
    assert "three numbers" in result.stderr
