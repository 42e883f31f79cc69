"""Figures of label maps, and folders of images with masks."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from evaluate_segmentation import LAYOUTS, Confusion, Evaluation, Example, main, open_voc
from inference.models import espnetv2
from keyvault.errors import InputError

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


def test_an_evaluation_counts_positions_and_masks_apart() -> None:
    generator = torch.Generator().manual_seed(2)
    plain = torch.rand(2, CLASSES, 4, 4, generator=generator)
    keyed = plain.clone()
    keyed[1, 5, 2, 2] += 2
    masks = plain.argmax(1).byte().numpy()
    examples = [Example(str(i), np.zeros((4, 4, 3), np.uint8), mask) for i, mask in enumerate(masks)]
    result = Evaluation()
    result.add(examples, plain, keyed, -plain)
    assert (result.images, result.positions, result.agreeing) == (2, 32, 31)
    assert result.largest_difference == pytest.approx(2, abs=1e-5)
    assert (result.plain.pixel_accuracy, result.keyed.pixel_accuracy) == (1, 31 / 32)
    assert result.substituted.pixel_accuracy == 0


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


def test_a_folder_without_a_list_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no VOC folder"):
        open_voc(tmp_path)
    (tmp_path / "val_subset.txt").write_text("\n")
    with pytest.raises(InputError, match="empty"):
        open_voc(tmp_path)


def test_refusals_take_one_line(folder: Path, home: Path) -> None:
    torch.save(espnetv2(20).state_dict(), folder / "other.pth")
    for weights, code in ((folder / "missing.pth", 13), (folder / "other.pth", 13)):
        refused = CliRunner().invoke(main, [str(folder), "--key", "none.bin", "--weights", str(weights)])
        assert (refused.exit_code, refused.stderr.count("\n")) == (code, 1)
