"""Label maps and boxes at the command line of the authorised host, and the pictures of them."""

from __future__ import annotations

import json
import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import detectors
import numpy as np
import pytest
import torch
import torchvision
import zoo
from host_place import Place, call, make_place
from key_home import make_home
from PIL import Image
from torch import Tensor, nn

from adc_firmware import write
from image_sources import Item
from inference import cli_segment, cli_session, models
from inference.cli_session import write_picture
from inference.errors import ModelError, UnknownModelError, WeightsError
from inference.imaging import IspSettings, isp
from inference.models import VOC_CLASSES, Preset, Task, preset, torchvision_presets
from inference.models.torchvision_presets import DetectorPreset, LabelScores, detector_preset
from inference.module import KeyedModule
from inference.pictures import Found, label_png, overlaid, png, voc_palette, with_boxes
from inference.session import open_session
from inference.weights import load_weights
from keyvault.policy import Cfa, Policy
from quad_scenes import quad_scene
from sensor_sim import Camera

DETECTOR = "torchvision:ssdlite320_mobilenet_v3_large"


def noise(*shape: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(3))


@pytest.fixture
def place(tmp_path: Path, home: Path) -> Place:
    return make_place(tmp_path, home, 1)


def lively(network: nn.Module, path: Path, side: int) -> nn.Module:
    """The network with random weights under which it finds things; they are written to ``path``."""
    found = zoo.lively(network, noise(1, 3, side, side))
    torch.save(found.state_dict(), path)
    return found


def revealed(place: Place, settings: IspSettings) -> Tensor:
    return isp(place.frames[0], open_session(place["sealed.bin"]), settings).reveal()


@pytest.fixture
def converted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands of one test share the keyed network."""
    made: list[KeyedModule] = []

    def network_of(chosen: Preset, options: dict[str, Any]) -> KeyedModule:
        made[:] = made or [cli_session.network_of(chosen, options)]
        return made[0]

    monkeypatch.setattr(cli_segment, "network_of", network_of)


def small_labeller() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, 2, 1),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.Conv2d(16, len(VOC_CLASSES), 3, 1, 1),
        nn.Upsample(scale_factor=2, mode="bilinear"),
    )


@pytest.fixture(params=["small", pytest.param("espnetv2", marks=pytest.mark.full)])
def labelling(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Preset:
    """A small network under the name of ESPNetv2, or that one itself."""
    torch.manual_seed(0)
    if request.param != "small":
        return preset("espnetv2")
    chosen = replace(preset("espnetv2"), build=small_labeller, size=(96, 96))
    monkeypatch.setattr(models, "preset", {"espnetv2": chosen}.__getitem__)
    return chosen


@torch.no_grad()
@pytest.mark.usefixtures("converted_once")
def test_a_label_map_is_that_of_the_plain_network(place: Place, labelling: Preset) -> None:
    chosen = labelling
    network = lively(chosen.build(), place.folder / "random.pth", 96)
    expected = network(revealed(place, chosen.isp_settings())).argmax(1)[0].byte().numpy()
    expected = np.array(Image.fromarray(expected).resize((64, 64), Image.Resampling.NEAREST))
    arguments = ["segment", "--key", place["sealed.bin"], "--model", "espnetv2", "--weights", place["random.pth"]]
    told = call(*arguments, "-o", place["labels.png"], "--json", place["frame0.dng"])
    assert told.exit_code == 0, told.stderr
    with Image.open(place["labels.png"]) as image:
        assert (image.mode, image.getpalette()) == ("P", voc_palette().ravel().tolist())
        labels = np.array(image)
    assert (labels == expected).mean() > 0.999  # two scores may be equal within rounding
    assert len(np.unique(labels)) > 2
    assert stat.S_IMODE((place.folder / "labels.png").stat().st_mode) == 0o600
    assert "no longer protected" not in told.stderr
    record = json.loads(told.stdout)
    assert (record["frame"], record["width"], record["height"]) == (place["frame0.dng"], 64, 64)
    for entry in record["shares"]:
        assert entry["label"] == VOC_CLASSES[entry["class"]]
        assert entry["share"] == pytest.approx(np.mean(labels == entry["class"]), abs=1e-6)
    assert sum(entry["share"] for entry in record["shares"]) == pytest.approx(1, abs=1e-4)
    over = call(*arguments, "-o", place["over.png"], "--overlay", place["frame0.dng"])
    assert (over.exit_code, "no longer protected" in over.stderr) == (0, True)
    assert over.stdout.splitlines()[1].endswith(record["shares"][0]["label"])
    picture = cv2.cvtColor(cv2.imread(place["over.png"]), cv2.COLOR_BGR2RGB)
    plain = revealed(place, chosen.whole_frame())[0].mul(255).add(0.5).byte().permute(1, 2, 0).numpy()
    np.testing.assert_array_equal(picture, overlaid(plain, labels))


@pytest.fixture(params=["small", pytest.param("torchvision's own", marks=pytest.mark.full)])
def chosen_detector(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> DetectorPreset:
    """A small SSDlite under the name of torchvision's, or that one itself."""
    torch.manual_seed(0)
    if request.param != "small":
        return detector_preset(DETECTOR)
    chosen = DetectorPreset(DETECTOR, detectors.ssdlite, ("background", "person", "bicycle", "car"))
    monkeypatch.setattr(torchvision_presets, "detector_preset", {DETECTOR: chosen}.__getitem__)
    return chosen


@torch.no_grad()
def test_boxes_are_those_of_the_plain_detector(place: Place, chosen_detector: DetectorPreset) -> None:
    chosen = chosen_detector
    network = lively(chosen.build(), place.folder / "random.pth", 64)
    image = revealed(place, IspSettings(demosaic="malvar"))
    expected = network(list(image))[0]
    threshold = float(expected["scores"].median())
    kept = expected["scores"] >= threshold
    arguments = ["detect", "--key", place["sealed.bin"], "--model", DETECTOR, "--weights", place["random.pth"]]
    arguments += ["--score", f"{threshold - 1e-6}", "-o", place["boxes.png"], place["frame0.dng"]]
    told = call(*arguments, "--json")
    assert told.exit_code == 0, told.stderr
    record = json.loads(told.stdout)
    assert len(record["boxes"]) == int(kept.sum()) > 3
    np.testing.assert_allclose([one["box"] for one in record["boxes"]], expected["boxes"][kept], atol=0.02)
    np.testing.assert_allclose([one["score"] for one in record["boxes"]], expected["scores"][kept], atol=1e-4)
    assert [one["class"] for one in record["boxes"]] == expected["labels"][kept].tolist()
    assert all(one["label"] == chosen.classes[one["class"]] for one in record["boxes"])
    empty = cv2.imread(place["boxes.png"])
    assert (empty == 0).all(2).any()
    assert (empty != 0).any()
    over = call(*arguments, "--overlay")
    assert (over.exit_code, "no longer protected" in over.stderr) == (0, True)
    assert len(over.stdout.splitlines()) == 1 + len(record["boxes"])
    picture = cv2.cvtColor(cv2.imread(place["boxes.png"]), cv2.COLOR_BGR2RGB)
    untouched = (empty == 0).all(2)
    plain = image[0].mul(255).add(0.5).byte().permute(1, 2, 0).numpy()
    np.testing.assert_array_equal(picture[untouched], plain[untouched])


REFUSALS = [
    ("segment --model resnet20 -o out.png", 13, "keyed-infer run"),
    ("segment --model espnetv2 -o out.png", 13, "--weights"),
    ("segment --model espnetv2 --weights other.pth -o out.png", 13, "does not fit"),
    ("segment --model espnetv2 --weights other.pth -o other.pth", 4, "one of the inputs"),
    ("segment --model espnetv2 --weights other.pth -o frame0.dng", 4, "one of the inputs"),
    ("segment --model espnetv2 --weights other.pth -o nowhere/out.png", 4, "nowhere"),
    ("segment --model espnetv2 --weights other.pth", 2, "--output"),
    (f"segment --model {DETECTOR} -o out.png", 13, "keyed-infer detect"),
    (f"run --model {DETECTOR}", 13, "keyed-infer detect"),
    ("run --model espnetv2", 13, "keyed-infer segment"),
    (f"detect --model {DETECTOR}", 2, "--weights"),
    (f"detect --model {DETECTOR} --weights missing.pth", 13, "missing.pth"),
    (f"detect --model {DETECTOR} --weights other.pth", 13, "does not fit"),
    (f"detect --model {DETECTOR} --weights other.pth --overlay", 2, "-o"),
    (f"detect --model {DETECTOR} --weights other.pth --score 2", 2, "score"),
    ("detect --model torchvision:resnet18 --weights other.pth", 13, "keyed-infer run"),
    ("detect --model resnet20 --weights other.pth", 13, "keyed-infer run"),
    ("detect --model espnetv2 --weights other.pth", 13, "keyed-infer segment"),
    ("detect --model torchvision:fcn_resnet50 --weights other.pth", 13, "labels pixels"),
    ("detect --model torchvision:yolo --weights other.pth", 13, "fasterrcnn_mobilenet_v3_large_320_fpn"),
]


@pytest.mark.parametrize(("line", "code", "says"), REFUSALS)
def test_refusals(place: Place, line: str, code: int, says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.save({"conv1.weight": torch.zeros(1)}, place.folder / "other.pth")
    open_session(place["sealed.bin"])  # which this host remembers
    monkeypatch.chdir(place.folder)
    before = {path: path.read_bytes() for path in place.folder.rglob("*") if path.is_file()}
    command, *rest = line.split()
    result = call(command, "--key", "sealed.bin", *rest, "frame0.dng")
    assert (result.exit_code, result.stderr.count("\n"), result.stdout) == (code, 1, ""), result.output
    assert result.stderr.startswith("keyed-infer: ")
    assert says in result.stderr
    assert {path: path.read_bytes() for path in place.folder.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("command", ["segment", "detect"])
def test_a_tampered_frame_leaves_no_picture(place: Place, command: str) -> None:
    data = bytearray((place.folder / "frame0.dng").read_bytes())
    data[-9] ^= 4
    (place.folder / "frame0.dng").write_bytes(data)
    model = "espnetv2" if command == "segment" else DETECTOR
    arguments = [command, "--key", place["sealed.bin"], "--model", model, "--weights", place["none.pth"]]
    result = call(*arguments, "-o", place["out.png"], place["frame0.dng"])
    assert (result.exit_code, (place.folder / "out.png").exists()) == (6, False)


def test_colours_are_those_of_voc() -> None:
    colours = voc_palette()
    assert colours[:4].tolist() == [[0, 0, 0], [128, 0, 0], [0, 128, 0], [128, 128, 0]]
    assert (colours[15].tolist(), colours[20].tolist()) == ([192, 128, 128], [0, 64, 128])
    assert colours[255].tolist() == [224, 224, 192]
    assert len(np.unique(colours, axis=0)) == 256


def test_colours_are_those_of_the_masks_at_hand(privcam_data: Path) -> None:
    mask = next(iter(sorted((privcam_data / "voc2012" / "masks").glob("*.png"))))
    with Image.open(mask) as image:
        used = np.unique(np.array(image))
        palette = np.array(image.getpalette()).reshape(-1, 3)
    np.testing.assert_array_equal(palette[used], voc_palette()[used])


def test_an_indexed_png_holds_the_numbers(tmp_path: Path) -> None:
    labels = np.random.default_rng(0).integers(0, 256, (5, 7), np.uint8)
    write_picture(tmp_path / "labels.png", label_png(labels), "a map", reveals=False)
    with Image.open(tmp_path / "labels.png") as image:
        np.testing.assert_array_equal(np.array(image), labels)
        np.testing.assert_array_equal(np.array(image.convert("RGB")), voc_palette()[labels])


def test_an_overlay_leaves_the_background_and_keeps_what_is_under_a_class_recognisable() -> None:
    image = np.random.default_rng(1).integers(0, 256, (6, 6, 3), np.uint8)
    labels = np.zeros((6, 6), np.uint8)
    labels[2:4] = 15
    blended = overlaid(image, labels)
    np.testing.assert_array_equal(blended[:2], image[:2])
    expected = (0.45 * image[2:4] + 0.55 * np.array([192, 128, 128])).round()
    assert np.abs(blended[2:4] - expected).max() <= 1


def test_boxes_are_drawn_where_they_are() -> None:
    canvas = np.zeros((200, 300, 3), np.uint8)
    found = [Found((20, 50, 120, 150), 3, "car", 0.9), Found((150.4, 60, 280, 190), 1, "person", 0.6)]
    drawn = with_boxes(canvas, found)
    assert not canvas.any()
    assert all(drawn[y, x].any() for y, x in ((150, 70), (100, 20), (100, 120), (125, 150), (190, 200)))
    assert not any(drawn[y, x].any() for y, x in ((100, 70), (125, 200), (10, 10), (195, 20)))
    assert with_boxes(canvas, [Found((-5, -5, 400, 250), 90, "a long name", 1.0)])[0].any()
    assert png(drawn).startswith(b"\x89PNG")


@pytest.mark.parametrize("name", ["fcn_resnet50", "deeplabv3_mobilenet_v3_large", "lraspp_mobilenet_v3_large"])
@torch.no_grad()
def test_segmentation_networks_are_torchvisions(name: str, tmp_path: Path) -> None:
    auxiliary = {} if name.startswith("lraspp") else {"aux_loss": True}
    theirs = torchvision.models.get_model(name, weights=None, weights_backbone=None, **auxiliary).eval()
    torch.save(theirs.state_dict(), tmp_path / "theirs.pth")
    chosen = preset(f"torchvision:{name}")
    assert (chosen.task, chosen.size, chosen.classes) == (Task.LABEL_MAP, (520, 520), VOC_CLASSES)
    ours = chosen.build().eval()
    load_weights(ours, tmp_path / "theirs.pth", ignored=chosen.training_only)
    x = noise(1, 3, 64, 48)
    assert isinstance(ours, LabelScores)
    torch.testing.assert_close(ours(x), theirs(x)["out"], rtol=0, atol=0)
    if auxiliary:
        with pytest.raises(WeightsError, match="aux_classifier"):
            load_weights(ours, tmp_path / "theirs.pth")


def test_detectors_are_known_by_torchvisions_names() -> None:
    assert len(detector_preset(DETECTOR).classes) == 91
    for name in ("ssdlite320_mobilenet_v3_large", "torchvision:ssdlite", "none"):
        with pytest.raises(UnknownModelError, match=name) as caught:
            detector_preset(name)
        assert all(f"torchvision:{known}" in caught.value.hint for known in detectors.NAMED)
    for name, instead in {"torchvision:fcn_resnet50": "segment", "espnetv2": "segment", "resnet20": "run"}.items():
        with pytest.raises(ModelError, match=f"{name} .* finds no boxes") as refused:
            detector_preset(name)
        assert refused.value.hint == f"use keyed-infer {instead}"
        assert not isinstance(refused.value, UnknownModelError)


@pytest.fixture
def photograph(tmp_path: Path, home: Path, privcam_data: Path) -> tuple[Path, Path, Path]:
    """A stacked frame of a VOC image in 384 x 384, its mask, and the weights of ESPNetv2."""
    weights = sorted((privcam_data / "espnetv2").glob("*384x384.pth"))
    images = privcam_data / "voc2012" / "images"
    if not weights or not images.is_dir():
        pytest.skip("no ESPNetv2 weights and VOC images in PRIVCAM_DATA")
    path = min(images.glob("*.jpg"))
    with Image.open(path) as image:
        pixels = np.array(image.convert("RGB").resize((384, 384), Image.Resampling.BILINEAR))
    make_home(home, {"stacked": Policy(384, 384, Cfa.NONE, 3, bits=8)})
    with Camera([home / "stacked.bin"], device=home / "devices" / "stacked.json") as camera:
        write(camera.capture(quad_scene(Item(pixels, None, path.name), camera.grant.policy)), tmp_path / "photo.dng")
    return tmp_path / "photo.dng", images.parent / "masks" / f"{path.stem}.png", weights[0]


@pytest.mark.full
def test_a_private_photograph_is_labelled_as_its_mask_says(photograph: tuple[Path, Path, Path], home: Path) -> None:
    frame, mask, weights = photograph
    output = frame.with_suffix(".png")
    arguments = ["segment", "--key", str(home / "stacked.bin"), "--model", "espnetv2", "--weights", str(weights)]
    told = call(*arguments, "--gamma", "none", "-o", str(output), str(frame))
    assert told.exit_code == 0, told.stderr
    with Image.open(mask) as image, Image.open(output) as found:
        true = np.array(image)
        labels = np.array(found.resize(image.size, Image.Resampling.NEAREST))
    assert (labels == true)[true != 255].mean() > 0.9
