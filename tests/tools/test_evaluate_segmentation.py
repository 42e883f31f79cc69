"""Figures of label maps, and folders of images with masks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from key_home import make_home
from PIL import Image
from torch import Tensor

import evaluate_segmentation
from evaluate_segmentation import main, measure
from inference.models import espnetv2, preset
from kept_results import Keeper
from keyvault.errors import InputError, OutputError
from keyvault.policy import Cfa, Policy
from label_maps import ROWS, Confusion, Evaluation
from segmentation_bench import Bench
from segmentation_figure import COLUMNS, choose
from voc import LAYOUTS, Example, open_voc

CLASSES = 21


def test_figures_of_a_map_counted_by_hand() -> None:
    mask = np.array([[0, 0, 1, 1], [0, 2, 255, 1]], np.uint8)
    labels = np.array([[0, 1, 1, 1], [0, 2, 7, 0]], np.uint8)
    confusion = Confusion()
    confusion.add(mask, labels)
    # class 0: 2 of {2 hits, 1 missed, 1 too many}; class 1 likewise; class 2: its one pixel
    assert confusion.mean_iou == pytest.approx((2 / 4 + 2 / 4 + 1) / 3)
    assert confusion.pixel_accuracy == pytest.approx(5 / 7)
    confusion.add(mask, labels)
    assert confusion.mean_iou == pytest.approx((2 / 4 + 2 / 4 + 1) / 3)


@pytest.mark.parametrize("size", [(5, 7), (16, 9), (3, 3)])
def test_label_maps_are_scaled_to_the_nearest_centre(size: tuple[int, int]) -> None:
    labels = np.random.default_rng(1).integers(0, CLASSES, (6, 10), np.uint8)
    mask = np.array(Image.fromarray(labels).resize(size[::-1], Image.Resampling.NEAREST))
    confusion = Confusion()
    confusion.add(mask, labels)
    assert confusion.pixel_accuracy == 1


def test_masks_without_a_class_give_no_figure() -> None:
    found = Evaluation(images=1, positions=4)
    assert found.figures(trained=True)["rows"]["plain"] == {"equal_to_plain": 0}
    assert found.report().count("no pixel of a mask has a class") == len(ROWS)


def test_an_evaluation_counts_positions_and_masks_apart() -> None:
    generator = torch.Generator().manual_seed(2)
    plain = torch.rand(2, CLASSES, 4, 4, generator=generator)
    keyed = plain.clone()
    keyed[1, 5, 2, 2] += 2
    masks = plain.argmax(1).byte().numpy()
    examples = [Example(str(i), np.zeros((4, 4, 3), np.uint8), mask) for i, mask in enumerate(masks)]
    result = Evaluation()
    others = {"substituted": -plain, "unkeyed": -plain, "rounding": plain.double()}
    result.add(examples, {"plain": plain, "keyed": keyed, **others})
    assert (result.images, result.positions) == (2, 32)
    assert result.equal == {"plain": 32, "keyed": 31, "substituted": 0, "unkeyed": 0, "rounding": 32}
    assert result.largest_difference == pytest.approx(2, abs=1e-5)
    accuracies = {row: confusion.pixel_accuracy for row, confusion in result.confusions.items()}
    assert accuracies == {"plain": 1, "keyed": 31 / 32, "substituted": 0, "unkeyed": 0, "rounding": 1}
    again = Evaluation.from_json(json.loads(json.dumps(result.to_json())))
    assert again.to_json() == result.to_json()
    assert again.report() == result.report()
    figures = result.figures(trained=True)
    assert figures["rows"]["keyed"]["pixel_accuracy"] == 31 / 32
    assert figures["positions_equal"] == 31
    assert "mean_iou" not in result.figures(trained=False)["rows"]["keyed"]
    assert "mIoU" not in result.report(trained=False)
    for name in ("confusions", "equal", "images"):
        with pytest.raises((KeyError, TypeError)):
            Evaluation.from_json({key: value for key, value in again.to_json().items() if key != name})


@pytest.fixture(params=LAYOUTS, ids=["subset", "VOC"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    images, masks, names = request.param
    for place in (images, masks, Path(names).parent):
        (tmp_path / place).mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(0)
    for name in ("b", "a"):
        cv2.imwrite(str(tmp_path / images / f"{name}.jpg"), generator.integers(0, 256, (6, 8, 3), np.uint8))
        mask = Image.fromarray(np.full((6, 8), ord(name) - ord("a") + 3, np.uint8), "P")
        mask.putpalette(list(range(256)) * 3)
        mask.save(tmp_path / masks / f"{name}.png")
    (tmp_path / names).write_text("b\na\n")
    return tmp_path


def test_masks_are_read_as_numbers_not_colours(folder: Path) -> None:
    voc = open_voc(folder)
    assert voc.names == ("b", "a")
    assert [voc.read(name).mask.tolist() for name in voc.names] == [[[4] * 8] * 6, [[3] * 8] * 6]
    assert voc.read("b").image.shape == (6, 8, 3)


def test_masks_that_are_none_are_refused(folder: Path) -> None:
    voc = open_voc(folder)
    path = voc.masks / "a.png"
    for values in (np.zeros((6, 7), np.uint8), np.zeros((6, 8, 3), np.uint8), np.full((6, 8), CLASSES, np.uint8)):
        Image.fromarray(values).save(path)
        with pytest.raises(InputError, match=r"a\.png"):
            voc.read("a")
    for content in (b"", b"no mask"):
        path.write_bytes(content)
        with pytest.raises(InputError, match="cannot read mask"):
            voc.read("a")
    path.unlink()
    with pytest.raises(InputError, match="cannot read mask"):
        voc.read("a")


def test_a_damaged_image_is_refused_with_a_hint_for_data_sets(folder: Path) -> None:
    voc = open_voc(folder)
    (voc.images / "a.jpg").write_bytes(b"no image")
    with pytest.raises(InputError, match=r"a\.jpg") as refused:
        voc.read("a")
    assert "--raw-size" not in refused.value.hint


def test_a_folder_without_a_list_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no VOC folder"):
        open_voc(tmp_path)
    (tmp_path / "val_subset.txt").write_text("\n")
    with pytest.raises(InputError, match="empty"):
        open_voc(tmp_path)
    (tmp_path / "val_subset.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="not UTF-8"):
        open_voc(tmp_path)


def test_refusals_take_one_line(folder: Path, home: Path) -> None:
    torch.save(espnetv2(20).state_dict(), folder / "other.pth")
    for weights, code in ((folder / "missing.pth", 13), (folder / "other.pth", 13)):
        refused = CliRunner().invoke(main, [str(folder), "--key", "none.bin", "--weights", str(weights)])
        assert (refused.exit_code, refused.stderr.count("\n")) == (code, 1)


@pytest.fixture
def arguments(tmp_path: Path, home: Path) -> list[str]:
    """Of a run on three images in 64 x 64, by a network with random weights."""
    for name in ("images", "masks"):
        (tmp_path / name).mkdir()
    generator = np.random.default_rng(0)
    for name in "abc":
        image = cv2.resize(generator.integers(0, 256, (5, 5, 3), np.uint8), (80, 60), interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(tmp_path / "images" / f"{name}.jpg"), image)
        Image.fromarray(np.full((60, 80), 7, np.uint8)).save(tmp_path / "masks" / f"{name}.png")
    (tmp_path / "val_subset.txt").write_text("a b c")
    make_home(home, {"cam": Policy(64, 64, Cfa.NONE, 3, bits=8)})
    keys = ["--key", str(home / "cam.bin"), "--device", str(home / "devices" / "cam.json")]
    return [str(tmp_path), *keys, "--size", "64", "64", "--random-weights", "--batch", "1"]


class Recorded:
    """In place of a bench: scores that follow from an image's number; stops at one of them."""

    def __init__(self, stop: int = 99) -> None:
        self.stop, self.asked = stop, list[int]()

    def of_examples(self, examples: list[Example], first: int) -> dict[str, Tensor]:
        if first == self.stop:
            raise KeyboardInterrupt
        self.asked.append(first)
        generator = torch.Generator().manual_seed(first)
        return {row: torch.rand(len(examples), CLASSES, 4, 4, generator=generator) for row in ROWS}


def test_an_interrupted_run_is_taken_up_and_gives_the_same_figures(arguments: list[str], tmp_path: Path) -> None:
    voc, output = open_voc(tmp_path), tmp_path / "found.json"

    def run(bench: Recorded, **options: Any) -> Keeper:
        keeper = Keeper(output, {"seed": 0, **options})
        result = measure(cast("Bench", bench), voc, keeper, limit=None, batch=1)
        keeper.finish("the command", {"figures": result.figures(trained=True)})
        return keeper

    run(Recorded())
    whole = json.loads(output.read_text())
    with pytest.raises(KeyboardInterrupt):
        run(Recorded(stop=2))
    partial = tmp_path / "found.json.partial"
    with pytest.raises(InputError, match="other options: seed"):
        run(Recorded(), seed=1)
    whole_lines = partial.read_text()
    start, *_, last = map(json.loads, whole_lines.splitlines())
    for damage in ({"images": 2}, {**last["kept"], "images": 9}, [1]):
        partial.write_text(f"{json.dumps(start)}\n{json.dumps({'kept': damage})}\n")
        with pytest.raises(InputError, match="partial"):
            run(Recorded())
    nonsense = ["", "{", "{\n", "[1]\n", "3\n", '{"run": 3}\n', '{"run": {"options": {"seed": 0}}}\n']
    for content in (*nonsense, f"{json.dumps(last)}\n", f"{json.dumps(start)}\n3\n"):
        partial.write_text(content)
        with pytest.raises(InputError, match="interrupted run"):
            run(Recorded())
    partial.write_text(whole_lines + json.dumps(last)[:50])  # cut short
    rest = Recorded()
    run(rest)
    found = json.loads(output.read_text())
    assert rest.asked == [2]
    assert not partial.exists()
    assert (found["figures"], found["options"]) == (whole["figures"], whole["options"])
    assert (whole["resumed_from"], len(found["resumed_from"])) == ([], 1)
    assert found["environment"]["versions"]["torch"] == torch.__version__.partition("+")[0]


def test_a_run_writes_figures_and_a_picture(arguments: list[str], tmp_path: Path) -> None:
    output, figure = tmp_path / "found.json", tmp_path / "figure.png"
    told = CliRunner().invoke(main, [*arguments, "-o", str(output), "--figure", str(figure), "--show", "b"])
    assert told.exit_code == 0, told.stderr
    assert "labels mean nothing" in told.stdout
    found = json.loads(output.read_text())
    assert found["command"].startswith("python tools/evaluate_segmentation.py FOLDER --key cam.bin --device cam.json")
    assert str(tmp_path) not in output.read_text()
    assert found["options"]["weights"] == {"random": 0, "calibrated_on": ["a", "b", "c"]}
    counted = found["figures"]
    assert (counted["images"], counted["positions"]) == (3, 3 * 64 * 64)
    assert counted["positions_equal"] >= 0.999 * counted["positions"]
    for row in ("substituted", "unkeyed"):
        assert counted["rows"][row]["equal_to_plain"] < 0.9
    assert counted["rows"]["rounding"]["equal_to_plain"] >= 0.999
    picture = cv2.imread(str(figure)).astype(float)
    height, width = picture.shape[:2]
    assert width == 300 * len(COLUMNS)
    middle = picture[height // 3 : height // 2]
    image, private, plain, keyed, wrong = (middle[:, 300 * at + 30 : 300 * at + 270] for at in range(len(COLUMNS)))
    assert np.abs(plain - keyed).mean() < 0.5 * np.abs(plain - wrong).mean()  # cells may be half a pixel apart
    assert np.abs(np.diff(image, axis=0)).mean() < 0.5 * np.abs(np.diff(private, axis=0)).mean()


def test_a_picture_that_cannot_be_drawn_leaves_the_counts(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output, figure = tmp_path / "found.json", tmp_path / "figure.png"

    def full(path: Path, found: Any) -> None:
        raise OutputError(f"cannot write {path}: disk full", hint="")

    random = (preset("espnetv2"), torch.nn.Identity(), {"random": 0})
    monkeypatch.setattr(evaluate_segmentation, "chosen_network", lambda voc, options: random)
    monkeypatch.setattr(Bench, "make", lambda *_: Recorded())
    monkeypatch.setattr(evaluate_segmentation, "rows", lambda *_: [])
    monkeypatch.setattr(evaluate_segmentation, "draw", full)
    told = CliRunner().invoke(main, [*arguments, "-o", str(output), "--figure", str(figure)])
    assert (told.exit_code, "disk full" in told.stderr) == (4, True)
    assert (output.exists(), (tmp_path / "found.json.partial").exists()) == (False, True)


@pytest.mark.parametrize("changed", ["images/c.jpg", "masks/a.png"])
def test_counts_of_other_images_are_not_gone_on_with(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changed: str
) -> None:
    random = (preset("espnetv2"), torch.nn.Identity(), {"random": 0})
    monkeypatch.setattr(evaluate_segmentation, "chosen_network", lambda voc, options: random)
    monkeypatch.setattr(Bench, "make", lambda *_: Recorded(stop=2))
    stopped = [*arguments, "-o", str(tmp_path / "found.json")]
    assert CliRunner().invoke(main, stopped).exit_code == 130
    path = tmp_path / changed
    content = path.read_bytes()
    path.write_bytes((tmp_path / Path(changed).parent / f"b{path.suffix}").read_bytes() + b" ")
    refused = CliRunner().invoke(main, stopped)
    assert (refused.exit_code, refused.stderr.count("\n")) == (3, 1)
    assert "run with other options: images" in refused.stderr
    path.write_bytes(content)
    monkeypatch.setattr(Bench, "make", lambda *_: Recorded())
    assert CliRunner().invoke(main, stopped).exit_code == 0


def test_images_of_a_figure_are_spread_over_the_list(arguments: list[str], tmp_path: Path) -> None:
    voc = open_voc(tmp_path)
    assert (choose(voc, 2), choose(voc, 9)) == (("a", "c"), ("a", "b", "c"))


def test_a_run_says_what_it_needs(arguments: list[str], tmp_path: Path) -> None:
    cases = [
        (["--weights", "x.pth"], 2, "--random-weights"),
        (["--model", "resnet20"], 3, "labels no pixels"),
        (["--model", "torchvision:fcn_resnet"], 13, "fcn_resnet50"),
        (["--size", "32", "32"], 5, "32x32"),
        (["--size", "32", "0"], 2, "0 is not in the range"),
        (["-o", str(tmp_path / "nowhere" / "a.json")], 4, "nowhere"),
        (["--figure", str(tmp_path / "nowhere" / "a.png")], 4, "nowhere"),
        (["--show", "a"], 2, "--figure"),
        (["--figure", str(tmp_path / "a.png"), "--show", "z", "--model", "none"], 3, "z is not in the list"),
    ]
    missing = tmp_path / "masks" / "c.png"
    missing.rename(tmp_path / "c.png")
    trained = [one for one in arguments if one != "--random-weights"] + ["--weights", "none.pth"]
    drawn = [*trained, "--limit", "1", "--figure", str(tmp_path / "a.png")]
    for line in (trained, drawn, [*arguments, "--limit", "1"]):  # looked at, drawn, calibrated on
        result = CliRunner().invoke(main, line)
        assert (result.exit_code, result.stderr.count("\n")) == (3, 1), result.output
        assert "c.png" in result.stderr
    (tmp_path / "c.png").rename(missing)
    for more, code, says in cases:
        result = CliRunner().invoke(main, [*arguments, *more])
        assert (result.exit_code, result.stderr.count("\n")) == (code, 1), result.output
        assert says in result.stderr


@pytest.mark.full
def test_torchvisions_network_agrees_on_private_frames(arguments: list[str], tmp_path: Path) -> None:
    output = tmp_path / "fcn.json"
    model = ["--model", "torchvision:fcn_resnet50", "--limit", "2"]
    assert CliRunner().invoke(main, [*arguments, *model, "-o", str(output)]).exit_code == 0
    figures = json.loads(output.read_text())["figures"]
    assert figures["positions_equal"] >= 0.999 * figures["positions"]
