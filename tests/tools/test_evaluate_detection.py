"""Figures of detectors, COCO's layout, and runs that are taken up again."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from key_home import make_home
from numpy.typing import NDArray

import evaluate_detection
from box_agreement import Agreement, agreement
from coco import average_precision, open_coco
from evaluate_detection import ROWS, Bench, Rows, figures, image_size, main, measure, placed, report
from inference.models.torchvision_presets import detector_preset
from kept_results import Keeper
from keyvault.errors import InputError
from keyvault.policy import Cfa, Policy
from random_weights import SCORE_SPREAD, calibrate

MODEL = "torchvision:ssdlite320_mobilenet_v3_large"
SIZES = {7: (48, 64), 3: (40, 30), 12: (96, 128)}  # (height, width) by id
CATEGORIES = [{"id": 1, "name": "person"}, {"id": 3, "name": "car"}]
BOXES = {3: [(2, 3, 20, 30, 1), (5, 5, 8, 9, 3)], 7: [(10, 10, 20, 20, 3)], 12: [(20, 30, 70, 50, 1)]}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A data set of three images with boxes, x y w h and class."""
    (tmp_path / "images").mkdir()
    generator = np.random.default_rng(0)
    images, annotations = [], []
    for number, (height, width) in SIZES.items():
        image = cv2.resize(generator.integers(0, 256, (6, 8, 3), np.uint8), (width, height))
        cv2.imwrite(str(tmp_path / "images" / f"{number}.png"), image)
        images.append({"id": number, "file_name": f"{number}.png", "height": height, "width": width})
        for x, y, w, h, category in BOXES[number]:
            annotation = {"id": len(annotations) + 1, "image_id": number, "category_id": category, "iscrowd": 0}
            annotations.append({**annotation, "bbox": [x, y, w, h], "area": w * h})
    write(tmp_path, {"images": images, "annotations": annotations, "categories": CATEGORIES})
    return tmp_path


def write(folder: Path, content: Any) -> None:
    (folder / "instances.json").write_text(json.dumps(content))


def perfect() -> dict[int, list[list[float]]]:
    return {
        number: [[x, y, x + w, y + h, label, 0.9] for x, y, w, h, label in found] for number, found in BOXES.items()
    }


def test_precision_is_that_of_the_boxes(folder: Path) -> None:
    coco = open_coco(folder / "instances.json", folder / "images")
    assert list(coco.files) == [3, 7, 12]
    assert average_precision(coco, perfect()) == pytest.approx({"ap": 1, "ap50": 1, "ap75": 1})
    mistaken = {number: [[*one[:4], 4 - one[4], one[5]] for one in found] for number, found in perfect().items()}
    assert average_precision(coco, mistaken)["ap50"] < 0.3
    assert average_precision(coco, {3: []}) == {"ap": 0, "ap50": 0, "ap75": 0}
    # two thirds of the columns are covered: that counts at 0.50 to 0.65, that is 4 of 10 thresholds
    narrow = {12: [[20, 30, 20 + 70 * 2 / 3, 80, 1, 0.9]]}
    assert average_precision(coco, narrow) == pytest.approx({"ap": 0.4, "ap50": 1, "ap75": 0})


def test_precision_needs_annotations(folder: Path) -> None:
    content = json.loads((folder / "instances.json").read_text())
    write(folder, {**content, "annotations": []})
    with pytest.raises(InputError, match="no annotations"):
        average_precision(open_coco(folder / "instances.json", folder / "images"), perfect())


def test_crowds_alone_are_no_annotations_to_compare_with(folder: Path) -> None:
    content = json.loads((folder / "instances.json").read_text())
    crowds = [annotation | {"iscrowd": 1} for annotation in content["annotations"]]
    write(folder, {**content, "annotations": crowds})
    with pytest.raises(InputError, match="no annotations to compare with, crowds aside"):
        average_precision(open_coco(folder / "instances.json", folder / "images"), perfect())
    write(folder, {**content, "annotations": [*crowds[:-1], content["annotations"][-1]]})
    found = average_precision(open_coco(folder / "instances.json", folder / "images"), perfect())
    assert found["ap"] == pytest.approx(1)


def test_numbers_of_annotations_do_not_change_precision(folder: Path) -> None:
    content = json.loads((folder / "instances.json").read_text())
    for number, annotation in enumerate(content["annotations"]):
        annotation["id"] = 3 - number  # one is 0, which pycocotools takes for "not found"
    write(folder, content)
    coco = open_coco(folder / "instances.json", folder / "images")
    assert average_precision(coco, perfect()) == pytest.approx({"ap": 1, "ap50": 1, "ap75": 1})


SPOILT = [
    ("annotations", {"id": None}, "one of annotations has no id"),
    ("annotations", {"id": 2}, "two of annotations have id 2"),
    ("annotations", {"id": "1"}, "id of one of annotations is '1'"),
    ("annotations", {"image_id": "3"}, "image_id of annotation 1 is '3'"),
    ("annotations", {"image_id": 5}, "annotation 1 is of no image"),
    ("annotations", {"category_id": 2}, "annotation 1 is of no category"),
    ("annotations", {"bbox": [1, 2, 3]}, "bbox of annotation 1"),
    ("annotations", {"bbox": [1, 2, -3, 4]}, "bbox of annotation 1"),
    ("annotations", {"bbox": [1, 2, 3, "4"]}, "bbox of annotation 1"),
    ("annotations", {"bbox": [1, 2, 3, float("nan")]}, "bbox of annotation 1"),
    ("annotations", {"bbox": [1, 2, 3, 10**400]}, "int too large"),
    ("annotations", {"area": "9"}, "area of annotation 1"),
    ("annotations", {"area": float("inf")}, "area of annotation 1"),
    ("annotations", {"iscrowd": None}, "annotation 1 has no iscrowd"),
    ("annotations", {"iscrowd": 2}, "iscrowd of annotation 1"),
    ("images", {"id": "7"}, "id of one of images is '7'"),
    ("images", {"id": True}, "id of one of images is True"),
    ("images", {"id": 3}, "two of images have id 3"),
    ("images", {"file_name": 7}, "file_name of image 7"),
    ("categories", {"name": None}, "category 1 has no name"),
    ("categories", {"id": 3}, "two of categories have id 3"),
]


@pytest.mark.parametrize(("part", "change", "says"), SPOILT)
def test_what_pycocotools_cannot_use_is_refused_at_once(
    folder: Path, part: str, change: dict[str, Any], says: str
) -> None:
    content = json.loads((folder / "instances.json").read_text())
    changed = {**content[part][0], **change}
    content[part][0] = {name: value for name, value in changed.items() if value is not None}
    write(folder, content)
    with pytest.raises(InputError, match="not COCO's instances file") as caught:
        open_coco(folder / "instances.json", folder / "images")
    assert says in str(caught.value)


@pytest.mark.parametrize("content", [None, [], 3, {"images": {}}, {"images": [3], "categories": [], "annotations": []}])
def test_a_file_of_another_form_is_refused(folder: Path, content: Any) -> None:
    write(folder, content)
    with pytest.raises(InputError, match="not COCO's instances file"):
        open_coco(folder / "instances.json", folder / "images")


def test_boxes_are_paired_once_by_place_and_label() -> None:
    box = [10.0, 10.0, 110.0, 110.0]
    first = [[*box, 1, 0.9], [*box, 1, 0.8], [*box, 2, 0.7], [300, 300, 400, 400, 1, 0.6]]
    moved = [[value + 0.1 for value in box] + [1, 0.85], [300, 300, 400, 420, 1, 0.6], [*box, 3, 0.7]]
    found = agreement(first, moved)
    assert (found.boxes, found.others, found.equal) == (4, 3, 1)
    assert found.largest_shift == pytest.approx(0.1)
    assert found.largest_difference == pytest.approx(0.05)
    assert agreement(first, first[::-1]) == Agreement(4, 4, 4)
    assert agreement([], first) == Agreement(0, 4)
    empty = [[5.0, 5.0, 5.0, 9.0, 1, 0.9]]
    assert agreement(empty, empty) == Agreement(1, 1, 1)
    assert str(agreement([], [])) == "nothing found: agreement says nothing"
    assert str(agreement([], first)) == "0 of 0 boxes, 4 more"
    assert str(found).startswith("1 of 4 boxes, 2 more; in pairs, corners differ by up to 1.0e-01 px")
    total = found + agreement(first, first)
    assert (total.boxes, total.equal, total.largest_shift) == (8, 5, found.largest_shift)


@pytest.mark.parametrize(("size", "factor"), [((48, 64), 1.0), ((96, 128), 0.5), ((20, 128), 0.5), ((30, 20), 1.0)])
def test_images_lie_in_the_corner_and_are_never_enlarged(size: tuple[int, int], factor: float) -> None:
    image = np.full((*size, 3), 200, np.uint8)
    canvas, scale = placed(image, (48, 64))
    assert (canvas.shape, scale) == ((48, 64, 3), factor)
    height, width = (round(side * factor) for side in size)
    assert (canvas[:height, :width] == 200).all()
    assert not canvas[height:].any()
    assert not canvas[:, width:].any()


def test_a_mosaic_takes_images_of_its_quads() -> None:
    assert image_size(Policy(64, 48, Cfa.NONE, 3)) == (48, 64)
    assert image_size(Policy(64, 48)) == (24, 32)


def test_figures_say_what_each_row_found(folder: Path) -> None:
    coco = open_coco(folder / "instances.json", folder / "images")
    nothing: dict[int, list[list[float]]] = {number: [] for number in BOXES}
    by_row = {row: perfect() if row in ("plain", "keyed", "rounding") else nothing for row in ROWS}
    done = {number: {row: by_row[row][number] for row in ROWS} for number in BOXES}
    found = figures(coco, done, score=0.5, trained=True)
    assert found["rows"]["keyed"] == {
        "agreement": asdict(Agreement(4, 4, 4)),
        "precision": pytest.approx({"ap": 1, "ap50": 1, "ap75": 1}),
    }
    assert found["rows"]["substituted"]["precision"]["ap"] == 0
    assert "ap 100.00 %" in report(found)
    strict = figures(coco, done, score=0.95, trained=True)
    assert strict["rows"]["keyed"]["agreement"]["boxes"] == 0
    assert report(strict).count("nothing found: agreement says nothing") == len(ROWS) - 1
    untrained = figures(coco, done, score=0.5, trained=False)
    assert "precision" not in untrained["rows"]["keyed"]
    assert "labels mean nothing" in report(untrained)


def test_one_image_has_no_spread_to_calibrate_by() -> None:
    with pytest.raises(InputError, match="two images, there is one"):
        calibrate(torch.nn.Conv2d(3, 2, 1), torch.rand(1, 3, 8, 8), 2, 0)


def test_calibrated_scores_depend_on_the_image() -> None:
    torch.manual_seed(0)
    network = detector_preset(MODEL).build()
    images = list(torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(1)))
    calibrate(network, images, 91, 5)
    assert not network.training
    heads = [
        layer for layer in network.modules() if isinstance(layer, torch.nn.Conv2d) and layer.out_channels % 91 == 0
    ]
    spreads = []
    hooks = [head.register_forward_hook(lambda _m, _x, y: spreads.append(float(y.std()))) for head in heads]
    with torch.no_grad():
        one, other = network(images)
    assert len(hooks) == 6
    assert all(0.3 * SCORE_SPREAD < spread < 3 * SCORE_SPREAD for spread in spreads)
    assert len(one["boxes"]) > 10
    assert one["scores"].tolist() != other["scores"].tolist()
    again = calibrate(detector_preset(MODEL).build(), images, 91, 5).state_dict()
    assert all(torch.equal(value, again[name]) for name, value in network.state_dict().items() if "weight" in name)


@pytest.fixture
def arguments(folder: Path, home: Path) -> list[str]:
    make_home(home, {"cam": Policy(64, 48, Cfa.NONE, 3, bits=8)})
    paths = [str(folder / "instances.json"), str(folder / "images")]
    device = str(home / "devices" / "cam.json")
    return [*paths, "--key", str(home / "cam.bin"), "--device", device, "--model", MODEL]


class Recorded:
    """In place of a bench: detections that follow from an image's number; stops at one of them."""

    def __init__(self, stop: int = 99) -> None:
        self.stop, self.asked = stop, list[int]()

    def detect(self, image: NDArray[np.uint8], name: str, number: int) -> Rows:
        if number == self.stop:
            raise KeyboardInterrupt
        assert (name, image.shape[:2]) == (f"{number}.png", SIZES[number])
        self.asked.append(number)
        return {row: perfect()[number] for row in ROWS}


def lines(*found: Any) -> str:
    return "".join(json.dumps(one) + "\n" for one in found)


def test_keeping_one_more_leaves_what_was_kept(folder: Path) -> None:
    coco, partial = open_coco(folder / "instances.json", folder / "images"), folder / "found.json.partial"
    seen: list[tuple[int, bytes]] = []

    class Watching(Recorded):
        def detect(self, image: NDArray[np.uint8], name: str, number: int) -> Rows:
            if partial.exists():
                seen.append((partial.stat().st_ino, partial.read_bytes()))
            return super().detect(image, name, number)

    measure(cast("Bench", Watching()), coco, Keeper(folder / "found.json", {}), None)
    (first, one), (second, two) = seen
    assert first == second == partial.stat().st_ino
    assert partial.read_bytes().startswith(two)
    assert two.startswith(one)
    assert len(two) > len(one)


def test_an_interrupted_run_is_taken_up_where_it_stopped(folder: Path) -> None:
    coco, output = open_coco(folder / "instances.json", folder / "images"), folder / "found.json"

    def run(bench: Recorded, **options: Any) -> dict[int, Rows]:
        return measure(cast("Bench", bench), coco, Keeper(output, {"seed": 0, **options}), None)

    with pytest.raises(KeyboardInterrupt):
        run(Recorded(stop=12))
    partial = folder / "found.json.partial"
    with pytest.raises(InputError, match="other options: seed"):
        run(Recorded(), seed=1)
    kept = [json.loads(line) for line in partial.read_text().splitlines()]
    assert [record["kept"]["image"] for record in kept[1:]] == [3, 7]
    found = kept[1]["kept"]["rows"]
    for damage in ({"image": 3}, {"image": 12, "rows": found}, {"image": "x", "rows": found}, 3):
        partial.write_text(lines(kept[0], {"kept": damage}))
        with pytest.raises(InputError, match="partial"):
            run(Recorded())
    partial.write_text(lines(kept[0]) + "[" * 100_000 + "\n")
    with pytest.raises(InputError, match="does not hold an interrupted run"):
        run(Recorded())
    for row in (3, [3], [["x"] * 6], [[1.0] * 5]):
        partial.write_text(lines(kept[0], {"kept": {"image": 3, "rows": {**found, "keyed": row}}}))
        with pytest.raises(InputError, match="does not hold detections"):
            run(Recorded())
    partial.write_text(lines(*kept) + '{"kept": {"ima')  # cut short
    rest = Recorded()
    done = run(rest)
    assert rest.asked == [12]
    assert [next(iter(record)) for record in map(json.loads, partial.read_text().splitlines())] == [
        *["run", "kept", "kept"],
        *["run", "kept"],
    ]
    assert done == {number: dict.fromkeys(ROWS, found) for number, found in perfect().items()}
    assert run(Recorded(stop=3)) == done


def test_detections_of_other_images_are_not_gone_on_with(
    folder: Path, arguments: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    random = (torch.nn.Identity(), {"random": 0})
    monkeypatch.setattr(evaluate_detection, "_detector", lambda *_: random)
    monkeypatch.setattr(Bench, "make", lambda *_: Recorded(stop=12))
    stopped = [*arguments, "--random-weights", "-o", str(folder / "found.json")]
    assert CliRunner().invoke(main, stopped).exit_code == 130
    path = folder / "images" / "3.png"
    content = path.read_bytes()
    path.write_bytes(content + b" ")
    refused = CliRunner().invoke(main, stopped)
    assert (refused.exit_code, refused.stderr.count("\n")) == (3, 1)
    assert "run with other options: images" in refused.stderr
    path.write_bytes(content)
    monkeypatch.setattr(Bench, "make", lambda *_: Recorded())
    assert CliRunner().invoke(main, stopped).exit_code == 0


def test_keyed_boxes_are_the_plain_ones(folder: Path, arguments: list[str]) -> None:
    output = folder / "found.json"
    told = CliRunner().invoke(main, [*arguments, "--random-weights", "--seed", "4", "-o", str(output)])
    assert told.exit_code == 0, told.stderr
    found = json.loads(output.read_text())
    assert not (folder / "found.json.partial").exists()
    assert found["command"].startswith("python tools/evaluate_detection.py INSTANCES IMAGES --key cam.bin")
    assert found["options"]["weights"] == {"random": 4, "calibrated_on": ["3.png", "7.png", "12.png"]}
    plain, keyed, wrong = (found["figures"]["rows"][row]["agreement"] for row in ("plain", "keyed", "substituted"))
    assert plain["equal"] == plain["boxes"] > 10
    assert keyed["equal"] >= 0.97 * plain["boxes"]  # rounding moves some over a threshold
    assert keyed["largest_difference"] < 1e-2
    assert wrong["equal"] < 0.2 * plain["boxes"]


def test_refusals_take_one_line(folder: Path, arguments: list[str]) -> None:
    torch.save({"weight": torch.zeros(1)}, folder / "other.pth")
    content = json.loads((folder / "instances.json").read_text())
    spoilt = [
        ([], 2, "--random-weights"),
        (["--random-weights", "--score", "nan"], 2, "nan is not finite"),
        (["--random-weights", "--weights", "x.pth"], 2, "--random-weights"),
        (["--weights", str(folder / "missing.pth")], 13, "missing.pth"),
        (["--weights", str(folder / "other.pth")], 13, "does not fit"),
        (["--random-weights", "-o", str(folder / "nowhere" / "a.json")], 4, "nowhere"),
        (["--random-weights", "--model", "torchvision:resnet18"], 13, "resnet18"),
    ]
    for more, code, says in spoilt:
        result = CliRunner().invoke(main, [*arguments, *more])
        assert (result.exit_code, result.stderr.count("\n")) == (code, 1), result.output
        assert says in result.stderr
    no_images = {**content, "images": [], "annotations": []}
    other_names = {**content, "categories": [{"id": 1, "name": "cat"}, CATEGORIES[1]]}
    for replaced in ({}, no_images, other_names):
        write(folder, replaced)
        result = CliRunner().invoke(main, [*arguments, "--random-weights"])
        assert (result.exit_code, result.stderr.count("\n")) == (3, 1), result.output
    (folder / "instances.json").write_text("{")
    assert CliRunner().invoke(main, [*arguments, "--random-weights"]).exit_code == 3
    (folder / "instances.json").unlink()
    assert CliRunner().invoke(main, [*arguments, "--random-weights"]).exit_code == 3


def test_what_would_stop_a_run_late_is_found_at_once(folder: Path, arguments: list[str]) -> None:
    torch.save({"weight": torch.zeros(1)}, folder / "other.pth")
    content = json.loads((folder / "instances.json").read_text())
    trained = ["--weights", str(folder / "other.pth")]

    def refusal(*more: str) -> str:
        result = CliRunner().invoke(main, [*arguments, *more])
        assert (result.exit_code, result.stderr.count("\n")) == (3, 1), result.output
        return result.stderr

    def passes(*more: str) -> bool:
        return "does not fit" in CliRunner().invoke(main, [*arguments, *more]).stderr

    write(folder, {**content, "annotations": [one for one in content["annotations"] if one["image_id"] == 7]})
    assert "no annotations to compare" in refusal(*trained, "--limit", "1")
    assert passes(*trained, "--limit", "2")
    (folder / "images" / "12.png").unlink()
    assert "12.png" in refusal(*trained)
    assert "12.png" in refusal("--random-weights", "--limit", "2")  # calibrated on
    assert passes(*trained, "--limit", "2")
